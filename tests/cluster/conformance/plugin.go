package main

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
)

// kubectl runs each line as the arguments of kubectl.
func kubectl(lines ...string) error {
	for _, line := range lines {
		if _, err := command("kubectl", strings.Fields(line)...); err != nil {
			return err
		}
	}
	return nil
}

// install brings the pod network and osm-cni into the cluster, and lets both nodes
// take pods.
func (c cluster) install() error {
	if err := kubectl(
		"apply -f "+filepath.Join(c.root, "tests/cluster/primary.yaml"),
		"-n kube-system rollout status daemonset/primary --timeout=5m",
		"apply -k "+filepath.Join(c.root, "install/overlays/kind"),
		"-n osm-cni rollout status daemonset/osm-cni --timeout=5m",
		"wait --for=condition=Ready nodes --all --timeout=5m",
		// With --all it fails for a node that has no such taint.
		"taint nodes --selector node-role.kubernetes.io/control-plane node-role.kubernetes.io/control-plane-",
		"-n kube-system rollout status deployment/coredns --timeout=5m",
	); err != nil {
		return err
	}
	return c.chained(true)
}

// uninstall does what install/uninstall.yaml tells its reader to do.
func (c cluster) uninstall() error {
	uninstall := filepath.Join(c.root, "install/overlays/kind/uninstall")
	if err := kubectl(
		"-n osm-cni delete daemonset osm-cni",
		"-n osm-cni wait --for=delete pod -l app.kubernetes.io/name=osm-cni --timeout=5m",
		"apply -k "+uninstall,
		"-n osm-cni rollout status daemonset/osm-cni-uninstall --timeout=5m",
		"delete -k "+uninstall,
		"-n osm-cni wait --for=delete pod -l app.kubernetes.io/name=osm-cni-uninstall --timeout=5m",
		"delete namespace osm-cni --timeout=5m",
	); err != nil {
		return err
	}
	return c.chained(false)
}

// onNodes runs a shell command on every node and returns what it printed, by node.
func (c cluster) onNodes(script string) (map[string]string, error) {
	nodes, err := command("kubectl", "get", "nodes", "-o", "jsonpath={.items[*].metadata.name}")
	if err != nil {
		return nil, err
	}
	printed := map[string]string{}
	for _, node := range strings.Fields(nodes) {
		// A node's name is its container's.
		text, err := command(c.provider, "exec", node, "sh", "-c", script)
		if err != nil {
			return nil, err
		}
		printed[node] = strings.TrimSpace(text)
	}
	return printed, nil
}

// chained checks that osm-cni is, or is not, in the network configuration of every node.
func (c cluster) chained(wanted bool) error {
	counts, err := c.onNodes(`cat /etc/cni/net.d/*.conflist | grep -c '"type": *"osm-cni"' || true`)
	if err != nil {
		return err
	}
	for node, count := range counts {
		if found := count != "0"; found != wanted {
			return fmt.Errorf("%s: osm-cni in /etc/cni/net.d is %v, not %v", node, found, wanted)
		}
	}
	return nil
}

// calls counts the pods that osm-cni was called for, by node.
func (c cluster) calls() (map[string]int, error) {
	logged, err := c.onNodes("cat /var/log/osm-cni/osm-cni.log* 2>/dev/null | grep -c verb=ADD || true")
	if err != nil {
		return nil, err
	}
	counts := map[string]int{}
	for node, count := range logged {
		if counts[node], err = strconv.Atoi(count); err != nil {
			return nil, fmt.Errorf("the log of %s: %w", node, err)
		}
	}
	return counts, nil
}
