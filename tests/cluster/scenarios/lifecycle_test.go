package scenarios

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// services: a ClusterIP is captured as any address is, and answered through both
// proxies.
func services(t *testing.T, c *Cluster) {
	namespace := c.mesh(t, "services")
	c.create(t, namespace, c.pod("server", "control-plane"))
	c.create(t, namespace, c.pod("client", "worker"))
	service, err := c.client.CoreV1().Services(namespace).Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "server"},
		Spec: corev1.ServiceSpec{Selector: map[string]string{"app": "server"},
			Ports: []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt(8080)}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c.ready(t, namespace, "server")
	c.ready(t, namespace, "client")
	address := service.Spec.ClusterIP + ":80"
	if answer := c.ask(t, namespace, "client", address); answer.Pod != "server" || !answer.throughProxy() {
		t.Errorf("the server saw %v", answer)
	}
	c.logged(t, namespace, "client", "outbound "+address)
	// By its name, which is asked of by UDP and not the proxy's business.
	if answer := c.ask(t, namespace, "client", "server."+namespace+".svc.cluster.local"); answer.Pod != "server" {
		t.Errorf("by name answers %v", answer)
	}
}

// hostPort: the portmap plugin before us sends it to the pod, and there it is redirected.
func hostPort(t *testing.T, c *Cluster) {
	namespace := c.namespace(t, "host-port", "openservicemesh.io/monitored-by", "osm")
	c.kubectl(t, "label", "--overwrite", "namespace", namespace, "pod-security.kubernetes.io/enforce=privileged")
	pod := c.pod("server", "worker")
	pod.Spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 8080, HostPort: 18080}}
	server := c.start(t, namespace, pod)
	client := c.pod("client", "control-plane")
	client.Annotations["openservicemesh.io/sidecar-injection"] = "disabled"
	c.start(t, namespace, client)
	answer := c.ask(t, namespace, "client", server.Status.HostIP+":18080")
	if answer.Pod != "server" || !answer.throughProxy() {
		t.Errorf("the server saw %v", answer)
	}
}

// lateSecret: the kubelet waits for a pod's volumes before it asks for its sandbox.
func lateSecret(t *testing.T, c *Cluster) {
	namespace := c.namespace(t, "late-secret")
	server := c.start(t, namespace, c.pod("server", "control-plane"))
	if err := c.client.CoreV1().Secrets(namespace).Delete(t.Context(), bootstrapSecret, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	c.create(t, namespace, withSidecarVolume(c.pod("client", "worker")))
	eventually(t, "the kubelet's complaint", func() error {
		if events := c.kubectl(t, "-n", namespace, "events", "--for", "pod/client"); !strings.Contains(events, "FailedMount") {
			return fmt.Errorf("the events are:\n%s", events)
		}
		return nil
	})
	_, err := c.client.CoreV1().Secrets(namespace).Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: bootstrapSecret}, StringData: map[string]string{"bootstrap.yaml": "{}"},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	// The kubelet tries again after a minute or two.
	c.ready(t, namespace, "client")
	c.expectWay(t, namespace, "client", at(server, 8080), captured)
}

// kill kills the processes of a pod on the worker that were started as the program.
func (c *Cluster) kill(t *testing.T, pod *corev1.Pod, program string) {
	t.Helper()
	// A process's cgroup names its pod, on systemd with other separators.
	c.node(t, "worker", "sh", "-c", fmt.Sprintf(
		`for p in /proc/[0-9]*; do if [ "$(tr '\0' '\n' 2>/dev/null <$p/cmdline | head -n 1)" = "%s" ] && grep -q %s $p/cgroup; then kill -9 ${p#/proc/}; fi; done`,
		program, strings.ReplaceAll(string(pod.UID), "-", ".")))
}

// newSandbox: a sandbox whose pause process was killed is made anew, with the rules.
func newSandbox(t *testing.T, c *Cluster) {
	namespace := c.namespace(t, "new-sandbox")
	server := c.start(t, namespace, c.pod("server", "control-plane"))
	client := c.start(t, namespace, withSidecarVolume(c.pod("client", "worker")))
	c.kill(t, client, "/pause")
	eventually(t, "the new sandbox", func() error {
		pod := c.get(t, namespace, "client")
		if pod.Status.PodIP == client.Status.PodIP || pod.Status.PodIP == "" {
			return fmt.Errorf("the pod's address is %q", pod.Status.PodIP)
		}
		return nil
	})
	c.ready(t, namespace, "client")
	c.expectWay(t, namespace, "client", at(server, 8080), captured)
}

