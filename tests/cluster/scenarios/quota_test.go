package scenarios

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// limited is how GKE's API server admits pods of the system's priority classes: only
// where a quota allows them.
const limited = `apiVersion: apiserver.config.k8s.io/v1
kind: AdmissionConfiguration
plugins:
  - name: ResourceQuota
    configuration:
      apiVersion: apiserver.config.k8s.io/v1
      kind: ResourceQuotaConfiguration
      limitedResources:
        - resource: pods
          matchScopes:
            - scopeName: PriorityClass
              operator: In
              values: ["system-node-critical", "system-cluster-critical"]
`

// quota: without a quota of its own GKE refuses the DaemonSet, and install/overlays/gke
// brings one. It changes the API server, so it is the last of all.
func quota(t *testing.T, c *Cluster) {
	c.kubectl(t, "delete", "-f", filepath.Join(c.root, "install/osm-cni.yaml"), "--ignore-not-found", "--timeout="+patience.String())
	// GKE's own pods have theirs.
	c.applyText(t, `apiVersion: v1
kind: ResourceQuota
metadata: {name: critical-pods, namespace: kube-system}
spec:
  hard: {pods: 1G}
  scopeSelector:
    matchExpressions:
      - {scopeName: PriorityClass, operator: In, values: ["system-node-critical", "system-cluster-critical"]}
`)
	c.node(t, "control-plane", "sh", "-c", `cat >/etc/kubernetes/pki/admission.yaml <<END
`+limited+`END
sed -i 's|^    - kube-apiserver$|&\n    - --admission-control-config-file=/etc/kubernetes/pki/admission.yaml|' /etc/kubernetes/manifests/kube-apiserver.yaml`)
	eventually(t, "the API server with its quota", func() error {
		output, err := command(t, "", "kubectl", "-n", "default", "run", "critical", "--image=none", "--dry-run=server",
			`--overrides={"spec": {"priorityClassName": "system-node-critical"}}`)
		if err == nil || !strings.Contains(output, "insufficient quota") {
			return fmt.Errorf("%s", output)
		}
		return nil
	})
	c.apply(t, "install/osm-cni.yaml")
	eventually(t, "the refusal of the DaemonSet's pods", func() error {
		events := c.kubectl(t, "-n", "osm-cni", "get", "events")
		if !strings.Contains(events, "insufficient quota to match these scopes") {
			return fmt.Errorf("the events are:\n%s", events)
		}
		return nil
	})
	if pods := c.kubectl(t, "-n", "osm-cni", "get", "pods", "-o", "name"); pods != "" {
		t.Errorf("there are %s", pods)
	}
	// Where Container-Optimized OS has its plugins.
	for _, node := range c.nodes(t) {
		c.node(t, node, "sh", "-c", "mkdir -p /home/kubernetes/bin && cp /opt/cni/bin/* /home/kubernetes/bin/ && rm /home/kubernetes/bin/osm-cni")
	}
	c.kubectl(t, "apply", "-k", filepath.Join(c.root, "install/overlays/gke"))
	c.rolledOut(t, "osm-cni", "daemonset/osm-cni")
	for _, node := range c.nodes(t) {
		c.node(t, node, "test", "-x", "/home/kubernetes/bin/osm-cni")
	}
}
