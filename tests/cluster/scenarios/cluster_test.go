// Package scenarios holds the laws of a real cluster: what must be true of
// install/ and of the program under a real kubelet and a real API server.
// tests/cluster/test.sh makes the cluster and runs them.
package scenarios

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// Patience bounds everything that a busy machine may take its time for.
const patience = 4 * time.Minute

// Cluster is the one that tests/cluster/cluster.sh made.
type Cluster struct {
	client   kubernetes.Interface
	name     string
	provider string
	root     string
}

func newCluster(t *testing.T) *Cluster {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", need(t, "KUBECONFIG"))
	if err != nil {
		t.Fatal(err)
	}
	config.QPS, config.Burst = 100, 200
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return &Cluster{
		client:   client,
		name:     need(t, "OSM_CNI_CLUSTER"),
		provider: need(t, "OSM_CNI_CLUSTER_PROVIDER"),
		root:     need(t, "OSM_CNI_ROOT"),
	}
}

func need(t *testing.T, variable string) string {
	t.Helper()
	value := os.Getenv(variable)
	if value == "" {
		t.Fatalf("%s is not set: start the scenarios by `make test-cluster`", variable)
	}
	return value
}

// command runs a program and returns what it printed.
func command(t *testing.T, input string, program string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdin = strings.NewReader(input)
	output, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s %s: %w\n%s", program, strings.Join(args, " "), err, output)
	}
	return string(output), err
}

// kubectl is what users run. It must succeed.
func (c *Cluster) kubectl(t *testing.T, args ...string) string {
	t.Helper()
	output, err := command(t, "", "kubectl", args...)
	if err != nil {
		t.Fatal(err)
	}
	return output
}

// apply applies a file of this checkout, unchanged.
func (c *Cluster) apply(t *testing.T, path string) {
	t.Helper()
	c.kubectl(t, "apply", "-f", filepath.Join(c.root, path))
}

// applyText applies a manifest that a scenario wrote.
func (c *Cluster) applyText(t *testing.T, text string) {
	t.Helper()
	if _, err := command(t, text, "kubectl", "apply", "-f", "-"); err != nil {
		t.Fatal(err)
	}
}

// node runs a command on a node: "control-plane" or "worker".
func (c *Cluster) node(t *testing.T, node string, args ...string) string {
	t.Helper()
	output, err := command(t, "", c.provider, append([]string{"exec", c.name + "-" + node}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	return output
}

// nodes returns the nodes that the cluster knows: "control-plane", "worker", and
// later "worker2".
func (c *Cluster) nodes(t *testing.T) []string {
	t.Helper()
	names := strings.Fields(c.kubectl(t, "get", "nodes", "-o", "jsonpath={.items[*].metadata.name}"))
	for i, name := range names {
		names[i] = strings.TrimPrefix(name, c.name+"-")
	}
	return names
}

// eventually waits for a condition that returns an error as long as it does not hold.
func eventually(t *testing.T, what string, condition func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := condition()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %s: %v", what, patience, err)
		}
		time.Sleep(300 * time.Millisecond)
	}
}

// settings replaces the operator's settings, without waiting for anything.
func (c *Cluster) settings(t *testing.T, config string) {
	t.Helper()
	if !json.Valid([]byte(config)) {
		t.Fatalf("not JSON: %s", config)
	}
	patch, err := json.Marshal(map[string]any{"data": map[string]string{"config.json": config}})
	if err != nil {
		t.Fatal(err)
	}
	c.kubectl(t, "-n", "osm-cni", "patch", "configmap", "osm-cni", "--type=merge", "-p", string(patch))
	c.hurry(t)
}

// hurry brings changed ConfigMaps to the nodes: a changed pod is synchronised at once;
// otherwise its volumes take a minute.
func (c *Cluster) hurry(t *testing.T) {
	t.Helper()
	c.kubectl(t, "-n", "osm-cni", "annotate", "--overwrite", "pods", "-l", "app.kubernetes.io/name=osm-cni",
		"scenario="+fmt.Sprint(time.Now().UnixNano()))
}

// settingsInForce replaces the operator's settings and waits until the entry of each
// node has them.
func (c *Cluster) settingsInForce(t *testing.T, config string) {
	t.Helper()
	c.settings(t, config)
	var fields map[string]any
	if err := json.Unmarshal([]byte(config), &fields); err != nil {
		t.Fatal(err)
	}
	for _, node := range c.nodes(t) {
		eventually(t, "new settings on "+node, func() error {
			entry := c.entry(t, node)
			for field, value := range fields {
				if !reflect.DeepEqual(entry[field], value) {
					return fmt.Errorf("%s is %v", field, entry[field])
				}
			}
			return nil
		})
	}
}

const (
	ownList     = "/etc/cni/net.d/00-osm-cni.conflist"
	primaryList = "/etc/cni/net.d/10-kindnet.conflist"
)

// conflist is a file in /etc/cni/net.d.
type conflist struct {
	CNIVersion string           `json:"cniVersion"`
	Plugins    []map[string]any `json:"plugins"`
}

func (c *Cluster) list(t *testing.T, node, path string) (list conflist) {
	t.Helper()
	text := c.node(t, node, "sh", "-c", "cat "+path+" 2>/dev/null || echo '{}'")
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		t.Fatalf("%s on %s: %v\n%s", path, node, err, text)
	}
	return list
}

func (l conflist) types() (types []any) {
	for _, plugin := range l.Plugins {
		types = append(types, plugin["type"])
	}
	return types
}

// entry returns our entry of the node's network configuration, or nil.
func (c *Cluster) entry(t *testing.T, node string) map[string]any {
	t.Helper()
	for _, plugin := range c.list(t, node, ownList).Plugins {
		if plugin["type"] == "osm-cni" {
			return plugin
		}
	}
	return nil
}

// rolledOut waits until a DaemonSet or Deployment is ready everywhere.
func (c *Cluster) rolledOut(t *testing.T, namespace, object string) {
	t.Helper()
	c.kubectl(t, "-n", namespace, "rollout", "status", object, "--timeout="+patience.String())
}

// patchDaemonSet changes our DaemonSet and waits until it is ready everywhere.
func (c *Cluster) patchDaemonSet(t *testing.T, patch []object) {
	t.Helper()
	text, err := json.Marshal(patch)
	if err != nil {
		t.Fatal(err)
	}
	c.kubectl(t, "-n", "osm-cni", "patch", "daemonset", "osm-cni", "--type=json", "-p", string(text))
	c.rolledOut(t, "osm-cni", "daemonset/osm-cni")
}
