package scenarios

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// server starts a server and returns where it listens.
func (c *Cluster) server(t *testing.T, namespace string) string {
	t.Helper()
	return at(c.start(t, namespace, c.pod("server", "control-plane")), 8080)
}

// nativeJob: a Job whose init container needs the network, and which ends by itself.
func nativeJob(t *testing.T, c *Cluster) {
	namespace := c.mesh(t, "native-job", nativeSidecars...)
	c.jobEnds(t, namespace, "envoy", c.server(t, namespace))
}

func (c *Cluster) jobEnds(t *testing.T, namespace, proxy, server string) {
	t.Helper()
	name := c.startJob(t, namespace, "work", corev1.PodSpec{
		InitContainers: []corev1.Container{container("prepare", "get", "http://"+server+"/")},
		Containers:     []corev1.Container{container("app", "get", "http://"+server+"/")},
	})
	c.kubectl(t, "-n", namespace, "wait", "--for=condition=Complete", "job/work", "--timeout="+patience.String())
	for _, container := range []string{"prepare", "app"} {
		var answer seen
		log := c.logs(t, namespace, name, container)
		if err := json.Unmarshal([]byte(log), &answer); err != nil || answer.Pod != "server" || !answer.throughProxy() {
			t.Errorf("%s did not reach the server through its proxy: %q", container, log)
		}
	}
	if count := strings.Count(c.logs(t, namespace, name, proxy), "outbound "+server+"\n"); count != 2 {
		t.Errorf("the job's own proxy passed on %d connections, not 2", count)
	}
}

// nativeOrder: the order of the containers, with all that OSM injects, and with a
// validator and an init container of the workload's own.
func nativeOrder(t *testing.T, c *Cluster) {
	namespace := c.mesh(t, "native-order", nativeSidecars...)
	pod := c.pod("web", "worker")
	pod.Spec.InitContainers = []corev1.Container{container("prepare", "exit", "0"), validator()}
	web := c.start(t, namespace, pod)
	if names := containerNames(web.Spec.InitContainers); names != "osm-validate envoy osm-wait prepare" {
		t.Errorf("the init containers are %s", names)
	}
	if names := containerNames(web.Spec.Containers); names != "app" {
		t.Errorf("the containers are %s", names)
	}
}

// nativeProbes: the health check's helper is among the init containers, too.
func nativeProbes(t *testing.T, c *Cluster) {
	namespace := c.mesh(t, "native-probes", nativeSidecars...)
	web := c.probed(t, "osm", namespace)
	if names := containerNames(web.Spec.InitContainers); names != "osm-validate envoy osm-healthcheck osm-wait" {
		t.Errorf("the init containers are %s", names)
	}
	if names := containerNames(web.Spec.Containers); names != "app second" {
		t.Errorf("the containers are %s", names)
	}
}

// initStatus is the state of an init container.
func initStatus(pod *corev1.Pod, name string) corev1.ContainerStatus {
	for _, status := range pod.Status.InitContainerStatuses {
		if status.Name == name {
			return status
		}
	}
	return corev1.ContainerStatus{}
}

// nativeCrash: a proxy that crashes is started again, and nothing else is.
func nativeCrash(t *testing.T, c *Cluster) {
	namespace := c.mesh(t, "native-crash", nativeSidecars...)
	server := c.server(t, namespace)
	client := c.start(t, namespace, c.pod("client", "worker"))
	c.ask(t, namespace, "client", server)
	c.kill(t, client, "envoy")
	eventually(t, "the proxy's restart", func() error {
		client = c.get(t, namespace, "client")
		if proxy := initStatus(client, "envoy"); proxy.RestartCount != 1 || proxy.State.Running == nil {
			return fmt.Errorf("%d restarts, %v", proxy.RestartCount, proxy.State)
		}
		return nil
	})
	if answer := c.ask(t, namespace, "client", server); answer.Pod != "server" || !answer.throughProxy() {
		t.Errorf("the server saw %v", answer)
	}
	c.logged(t, namespace, "client", "outbound "+server)
	client = c.ready(t, namespace, "client")
	if count := client.Status.ContainerStatuses[0].RestartCount; count != 0 {
		t.Errorf("the application was restarted %d times", count)
	}
	if wait := initStatus(client, "osm-wait"); wait.RestartCount != 0 {
		t.Errorf("osm-wait ran %d times", wait.RestartCount+1)
	}
}

