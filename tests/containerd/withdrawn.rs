//! `podExclusions: ignore` overrides opting out; and an ADD makes only system calls
//! that the runtime's default seccomp filter allows.

use serde_json::json;

use super::{Rig, Setup};
use crate::support::namespace;
use crate::support::plugin::{conf, enabled};
use crate::support::pod::{ContainerSpec, PodSpec, kubelet_dirs};
use crate::support::program;

const VOLUME: &str = "envoy-bootstrap-config-volume";

/// A pod that opts out with every annotation there is.
fn reluctant(name: &str) -> PodSpec {
    PodSpec::new(name)
        .annotation("sidecar-injection", "disabled")
        .annotation("outbound-port-exclusion-list", "1-65535")
        .annotation("inbound-port-exclusion-list", "1-65535")
        .annotation("outbound-ip-range-exclusion-list", "0.0.0.0/0")
        .annotation("outbound-ip-range-inclusion-list", "192.0.2.0/24")
        .annotation("outbound-uid-exclusion-list", "0,1000")
}

#[test]
fn with_pod_exclusions_ignored_no_annotation_takes_a_pod_out() {
    let rig = Rig::with(Setup { settings: json!({"podExclusions": "ignore"}), ..Setup::default() });
    kubelet_dirs(&rig.kubelet(), "uid-reluctant", &[VOLUME]);
    let pod = rig.run_redirected(&reluctant("reluctant"));
    let rules = namespace::run_inside(&pod.netns(), &["nft", "list", "table", "ip", "osm"]);
    assert!(!rules.contains("pod annotation"), "{rules}");
    // The connection goes to the proxy's port, where no process listens here.
    let application = pod.start(&ContainerSpec::new("app", &["sleep", "1000"]));
    let refused = application.get("203.0.113.9:80").expect_err("nobody listens for Envoy");
    assert!(refused.contains("Connection refused"), "{refused}");
    let log = rig.plugin_log();
    for ignored in ["outbound-port-exclusion-list", "sidecar-injection: disabled does not count"] {
        assert!(log.contains(ignored), "{ignored} is not in {log}");
    }
}

#[test]
fn with_pod_exclusions_honoured_the_same_pod_is_left_alone() {
    let rig = Rig::new();
    kubelet_dirs(&rig.kubelet(), "uid-reluctant", &[VOLUME]);
    let pod = reluctant("reluctant").run(&rig.node);
    assert_eq!(namespace::tables(&pod.netns()), "");
}

/// Runtimes do not filter their plugins' system calls. For an operator who does,
/// `RuntimeDefault` is enough.
#[test]
fn an_add_works_under_the_runtimes_default_seccomp_filter() {
    let rig = Rig::new();
    let target = PodSpec::new("target").run(&rig.node);
    assert_eq!(namespace::tables(&target.netns()), "");
    let dir = rig.node.dir().dir("filtered");
    crate::support::host::write(&dir.join("conf.json"), enabled(conf("1.0.0")).to_string());
    let script = "cd /filtered && CNI_COMMAND=ADD CNI_CONTAINERID=filtered CNI_IFNAME=eth0 \
        CNI_NETNS=/netns CNI_PATH=/bin CNI_ARGS=K8S_POD_NAMESPACE=demo \
        /osm-cni < conf.json && cat /proc/self/status";
    let mut spec = ContainerSpec::new("plugin", &["sleep", "1000"])
        .uid(0)
        .mount(&dir, "/filtered")
        .mount(&program::under_test(), "/osm-cni")
        .mount(&target.netns(), "/netns");
    spec.add_capabilities = ["SYS_ADMIN", "NET_ADMIN"].map(str::to_owned).to_vec();
    let pod = PodSpec::new("filtered").run(&rig.node);
    let container = pod.start(&spec);
    let exec = container.exec(&["sh", "-c", script]);
    assert_eq!(exec.code, 0, "{exec:?}");
    assert!(!exec.stderr.contains("than it needs"), "the filter stops no dropping: {exec:?}");
    assert!(exec.stdout.contains("Seccomp:\t2"), "no filter was in force: {exec:?}");
    assert_eq!(namespace::tables(&target.netns()), "table ip osm\n");
    // A second call works too; one that the filter stops fails with its reason.
    assert_eq!(container.exec(&["sh", "-c", script]).code, 0);
    let powerless = ContainerSpec::new("powerless", &["sleep", "1000"])
        .uid(0)
        .mount(&dir, "/filtered")
        .mount(&program::under_test(), "/osm-cni")
        .mount(&target.netns(), "/netns");
    let exec = pod.start(&powerless).exec(&["sh", "-c", script]);
    let answer = exec.stdout.lines().next().unwrap_or_default();
    let answer: serde_json::Value = serde_json::from_str(answer).expect("an answer");
    assert_eq!((exec.code, &answer["code"]), (1, &json!(5)), "{exec:?}");
    assert_eq!(namespace::tables(&target.netns()), "table ip osm\n");
}
