package scenarios

import (
	"fmt"
	"strings"
	"testing"
)

// meshConfig: applying meshconfig-sync.yaml again leaves what it has copied, and the
// operator's ConfigMap stays as it is.
func meshConfig(t *testing.T, c *Cluster) {
	operators := func() string {
		return c.kubectl(t, "-n", "osm-cni", "get", "configmap", "osm-cni", "-o", "jsonpath={.metadata.resourceVersion} {.data}")
	}
	copied := func() string {
		return c.kubectl(t, "-n", "osm-cni", "get", "configmap", "osm-cni-mesh-config", "-o", `jsonpath={.data.mesh-config\.json}`)
	}
	// A field that the operator has wins over the MeshConfig's, also an empty list.
	c.settingsInForce(t, `{"ruleset": "osm-v1", "traffic": {"outboundPortExclusionList": []}}`)
	before := operators()
	// The definition has to be known before its first object.
	eventually(t, "the MeshConfig", func() error {
		_, err := command(t, "", "kubectl", "apply", "-f", c.root+"/tests/cluster/meshconfig.yaml")
		return err
	})
	c.apply(t, "install/meshconfig-sync.yaml")
	c.rolledOut(t, "osm-cni-sync", "deployment/osm-cni-sync")
	eventually(t, "the copy of the MeshConfig", func() error {
		if text := copied(); !strings.Contains(text, "8082") || !strings.Contains(text, "MeshConfig") {
			return fmt.Errorf("it is %q; %s", text, c.kubectl(t, "-n", "osm-cni-sync", "logs", "deployment/osm-cni-sync"))
		}
		return nil
	})
	first := copied()
	c.apply(t, "install/meshconfig-sync.yaml")
	if again := copied(); again != first {
		t.Errorf("after a second apply the copy is %q", again)
	}
	label := c.kubectl(t, "-n", "osm-cni", "get", "configmap", "osm-cni-mesh-config", "-o", `jsonpath={.metadata.labels.app\.kubernetes\.io/name}`)
	if label != "osm-cni-sync" {
		t.Errorf("the copy's label is %q", label)
	}
	if now := operators(); now != before {
		t.Errorf("the operator's ConfigMap was %s and is %s", before, now)
	}
	// The operator's empty list has won so far; without it the MeshConfig's counts.
	exclusions := func(expected string) func() error {
		return func() error {
			traffic, _ := c.entry(t, "worker")["traffic"].(map[string]any)
			if list := fmt.Sprint(traffic["outboundPortExclusionList"]); list != expected {
				return fmt.Errorf("the entry's list is %s", list)
			}
			return nil
		}
	}
	if err := exclusions("[]")(); err != nil {
		t.Error(err)
	}
	c.settings(t, `{"ruleset": "osm-v1"}`)
	eventually(t, "the MeshConfig's list on the node", exclusions("[8082]"))
	c.kubectl(t, "delete", "-f", c.root+"/install/meshconfig-sync.yaml", "--timeout="+patience.String())
	// Without the copy there are the operator's settings alone.
	c.settings(t, `{"ruleset": "osm-v1"}`)
	eventually(t, "an entry without the MeshConfig's list", exclusions("<nil>"))
}
