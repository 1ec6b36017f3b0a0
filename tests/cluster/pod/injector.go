package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// injector stands for OSM's: a mutating webhook that leaves pods in the shape that
// OSM 1.2.4 was recorded to leave them in. Its osm-init fails, so that a pod that
// still has it shows; and the Secret of the proxy's bootstrap has a fixed name,
// since the stand-in has no right to make one.
func injector() error {
	http.HandleFunc("/mutate-pod-creation", func(w http.ResponseWriter, r *http.Request) {
		var review admissionv1.AdmissionReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		review.Response = admit(review.Request)
		json.NewEncoder(w).Encode(review)
	})
	return http.ListenAndServeTLS(":9090", "/tls/tls.crt", "/tls/tls.key", nil)
}

func admit(request *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
	response := &admissionv1.AdmissionResponse{UID: request.UID, Allowed: true}
	var pod corev1.Pod
	if err := json.Unmarshal(request.Object.Raw, &pod); err != nil {
		response.Allowed = false
		return response
	}
	switch strings.ToLower(pod.Annotations["openservicemesh.io/sidecar-injection"]) {
	case "disabled", "no", "false":
		return response
	}
	if pod.Spec.HostNetwork || pod.Labels["osm-proxy-uuid"] != "" {
		return response
	}
	inject(&pod, request.Namespace)
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

const (
	envoyImage = "envoyproxy-envoy:1"
	podImage   = "osm-cni-pod:1"
)

func inject(pod *corev1.Pod, namespace string) {
	if pod.Labels == nil {
		pod.Labels = map[string]string{}
	}
	pod.Labels["osm-proxy-uuid"] = "def78b09-396c-406d-ad46-b24f45d30435"
	spec := &pod.Spec
	tcp := false
	for i := range spec.Containers {
		container := &spec.Containers[i]
		tcp = rewrite(container.LivenessProbe, "/osm-liveness-probe", 15901) || tcp
		tcp = rewrite(container.ReadinessProbe, "/osm-readiness-probe", 15902) || tcp
		tcp = rewrite(container.StartupProbe, "/osm-startup-probe", 15903) || tcp
	}
	if tcp {
		spec.Containers = append(spec.Containers, corev1.Container{
			Name: "osm-healthcheck", Image: podImage, Command: []string{"/pod", "healthcheck"},
			Ports: []corev1.ContainerPort{{ContainerPort: 15904}},
		})
	}
	spec.Volumes = append(spec.Volumes, corev1.Volume{
		Name: "envoy-bootstrap-config-volume",
		VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{
			SecretName: "envoy-bootstrap-config",
		}},
	})
	user, no, root, yes := int64(1500), false, int64(0), false
	spec.InitContainers = append(spec.InitContainers, corev1.Container{
		Name: "osm-init", Image: podImage, Command: []string{"/pod", "exit", "1"},
		SecurityContext: &corev1.SecurityContext{
			Capabilities: &corev1.Capabilities{Add: []corev1.Capability{"NET_ADMIN"}},
			RunAsUser:    &root, RunAsNonRoot: &yes, Privileged: &no,
		},
	})
	spec.Containers = append(spec.Containers, corev1.Container{
		Name: "envoy", Image: envoyImage, Command: []string{"envoy"},
		Args: []string{"--log-level", "error", "--config-path", "/etc/envoy/bootstrap.yaml",
			"--service-cluster", "default." + namespace, "--concurrency", "1"},
		Ports: []corev1.ContainerPort{
			{Name: "proxy-admin", ContainerPort: 15000}, {Name: "proxy-inbound", ContainerPort: 15003},
			{Name: "proxy-metrics", ContainerPort: 15010}, {Name: "liveness-port", ContainerPort: 15901},
			{Name: "readiness-port", ContainerPort: 15902}, {Name: "startup-port", ContainerPort: 15903},
		},
		Resources:       corev1.ResourceRequirements{Requests: corev1.ResourceList{"memory": resource.MustParse("16Mi")}},
		SecurityContext: &corev1.SecurityContext{AllowPrivilegeEscalation: &no, RunAsUser: &user},
		VolumeMounts: []corev1.VolumeMount{{
			Name: "envoy-bootstrap-config-volume", MountPath: "/etc/envoy", ReadOnly: true,
		}},
	})
}

// rewrite sends an HTTP probe to the proxy's own listener for it, and a TCP probe
// to osm-healthcheck, which it reports.
func rewrite(probe *corev1.Probe, path string, port int) (tcp bool) {
	if probe == nil {
		return false
	}
	if probe.HTTPGet != nil {
		probe.HTTPGet.Path = path
		probe.HTTPGet.Port = intstr.FromInt(port)
		return false
	}
	if probe.TCPSocket == nil {
		return false
	}
	original := probe.TCPSocket.Port
	probe.TCPSocket = nil
	probe.HTTPGet = &corev1.HTTPGetAction{
		Path: "/osm-healthcheck", Port: intstr.FromInt(15904),
		HTTPHeaders: []corev1.HTTPHeader{{Name: "Original-Tcp-Port", Value: fmt.Sprint(original.IntValue())}},
	}
	return true
}
