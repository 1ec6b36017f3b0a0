package scenarios

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

const (
	podImage        = "osm-cni-pod:1"
	imageUnderTest  = "osm-cni:0.1.0"
	shellImage      = "kubectl:1.32"
	bootstrapSecret = "envoy-bootstrap-config"
	bootstrapVolume = "envoy-bootstrap-config-volume"
)

// namespace makes one for a scenario, which enforces `restricted`, and removes it
// afterwards. labels: pairs of key and value.
func (c *Cluster) namespace(t *testing.T, name string, labels ...string) string {
	t.Helper()
	all := map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}
	for i := 0; i+1 < len(labels); i += 2 {
		all[labels[i]] = labels[i+1]
	}
	_, err := c.client.CoreV1().Namespaces().Create(t.Context(),
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: all}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			output, _ := command(t, "", "kubectl", "-n", name, "describe", "pods")
			t.Log(output)
		}
		// The test's own context has ended.
		none := int64(0)
		c.client.CoreV1().Namespaces().Delete(context.Background(), name, metav1.DeleteOptions{GracePeriodSeconds: &none})
	})
	_, err = c.client.CoreV1().Secrets(name).Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: bootstrapSecret},
		StringData: map[string]string{"bootstrap.yaml": bootstrap()},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return name
}

var (
	prefixes = map[string]string{"osm": "openservicemesh.io", "fsm": "flomesh.io"}
	proxies  = map[string]string{"osm": "envoy", "fsm": "sidecar"}
	// The label that opts a namespace in to native sidecars.
	nativeSidecars = []string{"osm-cni/native-sidecars", "enabled"}
)

// mesh makes a namespace whose pods OSM injects.
func (c *Cluster) mesh(t *testing.T, name string, labels ...string) string {
	t.Helper()
	return c.meshOf(t, "osm", name, labels...)
}

// meshOf makes a namespace whose pods a mesh injects.
func (c *Cluster) meshOf(t *testing.T, mesh, name string, labels ...string) string {
	t.Helper()
	return c.namespace(t, name, append([]string{prefixes[mesh] + "/monitored-by", mesh}, labels...)...)
}

// dryRun returns a pod as it would be admitted.
func (c *Cluster) dryRun(t *testing.T, namespace string, pod *corev1.Pod) (*corev1.Pod, error) {
	t.Helper()
	return c.client.CoreV1().Pods(namespace).Create(t.Context(), pod,
		metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
}

func containerNames(containers []corev1.Container) string {
	var names []string
	for _, container := range containers {
		names = append(names, container.Name)
	}
	return strings.Join(names, " ")
}

// unprivileged is what `restricted` asks of a container.
func unprivileged() *corev1.SecurityContext {
	user, yes, no := int64(65532), true, false
	return &corev1.SecurityContext{
		RunAsUser: &user, RunAsNonRoot: &yes, AllowPrivilegeEscalation: &no, ReadOnlyRootFilesystem: &yes,
		Capabilities:   &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
}

func container(name string, args ...string) corev1.Container {
	return corev1.Container{Name: name, Image: podImage, Args: args, SecurityContext: unprivileged()}
}

// validator is the container that admission-policy.yaml puts into pods.
func validator() corev1.Container {
	return corev1.Container{
		Name: "osm-validate", Image: imageUnderTest, Command: []string{"/osm-cni"},
		Args: []string{"validate", "--timeout", "10s"}, SecurityContext: unprivileged(),
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
	}
}

// pod is a server on three ports, on the named node.
func (c *Cluster) pod(name, node string) *corev1.Pod {
	no, second := false, int64(1)
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": name}, Annotations: map[string]string{}},
		Spec: corev1.PodSpec{
			AutomountServiceAccountToken: &no, EnableServiceLinks: &no, TerminationGracePeriodSeconds: &second,
			Containers: []corev1.Container{container("app", "serve", "8080", "8081", "8082")},
		},
	}
	pod.Spec.Containers[0].ReadinessProbe = &corev1.Probe{
		ProbeHandler:  corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/", Port: intstr.FromInt(8080)}},
		PeriodSeconds: 1,
	}
	if node != "" {
		pod.Spec.NodeName = c.name + "-" + node
	}
	return pod
}

// withSidecarVolume gives a pod the volume by which an injected sidecar is
// recognised, and no proxy: who listens on the proxy's port can be chosen.
func withSidecarVolume(pod *corev1.Pod) *corev1.Pod {
	return withVolume(pod, bootstrapVolume)
}

func withVolume(pod *corev1.Pod, name string) *corev1.Pod {
	pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{
		Name:         name,
		VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: bootstrapSecret}},
	})
	for i := range pod.Spec.Containers {
		// What comes in is redirected, too: nothing listens there for a probe.
		pod.Spec.Containers[i].ReadinessProbe = nil
		// The kubelet leaves out a volume that no container mounts.
		pod.Spec.Containers[i].VolumeMounts = append(pod.Spec.Containers[i].VolumeMounts,
			corev1.VolumeMount{Name: name, MountPath: "/bootstrap", ReadOnly: true})
	}
	return pod
}

