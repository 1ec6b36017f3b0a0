package scenarios

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// reboot restarts the worker.
func reboot(t *testing.T, c *Cluster) {
	namespace := c.namespace(t, "reboot")
	server := c.start(t, namespace, c.pod("server", "control-plane"))
	client := c.start(t, namespace, withSidecarVolume(c.pod("client", "worker")))
	c.restartWorker(t)
	c.restarted(t, client)
	c.kubectl(t, "wait", "--for=condition=Ready", "nodes", "--all", "--timeout="+patience.String())
	c.expectWay(t, namespace, "client", at(server, 8080), captured)
}

func (c *Cluster) restartWorker(t *testing.T) {
	t.Helper()
	if output, err := command(t, "", c.provider, "restart", "--time", "10", c.name+"-worker"); err != nil {
		t.Fatal(err, output)
	}
}

// restarted waits until a pod runs again after its node's reboot.
func (c *Cluster) restarted(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	before := pod.Status.ContainerStatuses[0].RestartCount
	eventually(t, "the pod after its node's reboot", func() error {
		if count := c.get(t, pod.Namespace, pod.Name).Status.ContainerStatuses[0].RestartCount; count == before {
			return fmt.Errorf("%d restarts", count)
		}
		return nil
	})
	c.ready(t, pod.Namespace, pod.Name)
	eventually(t, "an exec after the reboot", func() error {
		_, err := c.run(t, pod.Namespace, pod.Name, "exit", "0")
		return err
	})
}

// rebootBeforeAgents: the primary's file is gone after the reboot, and neither its
// agent nor our DaemonSet runs. Our own list is enough.
func rebootBeforeAgents(t *testing.T, c *Cluster) {
	namespace := c.namespace(t, "reboot-before-agents")
	client := c.start(t, namespace, withSidecarVolume(c.pod("client", "worker")))
	c.kubectl(t, "-n", "osm-cni", "delete", "daemonset", "osm-cni", "--wait")
	c.kubectl(t, "-n", "kube-system", "patch", "daemonset", "primary", "-p",
		`{"spec": {"template": {"spec": {"nodeSelector": {"kubernetes.io/hostname": "`+c.name+`-control-plane"}}}}}`)
	for namespace, app := range map[string]string{"osm-cni": "app.kubernetes.io/name=osm-cni", "kube-system": "app=primary"} {
		c.kubectl(t, "-n", namespace, "wait", "--for=delete", "pod", "-l", app,
			"--field-selector=spec.nodeName="+c.name+"-worker", "--timeout="+patience.String())
	}
	c.node(t, "worker", "sh", "-c", `printf '[Unit]\nBefore=containerd.service\n[Service]\nType=oneshot\nExecStart=/bin/rm -f `+primaryList+`\n[Install]\nWantedBy=multi-user.target\n' >/etc/systemd/system/no-primary.service
systemctl enable no-primary.service`)
	c.restartWorker(t)
	c.restarted(t, client)
	if names := strings.Fields(c.node(t, "worker", "ls", "/etc/cni/net.d")); strings.Join(names, " ") != "00-osm-cni.conflist" {
		t.Errorf("the worker has %q in /etc/cni/net.d", names)
	}
	// No route leads to the other node yet; where a captured connection goes needs none.
	c.expectWay(t, namespace, "client", "192.0.2.1:80", captured)
	c.node(t, "worker", "sh", "-c", "systemctl disable no-primary.service; rm /etc/systemd/system/no-primary.service")
	c.apply(t, "install/osm-cni.yaml")
	c.kubectl(t, "-n", "kube-system", "patch", "daemonset", "primary", "--type=json", "-p",
		`[{"op": "remove", "path": "/spec/template/spec/nodeSelector"}]`)
	c.rolledOut(t, "kube-system", "daemonset/primary")
	c.rolledOut(t, "osm-cni", "daemonset/osm-cni")
	again := c.start(t, namespace, withSidecarVolume(c.pod("again", "worker")))
	c.expectWay(t, namespace, again.Name, "192.0.2.1:80", captured)
}

// addedNode: a node that the cluster has not known joins while the settings are
// wrong. Pods of the mesh are refused there, and no others; the start-up taint
// stays until the settings are mended, and then pods are captured from their first
// connection.
func addedNode(t *testing.T, c *Cluster) {
	namespace := c.namespace(t, "added-node")
	server := c.start(t, namespace, c.pod("server", "control-plane"))
	c.apply(t, "install/startup-taint.yaml")
	c.rolledOut(t, "osm-cni-taint", "deployment/osm-cni-taint")
	c.settings(t, `{"ruleset": "osm-v1", "traffic": {"outboundPortExclusionList": [70000]}}`)
	c.node(t, "worker2", "kubeadm", "join", "--config", "/kind/kubeadm.conf", "--skip-phases=preflight")
	eventually(t, "our entry on the new node", func() error {
		entry := fmt.Sprint(c.entry(t, "worker2"))
		if !strings.Contains(entry, "70000") {
			return fmt.Errorf("it is %s", entry)
		}
		return nil
	})
	// By their node's name pods get past the scheduler, and past the taint.
	refused := withSidecarVolume(c.pod("refused", "worker2"))
	c.create(t, namespace, refused)
	plain := c.start(t, namespace, c.pod("plain", "worker2"))
	c.expectWay(t, namespace, plain.Name, at(server, 8080), direct)
	c.event(t, namespace, refused.Name, "FailedCreatePodSandBox", "70000 is not a port")
	scheduled := withSidecarVolume(c.pod("scheduled", ""))
	scheduled.Spec.NodeSelector = map[string]string{"kubernetes.io/hostname": c.name + "-worker2"}
	scheduled.Spec.InitContainers = []corev1.Container{container("first", "captured", at(server, 8080))}
	c.create(t, namespace, scheduled)
	c.event(t, namespace, scheduled.Name, "FailedScheduling", "untolerated taint")

	c.settings(t, `{"ruleset": "osm-v1"}`)
	c.rolledOut(t, "osm-cni", "daemonset/osm-cni")
	c.ready(t, namespace, refused.Name)
	c.expectWay(t, namespace, refused.Name, at(server, 8080), captured)
	if code, log := c.ended(t, namespace, scheduled.Name, "first"); code != 0 || strings.TrimSpace(log) != captured {
		t.Errorf("the first init container on the new node ended with %d: %s", code, log)
	}
	c.kubectl(t, "delete", "-f", c.root+"/install/startup-taint.yaml", "--timeout="+patience.String())
}
