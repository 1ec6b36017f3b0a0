package scenarios

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// fsm: FSM's overlay and policies as they are, with a pod of FSM in a namespace that
// enforces `restricted`.
func fsm(t *testing.T, c *Cluster) {
	c.fsmOverlay(t, "admission-policy.yaml")

	namespace := c.meshOf(t, "fsm", "fsm")
	server := c.server(t, namespace)
	web := c.probed(t, "fsm", namespace)
	if names := containerNames(append(web.Spec.InitContainers, web.Spec.Containers...)); names != "osm-validate sidecar app second fsm-healthcheck" {
		t.Errorf("the pod's containers are %s", names)
	}
	if answer := c.ask(t, namespace, "web", server); answer.Pod != "server" || !answer.throughProxy() {
		t.Errorf("the server saw %v", answer)
	}
	c.loggedBy(t, "sidecar", namespace, "web", "outbound "+server)
	c.hasChains(t, namespace, "web", "FSM_PROXY_")

	// Its annotations are read, and by those of OSM nothing is excluded.
	outside := c.namespace(t, "fsm-annotations")
	client := withVolume(c.pod("client", "worker"), "sidecar-bootstrap-config-volume")
	client.Annotations["flomesh.io/outbound-port-exclusion-list"] = "8081"
	client.Annotations["openservicemesh.io/outbound-port-exclusion-list"] = "8080"
	c.start(t, outside, client)
	c.expectWay(t, outside, "client", server, captured)
	c.expectWay(t, outside, "client", strings.Replace(server, ":8080", ":8081", 1), direct)
}

// fsmOverlay makes it a cluster of FSM, with policies of this kind.
func (c *Cluster) fsmOverlay(t *testing.T, policy string) {
	t.Helper()
	c.injector(t, "fsm")
	c.apply(t, "install/overlays/fsm/"+policy)
	c.apply(t, "install/overlays/fsm/native-"+policy)
	c.kubectl(t, "apply", "-k", filepath.Join(c.root, "install/overlays/fsm"))
	c.hurry(t)
	c.inForce(t, "fsm")
	c.policiesInForce(t, "fsm", "fsm-policies-in-force")
}

// fsmNative: native sidecars of FSM. Its proxy has hooks; the one before its end, which
// here ends it at once, must not be run while the application still works.
func fsmNative(t *testing.T, c *Cluster) {
	namespace := c.meshOf(t, "fsm", "fsm-native", nativeSidecars...)
	web := c.probed(t, "fsm", namespace)
	if names := containerNames(web.Spec.InitContainers); names != "osm-validate sidecar fsm-healthcheck osm-wait" {
		t.Errorf("the init containers are %s", names)
	}
	if names := containerNames(web.Spec.Containers); names != "app second" {
		t.Errorf("the containers are %s", names)
	}
	server := c.server(t, namespace)
	c.jobEnds(t, namespace, "sidecar", server)
	c.endsSlowly(t, namespace, "sidecar", server)
}

// bothMeshes: a cluster that moves from OSM to FSM, namespace by namespace.
func bothMeshes(t *testing.T, c *Cluster) {
	c.settings(t, `{"mesh": ["osm", "fsm"], "meshes": {"osm": {"ruleset": "osm-v1"}}}`)
	c.inForce(t, "[osm fsm]")
	osm, fsm := c.mesh(t, "both-osm"), c.meshOf(t, "fsm", "both-fsm")
	client := c.start(t, osm, c.pod("client", "worker"))
	server := c.start(t, fsm, c.pod("server", "worker"))
	if answer := c.ask(t, osm, "client", at(server, 8080)); answer.Pod != "server" || !answer.throughProxy() {
		t.Errorf("the server saw %v", answer)
	}
	c.logged(t, osm, client.Name, "outbound "+at(server, 8080))
	c.loggedBy(t, "sidecar", fsm, server.Name, "inbound "+at(server, 8080))
	c.hasChains(t, osm, "client", "OSM_PROXY_")
	c.hasChains(t, fsm, "server", "FSM_PROXY_")

	// Back to OSM alone.
	c.kubectl(t, "delete", "-f", filepath.Join(c.root, "install/overlays/fsm/native-admission-policy.yaml"))
	c.kubectl(t, "delete", "-f", filepath.Join(c.root, "install/overlays/fsm/admission-policy.yaml"))
	c.apply(t, "install/osm-cni.yaml")
	c.hurry(t)
	c.inForce(t, "<nil>")
	c.rolledOut(t, "osm-cni", "daemonset/osm-cni")
}

// inForce waits until all nodes have the setting `mesh`.
func (c *Cluster) inForce(t *testing.T, mesh string) {
	t.Helper()
	for _, node := range c.nodes(t) {
		eventually(t, "mesh "+mesh+" on "+node, func() error {
			if now := fmt.Sprint(c.entry(t, node)["mesh"]); now != mesh {
				return fmt.Errorf("it is %s", now)
			}
			return nil
		})
	}
}

// hasChains looks at the rules of a pod on the worker.
func (c *Cluster) hasChains(t *testing.T, namespace, name, prefix string) {
	t.Helper()
	rules := c.node(t, "worker", "/opt/cni/bin/osm-cni", "inspect", "--pod", namespace+"/"+name)
	for _, chain := range []string{"INBOUND", "IN_REDIRECT", "OUTBOUND", "OUT_REDIRECT"} {
		if !strings.Contains(rules, prefix+chain) {
			t.Errorf("%s/%s has no chain %s%s:\n%s", namespace, name, prefix, chain, rules)
		}
	}
}
