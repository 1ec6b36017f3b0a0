package scenarios

import (
	"fmt"
	"strings"
	"testing"
)

// insertAndBack: --mode insert has the entry in the primary's own file; back in own
// mode, that file has the bytes and the mode that it had.
func insertAndBack(t *testing.T, c *Cluster) {
	namespace := c.namespace(t, "insert-and-back")
	server := c.start(t, namespace, c.pod("server", "control-plane"))
	files := func(node string) string {
		return c.node(t, node, "sh", "-c", "cd /etc/cni/net.d && ls && stat -c %A 10-kindnet.conflist && cat 10-kindnet.conflist")
	}
	before := map[string]string{}
	for _, node := range c.nodes(t) {
		before[node] = files(node)
	}
	container := "/spec/template/spec/containers/0/"
	var patch []object
	for _, list := range []string{"args", "readinessProbe/exec/command"} {
		for _, argument := range []string{"--mode", "insert"} {
			patch = append(patch, object{"op": "add", "path": container + list + "/-", "value": argument})
		}
	}
	c.patchDaemonSet(t, patch)
	for node := range before {
		names := strings.Join(strings.Fields(c.node(t, node, "ls", "/etc/cni/net.d")), " ")
		if names != "10-kindnet.conflist 10-kindnet.conflist.osm-cni-orig" {
			t.Errorf("%s has %s", node, names)
		}
		if list := c.list(t, node, primaryList); fmt.Sprint(list.types()) != "[ptp portmap osm-cni]" {
			t.Errorf("on %s the plugins are %v", node, list.types())
		}
	}
	inserted := c.start(t, namespace, withSidecarVolume(c.pod("inserted", "worker")))
	c.expectWay(t, namespace, inserted.Name, at(server, 8080), captured)
	c.apply(t, "install/osm-cni.yaml")
	c.rolledOut(t, "osm-cni", "daemonset/osm-cni")
	for node, text := range before {
		if now := files(node); now != text {
			t.Errorf("%s had\n%s\nand has\n%s", node, text, now)
		}
	}
	back := c.start(t, namespace, withSidecarVolume(c.pod("back", "worker")))
	c.expectWay(t, namespace, back.Name, at(server, 8080), captured)
	c.expectWay(t, namespace, inserted.Name, at(server, 8080), captured)
}

// newestVersion: under a list of cniVersion 1.1.0 the runtime asks STATUS. Where
// nf_tables cannot be used, that is a warning: the node stays ready for the pods
// outside the mesh.
func newestVersion(t *testing.T, c *Cluster) {
	namespace := c.namespace(t, "newest-version")
	server := c.start(t, namespace, c.pod("server", "control-plane"))
	c.primaryVersion(t, "1.1.0")
	defer c.primaryVersion(t, "0.3.1")
	c.settingsInForce(t, `{"ruleset": "osm-v1", "logLevel": "debug"}`)
	lines := func(what string) int {
		var count int
		fmt.Sscan(c.node(t, "worker", "sh", "-c", "grep -c '"+what+"' /var/log/osm-cni/osm-cni.log || :"), &count)
		return count
	}
	status := lines("verb=STATUS")
	eventually(t, "STATUS", func() error {
		if lines("verb=STATUS") <= status {
			return fmt.Errorf("it is not in the log")
		}
		return nil
	})
	client := c.start(t, namespace, withSidecarVolume(c.pod("client", "worker")))
	c.expectWay(t, namespace, client.Name, at(server, 8080), captured)

	// The plugin without the capability that nf_tables wants. The mount is the node's
	// alone: the installer sees the program that it has installed.
	c.node(t, "worker", "sh", "-c", `cp -p /opt/cni/bin/osm-cni /root/osm-cni
printf '#!/bin/sh\nexec setpriv --bounding-set=-net_admin /root/osm-cni "$@"\n' >/root/without-net-admin
chmod 0755 /root/without-net-admin
mount --bind /root/without-net-admin /opt/cni/bin/osm-cni`)
	mounted := true
	restore := func() {
		if mounted {
			mounted = false
			c.node(t, "worker", "sh", "-c", "umount /opt/cni/bin/osm-cni && rm /root/without-net-admin /root/osm-cni")
		}
	}
	defer restore()
	const trouble = "pods of the mesh cannot start on this node"
	eventually(t, "several warnings of STATUS", func() error {
		if count := lines(trouble); count < 3 {
			return fmt.Errorf("%d of %q", count, trouble)
		}
		return nil
	})
	refused := withSidecarVolume(c.pod("refused", "worker"))
	c.create(t, namespace, refused)
	// The kubelet starts it only where the runtime says that its network is ready.
	plain := c.start(t, namespace, c.pod("plain", "worker"))
	c.expectWay(t, namespace, plain.Name, at(server, 8080), direct)
	c.event(t, namespace, refused.Name, "FailedCreatePodSandBox", "osm-cni")
	c.kubectl(t, "wait", "--for=condition=Ready", "nodes", "--all", "--timeout=0")
	restore()
	c.ready(t, namespace, refused.Name)
	c.expectWay(t, namespace, refused.Name, at(server, 8080), captured)
}

// primaryVersion has the primary's agents write their list at another cniVersion.
func (c *Cluster) primaryVersion(t *testing.T, version string) {
	t.Helper()
	c.kubectl(t, "-n", "kube-system", "set", "env", "daemonset/primary", "CNI_VERSION="+version)
	c.rolledOut(t, "kube-system", "daemonset/primary")
	for _, node := range c.nodes(t) {
		eventually(t, "our list on "+node, func() error {
			if list := c.list(t, node, ownList); list.CNIVersion != version {
				return fmt.Errorf("it has cniVersion %s", list.CNIVersion)
			}
			return nil
		})
	}
}
