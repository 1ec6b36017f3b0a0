package scenarios

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// firstConnection: before osm-init ran in OSM, an init container went around it.
func firstConnection(t *testing.T, c *Cluster) {
	namespace := c.namespace(t, "first-connection")
	server := c.start(t, namespace, c.pod("server", "control-plane"))
	pod := withSidecarVolume(c.pod("client", "worker"))
	pod.Spec.InitContainers = []corev1.Container{container("first", "captured", at(server, 8080))}
	c.create(t, namespace, pod)
	if code, log := c.ended(t, namespace, "client", "first"); code != 0 || strings.TrimSpace(log) != captured {
		t.Errorf("the first init container ended with %d: %s", code, log)
	}
}

func leftAlone(t *testing.T, c *Cluster) {
	namespace := c.namespace(t, "left-alone")
	server := c.start(t, namespace, c.pod("server", "control-plane"))
	pod := c.pod("client", "worker")
	pod.Annotations["openservicemesh.io/sidecar-injection"] = "enabled"
	c.start(t, namespace, pod)
	c.expectWay(t, namespace, "client", at(server, 8080), direct)
	if answer := c.ask(t, namespace, "client", at(server, 8080)); answer.throughProxy() {
		t.Errorf("a proxy is between: %v", answer)
	}
}

func annotationExclusions(t *testing.T, c *Cluster) {
	namespace := c.namespace(t, "annotation-exclusions")
	server := c.start(t, namespace, c.pod("server", "control-plane"))
	other := c.start(t, namespace, c.pod("other", "control-plane"))
	pod := withSidecarVolume(c.pod("client", "worker"))
	pod.Annotations["openservicemesh.io/outbound-port-exclusion-list"] = "8081"
	pod.Annotations["openservicemesh.io/outbound-ip-range-exclusion-list"] = other.Status.PodIP + "/32"
	pod.Annotations["openservicemesh.io/inbound-port-exclusion-list"] = "8082"
	client := c.start(t, namespace, pod)
	c.expectWay(t, namespace, "client", at(server, 8080), captured)
	c.expectWay(t, namespace, "client", at(server, 8081), direct)
	c.expectWay(t, namespace, "client", at(other, 8080), direct)
	// OSM does not touch IPv6, nor do we unless the settings say so.
	c.expectWay(t, namespace, "client", atIPv6(t, server, 8080), direct)
	// Nobody listens on the proxy's inbound port there.
	if output, err := c.run(t, namespace, "server", "get", "http://"+at(client, 8080)+"/"); err == nil {
		t.Errorf("what comes in to 8080 is not redirected: %s", output)
	}
	if answer := c.ask(t, namespace, "server", at(client, 8082)); answer.throughProxy() || answer.Pod != "client" {
		t.Errorf("what comes in to 8082 is redirected: %v", answer)
	}
}

func configMapExclusions(t *testing.T, c *Cluster) {
	namespace := c.namespace(t, "configmap-exclusions")
	server := c.start(t, namespace, c.pod("server", "control-plane"))
	before := c.start(t, namespace, withSidecarVolume(c.pod("before", "worker")))
	c.settings(t, `{"ruleset": "osm-v1", "traffic": {"outboundPortExclusionList": [8081]}}`)
	eventually(t, "the change on the node", func() error {
		traffic, _ := c.entry(t, "worker")["traffic"].(map[string]any)
		if list := fmt.Sprint(traffic["outboundPortExclusionList"]); list != "[8081]" {
			return fmt.Errorf("the entry's list is %s", list)
		}
		return nil
	})
	after := c.start(t, namespace, withSidecarVolume(c.pod("after", "worker")))
	c.expectWay(t, namespace, after.Name, at(server, 8081), direct)
	c.expectWay(t, namespace, after.Name, at(server, 8080), captured)
	c.expectWay(t, namespace, before.Name, at(server, 8081), captured)
	c.rolledOut(t, "osm-cni", "daemonset/osm-cni")
}

func validatorEnds(t *testing.T, c *Cluster) {
	namespace := c.namespace(t, "validator")
	for name, expected := range map[string]int{"captured": 0, "outside": 95} {
		pod := c.pod(name, "worker")
		pod.Spec.Containers = []corev1.Container{validator()}
		pod.Spec.RestartPolicy = corev1.RestartPolicyNever
		if expected == 0 {
			withSidecarVolume(pod)
		}
		c.create(t, namespace, pod)
		code, log := c.ended(t, namespace, name, "osm-validate")
		if code != expected {
			t.Errorf("in %s the validator ended with %d, not %d: %s", name, code, expected, log)
		}
		if expected == 0 {
			continue
		}
		// What `kubectl describe pod` shows.
		message := c.get(t, namespace, name).Status.ContainerStatuses[0].State.Terminated.Message
		if !strings.Contains(message, "not captured") && !strings.Contains(message, "osm-cni") {
			t.Errorf("the container's message does not say why: %q", message)
		}
	}
}

func restricted(t *testing.T, c *Cluster) {
	namespace := c.mesh(t, "injected")
	pod := c.start(t, namespace, c.pod("web", "worker"))
	if got := containerNames(append(pod.Spec.InitContainers, pod.Spec.Containers...)); got != "osm-validate app envoy" {
		t.Errorf("the pod's containers are %s", got)
	}
	if code, log := c.ended(t, namespace, "web", "osm-validate"); code != 0 {
		t.Errorf("the validator ended with %d: %s", code, log)
	}
}