// userNamespace: the rules match uids as the pod's own user namespace has them.
func userNamespace(t *testing.T, c *Cluster) {
	namespace := c.mesh(t, "user-namespace")
	no := false
	pod := c.pod("client", "worker")
	pod.Spec.HostUsers = &no
	c.create(t, namespace, pod)
	c.create(t, namespace, c.pod("server", "control-plane"))
	server := c.ready(t, namespace, "server")
	c.ready(t, namespace, "client")
	if answer := c.ask(t, namespace, "client", at(server, 8080)); answer.Pod != "server" || !answer.throughProxy() {
		t.Errorf("the server saw %v", answer)
	}
	c.logged(t, namespace, "client", "outbound "+at(server, 8080))
}

// job: an injected Job runs; with the proxy beside it it does not end by itself,
// and can be removed.
func job(t *testing.T, c *Cluster) {
	namespace := c.mesh(t, "job")
	name := c.startJob(t, namespace, "work", corev1.PodSpec{Containers: []corev1.Container{container("app", "exit", "0")}})
	if code, log := c.ended(t, namespace, name, "app"); code != 0 {
		t.Errorf("the job's container ended with %d: %s", code, log)
	}
	c.kubectl(t, "-n", namespace, "delete", "job", "work", "--timeout="+patience.String())
}

// startJob makes a Job of one try, and returns the name of its pod.
func (c *Cluster) startJob(t *testing.T, namespace, name string, spec corev1.PodSpec) (pod string) {
	t.Helper()
	none, no := int32(0), false
	spec.AutomountServiceAccountToken = &no
	spec.RestartPolicy = corev1.RestartPolicyNever
	_, err := c.client.BatchV1().Jobs(namespace).Create(t.Context(), &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       batchv1.JobSpec{BackoffLimit: &none, Template: corev1.PodTemplateSpec{Spec: spec}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the job's pod", func() error {
		pod = c.kubectl(t, "-n", namespace, "get", "pods", "-l", "job-name="+name, "-o", "jsonpath={.items[*].metadata.name}")
		if pod == "" {
			return fmt.Errorf("none yet")
		}
		return nil
	})
	return pod
}

// ownValidator: a workload that has the validator already is not given another.
func ownValidator(t *testing.T, c *Cluster) {
	namespace := c.mesh(t, "own-validator")
	pod := c.pod("web", "worker")
	pod.Spec.InitContainers = []corev1.Container{validator()}
	web := c.start(t, namespace, pod)
	if len(web.Spec.InitContainers) != 1 || web.Spec.InitContainers[0].Name != "osm-validate" {
		t.Errorf("the init containers are %v", web.Spec.InitContainers)
	}
}

