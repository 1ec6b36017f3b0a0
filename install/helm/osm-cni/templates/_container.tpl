{{- define "osm-cni.uninstallArgs" -}}
- uninstall
{{- if .platform.snap }}
- --bin-dir
- {{ .platform.bin }}
- --conf-dir
- {{ .platform.conf }}
{{- end }}
{{- if .root.Values.uninstall.removeBinary }}
- --remove-binary
{{- end }}
{{- end -}}

{{/* A container of osm-cni, without its name, resources and probe. */}}
{{- define "osm-cni.container" -}}
image: {{ include "osm-cni.image" .root }}
{{- with .platform.pullPolicy }}
imagePullPolicy: {{ . }}
{{- end }}
command: ["/osm-cni"]
args: {{ toJson .args }}
securityContext:
  # Root owns the nodes' directories, except on some distributions, where
  # DAC_OVERRIDE is needed.
  runAsUser: 0
  runAsGroup: 0
  privileged: false
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: ["ALL"]
    add: {{ toJson .capabilities }}
  seccompProfile:
    type: RuntimeDefault
  {{- with .platform.selinux }}
  seLinuxOptions:
    type: {{ . }}
  {{- end }}
volumeMounts:
  {{- if .platform.snap }}
  - name: snap
    mountPath: {{ .platform.snap }}
  {{- else }}
  - name: cni-bin
    mountPath: /opt/cni/bin
  - name: cni-conf
    mountPath: /etc/cni/net.d
  {{- end }}
  {{- if .log }}
  - name: log
    mountPath: /var/log/osm-cni
    readOnly: true
  {{- end }}
  {{- if .config }}
  # The whole directory: a single file (subPath) is never updated.
  - name: config
    mountPath: /etc/osm-cni
    readOnly: true
  # The MeshConfigs that meshconfig-sync.yaml copies, if it is used.
  - name: mesh-config
    mountPath: /etc/osm-cni/mesh
    readOnly: true
  # kubeletDir of the settings, at the same path. Without this propagation, volumes
  # of removed pods would stay busy.
  - name: kubelet
    mountPath: {{ .platform.kubelet | default "/var/lib/kubelet" }}
    mountPropagation: HostToContainer
    readOnly: true
  # libcni's cache has the names of the node's pods, for the audit.
  - name: cni-cache
    mountPath: /var/lib/cni
    readOnly: true
  {{- if .root.Values.repair.enabled }}
  # The network namespaces of the node's pods.
  - name: netns
    mountPath: /var/run/netns
    mountPropagation: HostToContainer
    readOnly: true
  {{- end }}
  {{- end }}
{{- end -}}