// logged waits for a line in the log of one of OSM's proxies.
func (c *Cluster) logged(t *testing.T, namespace, name, line string) {
	t.Helper()
	c.loggedBy(t, "envoy", namespace, name, line)
}

func (c *Cluster) loggedBy(t *testing.T, proxy, namespace, name, line string) {
	t.Helper()
	eventually(t, fmt.Sprintf("%q in the log of %s's proxy", line, name), func() error {
		if log := c.logs(t, namespace, name, proxy); !strings.Contains(log, line+"\n") {
			return fmt.Errorf("the log is:\n%s", log)
		}
		return nil
	})
}

func bothProxies(t *testing.T, c *Cluster) {
	namespace := c.mesh(t, "both-proxies")
	c.create(t, namespace, c.pod("server", "control-plane"))
	c.create(t, namespace, c.pod("client", "worker"))
	server := c.ready(t, namespace, "server")
	c.ready(t, namespace, "client")
	answer := c.ask(t, namespace, "client", at(server, 8081))
	if answer.Pod != "server" || !answer.throughProxy() {
		t.Errorf("the server saw %v", answer)
	}
	c.logged(t, namespace, "client", "outbound "+at(server, 8081))
	c.logged(t, namespace, "server", "inbound "+at(server, 8081))
}

// probeAddress: the address of the validator's rule goes to the proxy. What the proxy
// passes on to it does not go to the proxy's outbound port again, in a circle, but the
// way of every connection of the proxy to its own pod, the inbound port.
func probeAddress(t *testing.T, c *Cluster) {
	namespace := c.mesh(t, "probe-address")
	pod := c.pod("web", "worker")
	pod.Spec.Containers[0].Args = append(pod.Spec.Containers[0].Args, "15099")
	c.start(t, namespace, pod)
	const address = "127.0.2.1:15099"
	output, err := c.run(t, namespace, "web", "get", "http://"+address+"/")
	if err != nil || !strings.Contains(output, `"pod":"web"`) {
		t.Errorf("the answer is %q, %v", output, err)
	}
	for _, way := range []string{"outbound ", "inbound "} {
		c.logged(t, namespace, "web", way+address)
		if log := c.logs(t, namespace, "web", "envoy"); strings.Count(log, way+address+"\n") != 1 {
			t.Errorf("the proxy has passed one connection on more than once:\n%.2000s", log)
		}
	}
}

func probes(t *testing.T, c *Cluster) {
	namespace := c.mesh(t, "probes")
	c.probed(t, "osm", namespace)
}

// probed starts a pod with an HTTP, a TCP and an exec probe, and returns it when all
// have been answered.
func (c *Cluster) probed(t *testing.T, mesh, namespace string) *corev1.Pod {
	t.Helper()
	pod := c.pod("web", "worker")
	app := &pod.Spec.Containers[0]
	app.LivenessProbe = app.ReadinessProbe.DeepCopy()
	app.StartupProbe = &corev1.Probe{
		ProbeHandler:  corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt(8080)}},
		PeriodSeconds: 1, FailureThreshold: 60,
	}
	pod.Spec.Containers = append(pod.Spec.Containers, container("second", "sleep"))
	pod.Spec.Containers[1].ReadinessProbe = &corev1.Probe{
		ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"/pod", "get", "http://127.0.0.1:8080/"}}},
	}
	web := c.start(t, namespace, pod)
	c.loggedBy(t, proxies[mesh], namespace, "web", "probe_15902 "+at(web, 15902))
	c.loggedBy(t, proxies[mesh], namespace, "web", "probe_15901 "+at(web, 15901))
	return web
}

func wrongAnnotation(t *testing.T, c *Cluster) {
	namespace := c.namespace(t, "wrong-annotation")
	server := c.start(t, namespace, c.pod("server", "control-plane"))
	pod := withSidecarVolume(c.pod("client", "worker"))
	const annotation = "openservicemesh.io/outbound-port-exclusion-list"
	pod.Annotations[annotation] = "8081,http"
	c.create(t, namespace, pod)
	eventually(t, "an event that names the annotation and the value", func() error {
		events := c.kubectl(t, "-n", namespace, "events", "--for", "pod/client")
		if strings.Contains(events, annotation) && strings.Contains(events, "http") {
			return nil
		}
		return fmt.Errorf("the events are:\n%s", events)
	})
	c.kubectl(t, "-n", namespace, "annotate", "--overwrite", "pod/client", annotation+"=8081")
	c.ready(t, namespace, "client")
	c.expectWay(t, namespace, "client", at(server, 8081), direct)
}

// inspectFromAfar: the command of docs/troubleshoot.md. Our namespace admits the
// privileged pod that it makes.
func inspectFromAfar(t *testing.T, c *Cluster) {
	namespace := c.namespace(t, "inspect-from-afar")
	c.start(t, namespace, withSidecarVolume(c.pod("client", "worker")))
	output := c.kubectl(t, "debug", "node/"+c.name+"-worker", "-n", "osm-cni", "--profile=sysadmin", "--image="+shellImage, "--",
		"chroot", "/host", "/opt/cni/bin/osm-cni", "inspect", "--pod", namespace+"/client")
	var pod string
	if _, err := fmt.Sscanf(output, "Creating debugging pod %s", &pod); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	defer c.kubectl(t, "-n", "osm-cni", "delete", "pod", pod, "--now")
	code, log := c.ended(t, "osm-cni", pod, "debugger")
	if code != 0 || !strings.Contains(log, "redirected: sidecar volume "+bootstrapVolume) || !strings.Contains(log, "[validate]") {
		t.Errorf("it ended with %d:\n%s", code, log)
	}
}
