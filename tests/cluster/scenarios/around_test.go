package scenarios

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// olderPods: pods that were there before the plugin was. Those with a sidecar are
// named, and no others; install/overlays/repair redirects them in place.
func olderPods(t *testing.T, c *Cluster) {
	namespace := c.mesh(t, "older-pods")
	outside := c.namespace(t, "older-pods-outside")
	c.apply(t, "install/admission-policy.yaml")
	c.apply(t, "install/native-admission-policy.yaml")
	c.policiesInForce(t, "osm", "older-pods-policies")
	// The validator of the policy waits ten seconds: without a restart it would be
	// too late for a repair.
	work := c.pod("work", "worker")
	patient := validator()
	patient.Args = []string{"validate", "--timeout", "10m"}
	work.Spec.InitContainers = []corev1.Container{patient}
	work.Spec.Containers = []corev1.Container{container("app", "exit", "0")}
	work.Spec.RestartPolicy = corev1.RestartPolicyNever
	job := c.startJob(t, namespace, "work", work.Spec)
	// Its validator ends with 95, again and again.
	c.create(t, namespace, c.pod("looping", "worker"))
	// These have no validator, and run.
	c.create(t, outside, withSidecarVolume(c.pod("running", "worker")))
	disabled := withSidecarVolume(c.pod("disabled", "worker"))
	disabled.Annotations["openservicemesh.io/sidecar-injection"] = "disabled"
	c.create(t, outside, disabled)
	c.create(t, outside, c.pod("plain", "worker"))
	server := c.start(t, outside, c.pod("server", "control-plane"))
	running := c.ready(t, outside, "running")
	c.ready(t, outside, "plain")
	c.ready(t, outside, "disabled")
	c.expectWay(t, outside, running.Name, at(server, 8080), direct)
	eventually(t, "the validator's end in a pod without rules", func() error {
		status := c.get(t, namespace, "looping").Status.InitContainerStatuses
		if len(status) == 0 || status[0].RestartCount < 1 {
			return fmt.Errorf("%v", status)
		}
		return nil
	})

	// Without the right to repair: the audit, in the DaemonSet's pod and on the node.
	c.apply(t, "install/osm-cni.yaml")
	c.patchDaemonSet(t, []object{{"op": "add", "path": "/spec/template/spec/containers/0/args/-", "value": "--metrics=127.0.0.1:9472"}})
	around := []string{namespace + "/" + job, namespace + "/looping", outside + "/running"}
	slices.Sort(around)
	pod := c.kubectl(t, "-n", "osm-cni", "get", "pods", "-l", "app.kubernetes.io/name=osm-cni",
		"--field-selector=spec.nodeName="+c.name+"-worker", "-o", "jsonpath={.items[*].metadata.name}")
	inPod, err := command(t, "", "kubectl", "-n", "osm-cni", "exec", pod, "--", "/osm-cni", "audit", "-o", "json")
	if err == nil {
		t.Errorf("the audit in the DaemonSet's pod ends with 0: %s", inPod)
	}
	c.expectAround(t, "in the DaemonSet's pod", inPod, around)
	c.expectAround(t, "on the node", c.audit(t, "worker"), around)
	eventually(t, "the metric", func() error { return c.metric(t, "worker", "osm_cni_pods_around_mesh", len(around)) })
	if answer := c.scrape(t, "worker", "/readyz"); !strings.HasPrefix(answer, "HTTP/1.1 200 ") {
		t.Errorf("/readyz answers %s", answer)
	}
	if log := c.kubectl(t, "-n", "osm-cni", "logs", pod); !strings.Contains(log, outside+"/running goes around the mesh") {
		t.Errorf("the log does not name the pod:\n%s", log)
	}
	c.expectWay(t, outside, running.Name, at(server, 8080), direct)

	c.kubectl(t, "apply", "-k", c.root+"/install/overlays/repair")
	c.rolledOut(t, "osm-cni", "daemonset/osm-cni")
	eventually(t, "the repair", func() error {
		if found := aroundTheMesh(t, c.audit(t, "worker")); len(found) != 0 {
			return fmt.Errorf("around the mesh are %v", found)
		}
		return nil
	})
	c.expectWay(t, outside, running.Name, at(server, 8080), captured)
	c.expectWay(t, outside, "plain", at(server, 8080), direct)
	c.expectWay(t, outside, "disabled", at(server, 8080), direct)
	if code, log := c.ended(t, namespace, job, "osm-validate"); code != 0 {
		t.Errorf("the job's validator ended with %d: %s", code, log)
	}
	if code, log := c.ended(t, namespace, job, "app"); code != 0 {
		t.Errorf("the job ended with %d: %s", code, log)
	}
	c.ready(t, namespace, "looping")
	// Through its proxy, in both directions.
	if answer := c.ask(t, namespace, "looping", at(server, 8081)); answer.Pod != "server" {
		t.Errorf("the server saw %v", answer)
	}
	c.logged(t, namespace, "looping", "outbound "+at(server, 8081))
	if answer := c.ask(t, outside, "plain", at(c.get(t, namespace, "looping"), 8081)); !answer.throughProxy() {
		t.Errorf("the repaired pod saw %v", answer)
	}
	for _, pod := range []string{"running", "plain"} {
		c.kubectl(t, "-n", outside, "delete", "pod", pod, "--timeout="+patience.String())
	}
	c.kubectl(t, "-n", namespace, "delete", "pod", "looping", "--timeout="+patience.String())
	for _, namespace := range []string{namespace, outside} {
		if events := c.kubectl(t, "-n", namespace, "events"); strings.Contains(events, "FailedKillPod") {
			t.Errorf("a repaired pod could not be removed:\n%s", events)
		}
	}
}