// frozenExclusions: the policy of docs/annotations.md as it stands there.
func frozenExclusions(t *testing.T, c *Cluster) {
	page, err := os.ReadFile(filepath.Join(c.root, "docs/annotations.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, policy, _ := strings.Cut(string(page), "```yaml\n")
	policy, _, found := strings.Cut(policy, "```")
	if !found {
		t.Fatal("docs/annotations.md has no policy")
	}
	namespace := c.namespace(t, "frozen-exclusions")
	c.start(t, namespace, c.pod("web", "worker"))
	annotate := func(annotation string) error {
		_, err := command(t, "", "kubectl", "-n", namespace, "annotate", "--overwrite", "pod/web", annotation)
		return err
	}
	c.applyText(t, policy)
	eventually(t, "the policy", func() error {
		if err := annotate(fmt.Sprintf("openservicemesh.io/outbound-port-exclusion-list=%d", time.Now().Unix()%1000+1)); err == nil {
			return errors.New("exclusions can be changed")
		} else if !strings.Contains(err.Error(), "exclusions of a running pod may not be changed") {
			t.Fatal(err)
		}
		return nil
	})
	for _, annotation := range []string{"openservicemesh.io/sidecar-injection=disabled", "openservicemesh.io/outbound-uid-exclusion-list=0"} {
		if annotate(annotation) == nil {
			t.Errorf("%s was admitted", annotation)
		}
	}
	if err := annotate("example.com/other=1"); err != nil {
		t.Error(err)
	}
	c.kubectl(t, "delete", "validatingadmissionpolicy,validatingadmissionpolicybinding", "osm-cni-annotations")
}

// wrongSettings: what a ConfigMap has wrong is refused, and the last good ones stay.
func wrongSettings(t *testing.T, c *Cluster) {
	namespace := c.namespace(t, "wrong-settings")
	server := c.start(t, namespace, c.pod("server", "control-plane"))
	good := fmt.Sprint(c.entry(t, "worker"))
	c.settings(t, `{"ruleset": "osm-v1", "traffic": {"outboundPortExclusionList": [70000]}}`)
	eventually(t, "the DaemonSet not ready", func() error {
		ready := c.kubectl(t, "-n", "osm-cni", "get", "daemonset", "osm-cni", "-o", "jsonpath={.status.numberReady}")
		if ready != "0" {
			return fmt.Errorf("%s are ready", ready)
		}
		return nil
	})
	if logs := c.kubectl(t, "-n", "osm-cni", "logs", "daemonset/osm-cni"); !strings.Contains(logs, "70000 is not a port") {
		t.Errorf("the log does not say what is wrong:\n%s", logs)
	}
	if now := fmt.Sprint(c.entry(t, "worker")); now != good {
		t.Errorf("the entry is %s, not %s", now, good)
	}
	client := c.start(t, namespace, withSidecarVolume(c.pod("client", "worker")))
	c.expectWay(t, namespace, client.Name, at(server, 8080), captured)
	c.settings(t, `{"ruleset": "osm-v1"}`)
	c.rolledOut(t, "osm-cni", "daemonset/osm-cni")
}

// restarts: neither the kubelet nor containerd forgets the chain.
func restarts(t *testing.T, c *Cluster) {
	namespace := c.namespace(t, "restarts")
	server := c.start(t, namespace, c.pod("server", "control-plane"))
	before := c.start(t, namespace, withSidecarVolume(c.pod("before", "worker")))
	for _, unit := range []string{"containerd", "kubelet"} {
		c.node(t, "worker", "systemctl", "restart", unit)
		name := "after-" + unit
		c.start(t, namespace, withSidecarVolume(c.pod(name, "worker")))
		c.expectWay(t, namespace, name, at(server, 8080), captured)
	}
	c.expectWay(t, namespace, before.Name, at(server, 8080), captured)
}

// crowd: many pods at once, with a sidecar's volume and without; both are printed.
func crowd(t *testing.T, c *Cluster) {
	const pods = 60
	for _, meshed := range []bool{false, true} {
		namespace := c.namespace(t, fmt.Sprintf("crowd-%t", meshed))
		begin := time.Now()
		for i := range pods {
			pod := c.pod(fmt.Sprintf("pod-%d", i), "worker")
			if meshed {
				pod = withSidecarVolume(pod)
			} else {
				pod.Spec.Containers[0].ReadinessProbe = nil
			}
			c.create(t, namespace, pod)
		}
		c.kubectl(t, "-n", namespace, "wait", "--for=condition=Ready", "pods", "--all", "--timeout="+patience.String())
		t.Logf("%d pods, with a sidecar's volume: %t: all ready after %.1f s", pods, meshed, time.Since(begin).Seconds())
		if meshed {
			tables := c.node(t, "worker", "sh", "-c",
				`n=0; for f in /run/netns/*; do if nsenter --net=$f nft list table ip osm >/dev/null 2>&1; then n=$((n+1)); fi; done; echo $n`)
			var count int
			if fmt.Sscan(tables, &count); count < pods {
				t.Errorf("%d network namespaces have the rules, not %d", count, pods)
			}
		}
		if !meshed {
			// A node has no room for both crowds.
			c.kubectl(t, "delete", "namespace", namespace, "--timeout="+patience.String())
		}
	}
}