func (c *Cluster) create(t *testing.T, namespace string, pod *corev1.Pod) {
	t.Helper()
	eventually(t, "pod "+pod.Name, func() error {
		_, err := c.client.CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{})
		// The namespace's service account comes a moment after it.
		if err != nil && !strings.Contains(err.Error(), "serviceaccount") {
			t.Fatal(err)
		}
		return err
	})
}

func (c *Cluster) get(t *testing.T, namespace, name string) *corev1.Pod {
	t.Helper()
	pod, err := c.client.CoreV1().Pods(namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return pod
}

// ready waits until a pod is ready, and returns it.
func (c *Cluster) ready(t *testing.T, namespace, name string) *corev1.Pod {
	t.Helper()
	var pod *corev1.Pod
	eventually(t, namespace+"/"+name+" ready", func() error {
		pod = c.get(t, namespace, name)
		for _, condition := range pod.Status.Conditions {
			if condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue {
				return nil
			}
		}
		return fmt.Errorf("phase %s, %v", pod.Status.Phase, pod.Status.ContainerStatuses)
	})
	return pod
}

// start makes a pod and waits until it is ready.
func (c *Cluster) start(t *testing.T, namespace string, pod *corev1.Pod) *corev1.Pod {
	t.Helper()
	c.create(t, namespace, pod)
	return c.ready(t, namespace, pod.Name)
}

// ended waits until a container of a pod has ended (init containers too), and
// returns its exit code and its log.
func (c *Cluster) ended(t *testing.T, namespace, name, container string) (int, string) {
	t.Helper()
	code := 0
	eventually(t, fmt.Sprintf("end of %s in %s/%s", container, namespace, name), func() error {
		pod := c.get(t, namespace, name)
		for _, status := range append(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses...) {
			if status.Name != container {
				continue
			}
			ended := status.State.Terminated
			if ended == nil {
				ended = status.LastTerminationState.Terminated
			}
			if ended != nil {
				code = int(ended.ExitCode)
				return nil
			}
		}
		return fmt.Errorf("phase %s", pod.Status.Phase)
	})
	return code, c.logs(t, namespace, name, container)
}

func (c *Cluster) logs(t *testing.T, namespace, name, container string) string {
	t.Helper()
	return c.kubectl(t, "-n", namespace, "logs", name, "-c", container)
}

// run runs the test program in a pod's container and returns what it printed.
func (c *Cluster) run(t *testing.T, namespace, name string, args ...string) (string, error) {
	t.Helper()
	return command(t, "", "kubectl", append([]string{"-n", namespace, "exec", name, "-c", "app", "--", "/pod"}, args...)...)
}

// way says where a connection of the pod goes: "captured" or "direct: ...".
func (c *Cluster) way(t *testing.T, namespace, name, address string) string {
	t.Helper()
	output, err := c.run(t, namespace, name, "captured", address)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(output)
}

func (c *Cluster) expectWay(t *testing.T, namespace, name, address, expected string) {
	t.Helper()
	if way := c.way(t, namespace, name, address); way != expected {
		t.Errorf("%s/%s to %s: %q, not %q", namespace, name, address, way, expected)
	}
}

const (
	captured = "captured"
	direct   = "direct: connected"
)

// seen is what a server saw of a connection.
type seen struct{ Pod, Remote, Local string }

func (c *Cluster) ask(t *testing.T, namespace, name, address string) seen {
	t.Helper()
	var answer seen
	eventually(t, namespace+"/"+name+" gets an answer of "+address, func() error {
		output, err := c.run(t, namespace, name, "get", "http://"+address+"/")
		if err != nil {
			return err
		}
		return json.Unmarshal([]byte(output), &answer)
	})
	return answer
}

func (s seen) throughProxy() bool {
	host, _, err := net.SplitHostPort(s.Remote)
	return err == nil && net.ParseIP(host).IsLoopback()
}

func at(pod *corev1.Pod, port int) string {
	return net.JoinHostPort(pod.Status.PodIP, fmt.Sprint(port))
}

// atIPv6 is the pod's address of the other family.
func atIPv6(t *testing.T, pod *corev1.Pod, port int) string {
	t.Helper()
	for _, ip := range pod.Status.PodIPs {
		if strings.Contains(ip.IP, ":") {
			return net.JoinHostPort(ip.IP, fmt.Sprint(port))
		}
	}
	t.Fatalf("pod %s has no IPv6 address: %v", pod.Name, pod.Status.PodIPs)
	return ""
}

// event waits for an event of a pod whose text has all of these.
func (c *Cluster) event(t *testing.T, namespace, pod string, words ...string) {
	t.Helper()
	eventually(t, fmt.Sprintf("an event of %s/%s with %q", namespace, pod, words), func() error {
		events := c.kubectl(t, "-n", namespace, "events", "--for", "pod/"+pod)
		for _, line := range strings.Split(events, "\n") {
			if containsAll(line, words) {
				return nil
			}
		}
		return fmt.Errorf("the events are:\n%s", events)
	})
}

func containsAll(text string, words []string) bool {
	for _, word := range words {
		if !strings.Contains(text, word) {
			return false
		}
	}
	return true
}
