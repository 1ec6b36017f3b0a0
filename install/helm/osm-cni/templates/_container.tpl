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

{{/* A container of osm-cni but for its name, its resources and its probe. */}}
{{- define "osm-cni.container" -}}
image: {{ include "osm-cni.image" .root }}
{{- with .platform.pullPolicy }}
imagePullPolicy: {{ . }}
{{- end }}
command: ["/osm-cni"]
args: {{ toJson .args }}
securityContext:
  # Root owns the nodes' directories. On some distributions another user does,
  # hence DAC_OVERRIDE.
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
  # The whole directory: a single file (subPath) would never change.
  - name: config
    mountPath: /etc/osm-cni
    readOnly: true
  # What the meshes' meshconfig-sync.yaml keep, where they are used.
  - name: mesh-config
    mountPath: /etc/osm-cni/mesh
    readOnly: true
  # The settings' kubeletDir, at the same path. With another propagation it would
  # keep the volumes of removed pods busy.
  - name: kubelet
    mountPath: {{ .platform.kubelet | default "/var/lib/kubelet" }}
    mountPropagation: HostToContainer
    readOnly: true
  # libcni's cache names the node's pods, for the audit.
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
