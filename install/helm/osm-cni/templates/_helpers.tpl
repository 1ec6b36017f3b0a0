{{- define "osm-cni.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* The labels of a pod; with those of the chart they are the labels of every object. */}}
{{- define "osm-cni.podLabels" -}}
app.kubernetes.io/name: {{ .name | default "osm-cni" }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/component: {{ .component | default "node" }}
app.kubernetes.io/part-of: osm-cni
{{- end -}}

{{- define "osm-cni.labels" -}}
{{ include "osm-cni.podLabels" . }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end -}}

{{/* What differs between platforms, as YAML: the directories in the container and on
     the node, and the mode. */}}
{{- define "osm-cni.platform" -}}
{{- $known := dict
  "" (dict "bin" "/opt/cni/bin" "conf" "/etc/cni/net.d")
  "kind" (dict "bin" "/opt/cni/bin" "conf" "/etc/cni/net.d" "pullPolicy" "Never")
  "gke" (dict "bin" "/home/kubernetes/bin" "conf" "/etc/cni/net.d" "binType" "Directory" "quota" true)
  "k3s" (dict "bin" "/var/lib/rancher/k3s/data/cni" "conf" "/var/lib/rancher/k3s/agent/etc/cni/net.d" "binType" "Directory")
  "microk8s" (dict "bin" "/var/snap/microk8s/current/opt/cni/bin" "conf" "/var/snap/microk8s/current/args/cni-network" "snap" "/var/snap/microk8s" "kubelet" "/var/snap/microk8s/common/var/lib/kubelet")
  "openshift" (dict "bin" "/var/lib/cni/bin" "conf" "/etc/kubernetes/cni/net.d" "binType" "Directory" "confType" "Directory" "mode" "insert" "selinux" "spc_t") -}}
{{- $all := dict "bin" "" "conf" "" "binType" "DirectoryOrCreate" "confType" "DirectoryOrCreate" "kubelet" "" "mode" "own" "snap" "" "selinux" "" "quota" false "pullPolicy" "" -}}
{{- $platform := merge (deepCopy (get $known .Values.platform)) $all -}}
{{- with .Values.paths.binDir }}{{ $_ := set $platform "bin" . }}{{ end -}}
{{- with .Values.paths.confDir }}{{ $_ := set $platform "conf" . }}{{ end -}}
{{- with .Values.paths.kubeletDir }}{{ $_ := set $platform "kubelet" . }}{{ end -}}
{{- with .Values.mode }}{{ $_ := set $platform "mode" . }}{{ end -}}
{{- with .Values.image.pullPolicy }}{{ $_ := set $platform "pullPolicy" . }}{{ end -}}
{{- toYaml $platform -}}
{{- end -}}
