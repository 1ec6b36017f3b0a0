package scenarios

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// withoutPrimary: nodes are not ready, and install/ works on them all the same.
func withoutPrimary(t *testing.T, c *Cluster) {
	c.apply(t, "install/osm-cni.yaml")
	for _, node := range c.nodes(t) {
		eventually(t, "the binary on "+node, func() error {
			_, err := command(t, "", c.provider, "exec", c.name+"-"+node, "test", "-x", "/opt/cni/bin/osm-cni")
			return err
		})
		if files := strings.Fields(c.node(t, node, "ls", "/etc/cni/net.d")); len(files) != 0 {
			t.Errorf("%s has %q in /etc/cni/net.d before there is a primary network", node, files)
		}
	}
	if ready := c.kubectl(t, "-n", "osm-cni", "get", "daemonset", "osm-cni", "-o", "jsonpath={.status.numberReady}"); ready != "0" {
		t.Errorf("%s pods of the DaemonSet are ready with nothing to chain into", ready)
	}
}

// primaryComes: the agent of the pod network starts after us.
func primaryComes(t *testing.T, c *Cluster) {
	c.apply(t, "tests/cluster/primary.yaml")
	c.rolledOut(t, "kube-system", "daemonset/primary")
	c.rolledOut(t, "osm-cni", "daemonset/osm-cni")
	for _, node := range c.nodes(t) {
		if entry := c.entry(t, node); entry == nil {
			t.Errorf("%s has no entry of ours", node)
		} else if entry["ruleset"] != "osm-v1" {
			t.Errorf("%s has %v, not what install/osm-cni.yaml says", node, entry)
		}
	}
	c.kubectl(t, "wait", "--for=condition=Ready", "nodes", "--all", "--timeout="+patience.String())
	// Its rollout may be past its deadline: it has waited for a pod network since the
	// cluster was made.
	c.kubectl(t, "-n", "kube-system", "wait", "--for=condition=Available", "deployment/coredns", "--timeout="+patience.String())
}

// controlPlane starts the stand-in for the injector, and the admission policies.
func controlPlane(t *testing.T, c *Cluster) {
	c.injector(t, "osm")
	c.apply(t, "install/admission-policy.yaml")
	c.apply(t, "install/native-admission-policy.yaml")
	c.policiesInForce(t, "osm", "policies-in-force")
}

// injector starts the stand-in for a mesh's injector.
func (c *Cluster) injector(t *testing.T, mesh string) {
	t.Helper()
	system := mesh + "-system"
	certificate, key := serverCertificate(t, mesh+"-injector."+system+".svc")
	manifest, err := os.ReadFile(filepath.Join(c.root, "tests/cluster/mesh.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	c.applyText(t, strings.NewReplacer(
		"AUTHORITY", base64.StdEncoding.EncodeToString(certificate),
		"osm-cni", "osm-cni", "openservicemesh.io", prefixes[mesh], "osm", mesh,
	).Replace(string(manifest)))
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: mesh + "-injector"},
		Type:       corev1.SecretTypeTLS,
		Data:       map[string][]byte{"tls.crt": certificate, "tls.key": key},
	}
	if _, err := c.client.CoreV1().Secrets(system).Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	c.rolledOut(t, system, "deployment/"+mesh+"-injector")
}

// policiesInForce waits until the API server has compiled a mesh's policies: until
// then injected pods keep the mesh's init container, or have no native sidecar.
func (c *Cluster) policiesInForce(t *testing.T, mesh, name string) {
	t.Helper()
	for namespace, expected := range map[string]string{
		c.meshOf(t, mesh, name):                              "osm-validate",
		c.meshOf(t, mesh, name+"-native", nativeSidecars...): "osm-validate " + proxies[mesh] + " osm-wait",
	} {
		eventually(t, "the admission policies of "+mesh, func() error {
			pod, err := c.dryRun(t, namespace, c.pod("dry", ""))
			if err != nil {
				return err
			}
			if names := containerNames(pod.Spec.InitContainers); names != expected {
				return fmt.Errorf("the pod's init containers are %s", names)
			}
			return nil
		})
	}
}

// serverCertificate makes a certificate that is its own authority.
func serverCertificate(t *testing.T, host string) (certificate, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})
}

// withoutDaemonSet: `kubectl delete` and, in the end, `kubectl apply` again.
func withoutDaemonSet(t *testing.T, c *Cluster) {
	namespace := c.namespace(t, "without-daemonset")
	c.kubectl(t, "-n", "osm-cni", "delete", "daemonset", "osm-cni", "--wait")
	c.kubectl(t, "-n", "osm-cni", "wait", "--for=delete", "pod", "-l", "app.kubernetes.io/name=osm-cni", "--timeout="+patience.String())
	server := c.start(t, namespace, c.pod("server", "control-plane"))
	client := c.start(t, namespace, withSidecarVolume(c.pod("client", "worker")))
	c.expectWay(t, namespace, client.Name, at(server, 8080), captured)
	c.apply(t, "install/osm-cni.yaml")
	c.rolledOut(t, "osm-cni", "daemonset/osm-cni")
	again := c.start(t, namespace, withSidecarVolume(c.pod("again", "worker")))
	c.expectWay(t, namespace, again.Name, at(server, 8080), captured)
}

// uninstalled does what install/uninstall.yaml tells its reader to do.
func uninstalled(t *testing.T, c *Cluster) {
	namespace := c.namespace(t, "uninstalled")
	server := c.start(t, namespace, c.pod("server", "control-plane"))
	before := c.start(t, namespace, withSidecarVolume(c.pod("before", "worker")))
	c.expectWay(t, namespace, before.Name, at(server, 8080), captured)

	c.kubectl(t, "delete", "-f", filepath.Join(c.root, "install/admission-policy.yaml"))
	c.kubectl(t, "delete", "-f", filepath.Join(c.root, "install/native-admission-policy.yaml"))
	c.kubectl(t, "-n", "osm-cni", "delete", "daemonset", "osm-cni")
	c.kubectl(t, "-n", "osm-cni", "wait", "--for=delete", "pod", "-l", "app.kubernetes.io/name=osm-cni", "--timeout="+patience.String())
	c.apply(t, "install/uninstall.yaml")
	c.rolledOut(t, "osm-cni", "daemonset/osm-cni-uninstall")
	for _, node := range c.nodes(t) {
		if entry := c.entry(t, node); entry != nil {
			t.Errorf("%s still has our entry: %v", node, entry)
		}
	}
	after := c.start(t, namespace, withSidecarVolume(c.pod("after", "worker")))
	c.expectWay(t, namespace, after.Name, at(server, 8080), direct)
	c.kubectl(t, "-n", namespace, "delete", "pod", "before", "--timeout=60s")

	c.kubectl(t, "delete", "-f", filepath.Join(c.root, "install/uninstall.yaml"))
	c.kubectl(t, "delete", "namespace", "osm-cni", "--timeout="+patience.String())
	if _, err := c.client.CoreV1().Namespaces().Get(context.Background(), "osm-cni", metav1.GetOptions{}); err == nil {
		t.Error("namespace osm-cni is still there")
	}
}
