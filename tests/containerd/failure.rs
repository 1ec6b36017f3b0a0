//! Pods that cannot get their rules do not start, report why, and leave nothing.

use super::{Rig, Setup};
use crate::support::namespace;
use crate::support::pod::PodSpec;

#[test]
fn an_invalid_annotation_fails_the_pod_names_itself_and_keeps_no_address() {
    // A /29 has five addresses for pods; each failure would cost one.
    let rig = Rig::with(Setup { subnet: "10.88.7.0/29", ..Setup::default() });
    let pod = PodSpec::new("web").enabled();
    let invalid = pod.clone().annotation("outbound-port-exclusion-list", "6379,seventy");
    for _ in 0..12 {
        let error =
            invalid.try_run(&rig.node).expect_err("a pod with an invalid annotation").to_string();
        for part in ["openservicemesh.io/outbound-port-exclusion-list", "seventy"] {
            assert!(error.contains(part), "{part} is not in {error}");
        }
    }
    assert_eq!(rig.leases(), Vec::<String>::new());
    assert_eq!(rig.node_chains(), Vec::<String>::new());
    assert!(!rig.node.netns().ip("-o link").contains("veth"));

    let corrected = rig.run_redirected(&pod.annotation("outbound-port-exclusion-list", "6379"));
    assert_eq!(rig.leases(), [corrected.ip().to_string()]);
}

#[test]
fn an_exhausted_network_fails_the_pod_before_us_and_our_clean_up_succeeds() {
    let rig = Rig::with(Setup { subnet: "10.88.7.0/29", ..Setup::default() });
    let pods: Vec<_> =
        (0..5).map(|n| PodSpec::new(&format!("pod-{n}")).enabled().run(&rig.node)).collect();
    let before = rig.node_chains();
    let error = PodSpec::new("sixth")
        .enabled()
        .try_run(&rig.node)
        .expect_err("no address is left")
        .to_string();
    assert!(error.contains("no IP addresses available"), "{error}");
    assert!(!error.contains("osm-cni"), "{error}");
    assert_eq!(rig.node_chains(), before);

    pods[0].stop().expect("a pod that can be stopped");
    rig.run_redirected(&PodSpec::new("seventh").enabled());
}

#[test]
fn wrong_settings_fail_pods_of_the_mesh_and_no_others() {
    let settings = serde_json::json!({"traffic": {"outboundPortExclusionList": [6379, 70000]}});
    let rig = Rig::with(Setup { settings, ..Setup::default() });
    let error = PodSpec::new("web")
        .enabled()
        .try_run(&rig.node)
        .expect_err("settings with a wrong port")
        .to_string();
    for part in ["traffic.outboundPortExclusionList[1]", "70000"] {
        assert!(error.contains(part), "{part} is not in {error}");
    }
    let outside = PodSpec::new("outside").run(&rig.node);
    assert_eq!(namespace::tables(&outside.netns()), "");
    outside.stop().and_then(|()| outside.remove()).expect("a pod that can be removed");
}
