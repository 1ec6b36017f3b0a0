package scenarios

import "testing"

// A law of the cluster. Its name is what must be true.
type law struct {
	name  string
	holds func(*testing.T, *Cluster)
}

// The life of one cluster: what changes nodes has its place in the order, and what
// only makes pods runs at once in between.
var (
	installation = []law{
		{"without a primary network there is the binary and no list of ours", withoutPrimary},
		{"the entry is there as soon as the primary is, and the nodes are ready", primaryComes},
		{"the mesh's control plane starts beside us", controlPlane},
	}
	pods = []law{
		{"a pod with a sidecar is captured from its first init container's first connection", firstConnection},
		{"a pod without a sidecar is left alone, whatever its annotation says", leftAlone},
		{"each exclusion of an annotation is a way around the proxy, and nothing else is", annotationExclusions},
		{"the validator ends with 0 in a captured pod and with 95 in another", validatorEnds},
		{"an injected pod runs in a restricted namespace, with the validator for osm-init", restricted},
		{"a connection between two nodes passes both proxies", bothProxies},
		{"all three kinds of probes pass the proxy", probes},
		{"a wrong annotation keeps a pod from starting, says why, and mending it is enough", wrongAnnotation},
		{"a Service's address is captured, and answered through both proxies", services},
		{"what comes to a hostPort reaches the pod through its proxy", hostPort},
		{"a pod whose Secret comes late is captured", lateSecret},
		{"a sandbox that is made anew has the rules", newSandbox},
		{"a pod with a user namespace of its own is captured, and its proxy is not", userNamespace},
		{"a Job of the mesh runs and can be removed", job},
		{"a workload with a validator of its own is given no second one", ownValidator},
		{"native sidecars: the validator, the proxy, the wait, then the application's init containers", nativeOrder},
		{"native sidecars: a Job ends by itself, and its init container has its network through both proxies", nativeJob},
		{"native sidecars: all three kinds of probes pass, the health check's helper moved too", nativeProbes},
		{"native sidecars: a proxy that crashes comes back, and the application goes on", nativeCrash},
		{"native sidecars: a pod that ends slowly has its proxy until its end", nativeEnd},
		{"a proxy that passes the validator's address on does not get it back", probeAddress},
		{"inspect shows a pod's rules from a debug pod of its node", inspectFromAfar},
	}
	changes = []law{
		{"native sidecars come out the same in any order of the policies, and by their policy alone", policyOrder},
		{"with the documented policy nobody changes the exclusions of a running pod", frozenExclusions},
		{"sixty pods at once all get their rules", crowd},
		{"meshconfig-sync keeps the MeshConfig beside the operator's settings, and writes nothing else", meshConfig},
		{"a pod of FSM in a restricted namespace is validated, and redirected by FSM's chains", fsm},
		{"native sidecars of FSM: probes, a Job that ends, a proxy until the end", fsmNative},
		{"with both meshes each pod is redirected by the chains of its own", bothMeshes},
		{"wrong settings are refused, and the last good ones stay in force", wrongSettings},
		{"IPv6 is redirected, rejected or bypassed, as the settings say", ipv6},
		{"a restart of containerd or of the kubelet changes nothing", restarts},
		{"an exclusion of the ConfigMap holds for the next pod", configMapExclusions},
		{"inserted into the primary's file the entry is in force, and back in own mode that file has its bytes", insertAndBack},
		{"at cniVersion 1.1.0 STATUS is answered, and trouble with nf_tables leaves the node ready", newestVersion},
		{"without the DaemonSet pods are redirected, with the last settings", withoutDaemonSet},
		{"after a node's reboot its pods come back redirected", reboot},
		{"after a reboot without the primary's file they do so before any agent runs", rebootBeforeAgents},
		{"a node added later captures, and with wrong settings refuses pods of the mesh alone", addedNode},
		{"uninstalled, nothing is captured and pods made before can be removed", uninstalled},
		{"pods older than the plugin are named, and repaired in place", olderPods},
		{"under a quota as GKE's the DaemonSet comes with its overlay", quota},
	}
	// On a cluster of its own: kyverno.sh.
	kyverno = []law{
		{"Kyverno's admission controller takes the place of the API server's policies", kyvernoPolicies},
		{"an injected pod runs in a restricted namespace, with the validator for osm-init", restricted},
		{"a workload with a validator of its own is given no second one", ownValidator},
		{"native sidecars: the validator, the proxy, the wait, then the application's init containers", nativeOrder},
		{"native sidecars: a Job ends by itself, and its init container has its network through both proxies", nativeJob},
		{"native sidecars: all three kinds of probes pass, the health check's helper moved too", nativeProbes},
		{"native sidecars of FSM: probes, a Job that ends, a proxy until the end", kyvernoFSM},
	}
)

func hold(t *testing.T, cluster *Cluster, laws []law) {
	for _, l := range laws {
		if !t.Run(l.name, func(t *testing.T) { l.holds(t, cluster) }) {
			// What comes after builds on it.
			t.FailNow()
		}
	}
}

// TestInstallation is what `make cluster` runs: a cluster with everything in it.
func TestInstallation(t *testing.T) {
	hold(t, newCluster(t), installation)
}

// TestPods needs what TestInstallation leaves.
func TestPods(t *testing.T) {
	cluster := newCluster(t)
	for _, l := range pods {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			l.holds(t, cluster)
		})
	}
}

// TestChanges ends with the removal of everything.
func TestChanges(t *testing.T) {
	hold(t, newCluster(t), changes)
}

// TestKyverno needs what TestInstallation leaves.
func TestKyverno(t *testing.T) {
	hold(t, newCluster(t), kyverno)
}