// nativeEnd: an application that still works when its pod is to end has its proxy.
func nativeEnd(t *testing.T, c *Cluster) {
	namespace := c.mesh(t, "native-end", nativeSidecars...)
	c.endsSlowly(t, namespace, "envoy", c.server(t, namespace))
}

func (c *Cluster) endsSlowly(t *testing.T, namespace, proxy, server string) {
	t.Helper()
	grace := int64(60)
	pod := c.pod("client", "worker")
	pod.Spec.TerminationGracePeriodSeconds = &grace
	pod.Spec.Containers[0] = container("app", "farewell", "http://"+server+"/")
	pod.Spec.Containers[0].TerminationMessagePolicy = corev1.TerminationMessageFallbackToLogsOnError
	// Keeps the object, with what became of its containers.
	pod.Finalizers = []string{"osm-cni/scenario"}
	c.start(t, namespace, pod)
	defer c.client.CoreV1().Pods(namespace).Patch(context.Background(), "client", types.MergePatchType,
		[]byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
	c.kubectl(t, "-n", namespace, "delete", "pod", "client", "--wait=false")
	var app, sidecar *corev1.ContainerStateTerminated
	eventually(t, "the end of application and proxy", func() error {
		client := c.get(t, namespace, "client")
		app = client.Status.ContainerStatuses[0].State.Terminated
		sidecar = initStatus(client, proxy).State.Terminated
		if app == nil || sidecar == nil {
			return fmt.Errorf("application %v, proxy %v", app, sidecar)
		}
		return nil
	})
	if app.ExitCode != 0 {
		t.Errorf("the application could not finish its work: %s", app.Message)
	}
	if sidecar.FinishedAt.Before(&app.FinishedAt) {
		t.Errorf("the proxy ended at %s, the application at %s", sidecar.FinishedAt, app.FinishedAt)
	}
}

// policyOrder: the API server calls the policies in an order of its own, which changes
// with each change of them; and the native one does not need the other.
func policyOrder(t *testing.T, c *Cluster) {
	namespace := c.mesh(t, "policy-order", nativeSidecars...)
	pod := c.pod("dry", "")
	pod.Spec.InitContainers = []corev1.Container{container("prepare", "exit", "0")}
	admitted := func(what string) {
		t.Helper()
		admitted, err := c.dryRun(t, namespace, pod)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if names := containerNames(admitted.Spec.InitContainers); names != "osm-validate envoy osm-wait prepare" {
			t.Errorf("%s: the init containers are %s", what, names)
		}
	}
	for i := range 8 {
		c.kubectl(t, "annotate", "--overwrite", "mutatingadmissionpolicybinding", "osm-cni", fmt.Sprintf("scenario=%d", i))
		admitted("both policies")
	}
	c.kubectl(t, "delete", "mutatingadmissionpolicybinding", "osm-cni")
	plain := c.mesh(t, "policy-order-plain")
	eventually(t, "the end of the plain policy", func() error {
		pod, err := c.dryRun(t, plain, c.pod("dry", ""))
		if err == nil && containerNames(pod.Spec.InitContainers) == "osm-validate" {
			err = fmt.Errorf("it is still in force")
		} else if err != nil && strings.Contains(err.Error(), "osm-init") {
			// The namespace's standard refuses what nothing has changed.
			err = nil
		}
		return err
	})
	admitted("the native policy alone")
	c.apply(t, "install/admission-policy.yaml")
	eventually(t, "the plain policy again", func() error {
		_, err := c.dryRun(t, plain, c.pod("dry", ""))
		return err
	})
}
