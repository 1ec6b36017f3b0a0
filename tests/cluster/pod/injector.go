package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// mesh is what the injectors of two meshes do differently.
type mesh struct {
	prefix, label     string // of annotations; the label that tells an injected pod
	volume, mount     string
	proxy, image      string
	init, healthcheck string
	first             bool // whether the proxy is the first of the containers
	lifecycle         *corev1.Lifecycle
}

// meshes: OSM 1.2.4 and FSM 1.6.0 as they were recorded. FSM's proxy is Envoy here,
// too, with FSM's two hooks in its image.
var meshes = map[string]mesh{
	"osm": {
		prefix: "openservicemesh.io", label: "osm-proxy-uuid",
		volume: "envoy-bootstrap-config-volume", mount: "/etc/envoy",
		proxy: "envoy", image: "envoyproxy-envoy:1", init: "osm-init", healthcheck: "osm-healthcheck",
	},
	"fsm": {
		prefix: "flomesh.io", label: "fsm-proxy-uuid",
		volume: "sidecar-bootstrap-config-volume", mount: "/etc/pipy",
		proxy: "sidecar", image: "flomesh-pipy:1", init: "fsm-init", healthcheck: "fsm-healthcheck",
		first: true,
		lifecycle: &corev1.Lifecycle{
			PostStart: &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{"/usr/local/bin/wait-pipy"}}},
			PreStop:   &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{"/usr/local/bin/gkill"}}},
		},
	},
}

// injector stands for a mesh's: a mutating webhook that leaves pods in the shape that
// was recorded. Its init container fails, so that a pod that still has it shows; and
// the Secret of the proxy's bootstrap has a fixed name, since the stand-in has no
// right to make one.
func injector(name string) error {
	mesh, known := meshes[name]
	if !known {
		return fmt.Errorf("%q is no mesh", name)
	}
	http.HandleFunc("/mutate-pod-creation", func(w http.ResponseWriter, r *http.Request) {
		var review admissionv1.AdmissionReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		review.Response = mesh.admit(review.Request)
		json.NewEncoder(w).Encode(review)
	})
	return http.ListenAndServeTLS(":9090", "/tls/tls.crt", "/tls/tls.key", nil)
}

func (m *mesh) admit(request *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
	response := &admissionv1.AdmissionResponse{UID: request.UID, Allowed: true}
	var pod corev1.Pod
	if err := json.Unmarshal(request.Object.Raw, &pod); err != nil {
		response.Allowed = false
		return response
	}
	switch strings.ToLower(pod.Annotations[m.prefix+"/sidecar-injection"]) {
	case "disabled", "no", "false":
		return response
	}
	if pod.Spec.HostNetwork || pod.Labels[m.label] != "" {
		return response
	}
	m.inject(&pod, request.Namespace)
	patch, err := json.Marshal([]map[string]any{
		{"op": "add", "path": "/metadata/labels", "value": pod.Labels},
		{"op": "replace", "path": "/spec", "value": pod.Spec},
	})
	if err != nil {
		response.Allowed = false
		return response
	}
	kind := admissionv1.PatchTypeJSONPatch
	response.Patch, response.PatchType = patch, &kind
	return response
}

const podImage = "osm-cni-pod:1"

func (m *mesh) inject(pod *corev1.Pod, namespace string) {
	if pod.Labels == nil {
		pod.Labels = map[string]string{}
	}
	pod.Labels[m.label] = "def78b09-396c-406d-ad46-b24f45d30435"
	spec := &pod.Spec
	tcp := false
	for i := range spec.Containers {
		container := &spec.Containers[i]
		tcp = m.rewrite(container.LivenessProbe, "liveness", 15901) || tcp
		tcp = m.rewrite(container.ReadinessProbe, "readiness", 15902) || tcp
		tcp = m.rewrite(container.StartupProbe, "startup", 15903) || tcp
	}
	spec.Volumes = append(spec.Volumes, corev1.Volume{
		Name: m.volume,
		VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{
			SecretName: "envoy-bootstrap-config",
		}},
	})
	user, no, root, yes := int64(1500), false, int64(0), false
	spec.InitContainers = append(spec.InitContainers, corev1.Container{
		Name: m.init, Image: podImage, Command: []string{"/pod", "exit", "1"},
		SecurityContext: &corev1.SecurityContext{
			Capabilities: &corev1.Capabilities{Add: []corev1.Capability{"NET_ADMIN"}},
			RunAsUser:    &root, RunAsNonRoot: &yes, Privileged: &no,
		},
	})
	proxy := corev1.Container{
		Name: m.proxy, Image: m.image, Command: []string{"envoy"},
		Args: []string{"--log-level", "error", "--config-path", m.mount + "/bootstrap.yaml",
			"--service-cluster", "default." + namespace, "--concurrency", "1"},
		Ports: []corev1.ContainerPort{
			{Name: "proxy-admin", ContainerPort: 15000}, {Name: "proxy-inbound", ContainerPort: 15003},
			{Name: "proxy-metrics", ContainerPort: 15010}, {Name: "liveness-port", ContainerPort: 15901},
			{Name: "readiness-port", ContainerPort: 15902}, {Name: "startup-port", ContainerPort: 15903},
		},
		Resources:       corev1.ResourceRequirements{Requests: corev1.ResourceList{"memory": resource.MustParse("16Mi")}},
		SecurityContext: &corev1.SecurityContext{AllowPrivilegeEscalation: &no, RunAsUser: &user},
		VolumeMounts:    []corev1.VolumeMount{{Name: m.volume, MountPath: m.mount, ReadOnly: true}},
		Lifecycle:       m.lifecycle,
	}
	var helpers []corev1.Container
	if tcp {
		helpers = append(helpers, corev1.Container{
			Name: m.healthcheck, Image: podImage, Command: []string{"/pod", "healthcheck"},
			Ports: []corev1.ContainerPort{{ContainerPort: 15904}},
		})
	}
	if m.first {
		spec.Containers = slices.Concat([]corev1.Container{proxy}, spec.Containers, helpers)
	} else {
		spec.Containers = slices.Concat(spec.Containers, helpers, []corev1.Container{proxy})
	}
}

// rewrite sends an HTTP probe to the proxy's own listener for it, and a TCP probe
// to the mesh's health check, which it reports. OSM has a path for each kind of
// probe, FSM one for all and the original in headers.
func (m *mesh) rewrite(probe *corev1.Probe, kind string, port int) (tcp bool) {
	if probe == nil {
		return false
	}
	healthcheck := "/" + m.healthcheck
	if get := probe.HTTPGet; get != nil {
		if m.first {
			get.HTTPHeaders = []corev1.HTTPHeader{
				{Name: "Original-Http-Port", Value: get.Port.String()},
				{Name: "Original-Http-Path", Value: get.Path},
			}
			get.Path = healthcheck
		} else {
			get.Path = "/osm-" + kind + "-probe"
		}
		get.Port = intstr.FromInt(port)
		return false
	}
	if probe.TCPSocket == nil {
		return false
	}
	original := probe.TCPSocket.Port
	probe.TCPSocket = nil
	probe.HTTPGet = &corev1.HTTPGetAction{
		Path: healthcheck, Port: intstr.FromInt(15904),
		HTTPHeaders: []corev1.HTTPHeader{{Name: "Original-Tcp-Port", Value: fmt.Sprint(original.IntValue())}},
	}
	return true
}