// audit is what the installed plugin says on the node itself.
func (c *Cluster) audit(t *testing.T, node string) string {
	t.Helper()
	return c.node(t, node, "sh", "-c", "/opt/cni/bin/osm-cni audit -o json || :")
}

func (c *Cluster) expectAround(t *testing.T, where, document string, expected []string) {
	t.Helper()
	if found := aroundTheMesh(t, document); !slices.Equal(found, expected) {
		t.Errorf("the audit %s names %q, not %q", where, found, expected)
	}
}

// aroundTheMesh returns the pods that an audit names, as NAMESPACE/NAME.
func aroundTheMesh(t *testing.T, document string) (names []string) {
	t.Helper()
	var audit struct {
		Pods   []struct{ Namespace, Name, State string }
		Around int
	}
	// The error's line may stand before the document, or after it.
	begin := max(strings.Index(document, "{"), 0)
	if err := json.NewDecoder(strings.NewReader(document[begin:])).Decode(&audit); err != nil {
		t.Fatalf("%v: %s", err, document)
	}
	for _, pod := range audit.Pods {
		if pod.State == "around-the-mesh" {
			names = append(names, pod.Namespace+"/"+pod.Name)
		}
	}
	slices.Sort(names)
	if len(names) != audit.Around {
		t.Errorf("%d pods are around the mesh, the audit says %d", len(names), audit.Around)
	}
	return names
}

// scrape asks the installer of a node, which listens on the node's loopback.
func (c *Cluster) scrape(t *testing.T, node, path string) string {
	t.Helper()
	return c.node(t, node, "bash", "-c",
		`exec 3<>/dev/tcp/127.0.0.1/9472 && printf 'GET `+path+` HTTP/1.1\r\nHost: node\r\n\r\n' >&3 && cat <&3`)
}

func (c *Cluster) metric(t *testing.T, node, name string, expected int) error {
	t.Helper()
	line := fmt.Sprintf("\n%s %d\n", name, expected)
	if text := c.scrape(t, node, "/metrics"); !strings.Contains(text, line) {
		return fmt.Errorf("%q is not in\n%s", line, text)
	}
	return nil
}
