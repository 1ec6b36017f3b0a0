package scenarios

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// kyvernoPolicies: what the API server's policies do, Kyverno's admission controller
// does from here on, by the policies for it.
func kyvernoPolicies(t *testing.T, c *Cluster) {
	c.admissionController(t, need(t, "OSM_CNI_KYVERNO"))
	for _, prefix := range []string{"", "native-"} {
		c.kubectl(t, "delete", "-f", filepath.Join(c.root, "install", prefix+"admission-policy.yaml"))
		c.apply(t, "install/"+prefix+"kyverno-policy.yaml")
	}
	c.policiesInForce(t, "osm", "kyverno-in-force")
}

// kyvernoFSM: a cluster of FSM with the policies for Kyverno.
func kyvernoFSM(t *testing.T, c *Cluster) {
	c.fsmOverlay(t, "kyverno-policy.yaml")
	fsmNative(t, c)
}

// admissionController starts Kyverno as its own manifest does, but for its other
// controllers, and for the container that prepares its upgrades.
func (c *Cluster) admissionController(t *testing.T, manifest string) {
	t.Helper()
	file, err := os.Open(manifest)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var kept strings.Builder
	for decoder := yaml.NewYAMLOrJSONDecoder(file, 1<<20); ; {
		var one unstructured.Unstructured
		if err := decoder.Decode(&one); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("%s: %v", manifest, err)
		}
		if one.GetKind() == "Deployment" {
			if one.GetName() != "kyverno-admission-controller" {
				continue
			}
			pod := one.Object["spec"].(map[string]any)["template"].(map[string]any)["spec"].(map[string]any)
			delete(pod, "initContainers")
			container := pod["containers"].([]any)[0].(map[string]any)
			container["image"] = "kyverno:1"
		}
		text, err := json.Marshal(one.Object)
		if err != nil {
			t.Fatal(err)
		}
		kept.Write(append(text, "\n---\n"...))
	}
	if _, err := command(t, kept.String(), "kubectl", "apply", "--server-side", "-f", "-"); err != nil {
		t.Fatal(err)
	}
	c.rolledOut(t, "kyverno", "deployment/kyverno-admission-controller")
}
