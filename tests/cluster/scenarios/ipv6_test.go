package scenarios

import (
	"strings"
	"testing"
)

// ipv6: each of the three modes holds for the next pod, for IPv4 nothing changes.
func ipv6(t *testing.T, c *Cluster) {
	namespace := c.namespace(t, "ipv6")
	server := c.start(t, namespace, c.pod("server", "control-plane"))
	for _, mode := range []struct{ name, way string }{
		{"redirect", captured},
		{"reject", "connection refused"},
		{"bypass", direct},
	} {
		c.settingsInForce(t, `{"ruleset": "osm-v1", "ipv6": "`+mode.name+`"}`)
		pod := withSidecarVolume(c.pod(mode.name, "worker"))
		pod.Annotations["openservicemesh.io/outbound-port-exclusion-list"] = "8081"
		c.start(t, namespace, pod)
		if way := c.way(t, namespace, pod.Name, atIPv6(t, server, 8080)); !strings.HasSuffix(way, mode.way) {
			t.Errorf("with ipv6: %s an IPv6 connection is %q, not %q", mode.name, way, mode.way)
		}
		c.expectWay(t, namespace, pod.Name, atIPv6(t, server, 8081), direct)
		c.expectWay(t, namespace, pod.Name, at(server, 8080), captured)
		c.expectWay(t, namespace, pod.Name, at(server, 8081), direct)
		if mode.name == "redirect" {
			ipv6Proxies(t, c)
		}
	}
}

// ipv6Proxies: between two injected pods both Envoys pass an IPv6 connection on.
func ipv6Proxies(t *testing.T, c *Cluster) {
	namespace := c.mesh(t, "ipv6-proxies")
	c.create(t, namespace, c.pod("server", "control-plane"))
	c.create(t, namespace, c.pod("client", "worker"))
	server := c.ready(t, namespace, "server")
	c.ready(t, namespace, "client")
	address := atIPv6(t, server, 8081)
	if answer := c.ask(t, namespace, "client", address); answer.Pod != "server" || !answer.throughProxy() {
		t.Errorf("the server saw %v", answer)
	}
	c.logged(t, namespace, "client", "outbound "+address)
	c.logged(t, namespace, "server", "inbound "+address)
}
