//! The end of pods: stopped and removed in any order, twice, and with parts of
//! them missing. It always succeeds and leaves nothing.

use super::Rig;
use crate::support::host;
use crate::support::pod::{ContainerSpec, PodSpec};

fn web() -> PodSpec {
    PodSpec::new("web")
        .enabled()
        .annotation("outbound-port-exclusion-list", "8080")
        .host_port(18000, 8000)
}

/// A node on which one pod has lived already, and its chains: those that the
/// standard plugins make once and keep.
fn used_rig() -> (Rig, Vec<String>) {
    let rig = Rig::new();
    let pod = rig.run_redirected(&web());
    pod.stop().and_then(|()| pod.remove()).expect("a pod that can be removed");
    let chains = rig.node_chains();
    (rig, chains)
}

#[track_caller]
fn assert_no_interface_and_no_address(rig: &Rig) {
    let links = rig.node.netns().ip("-o link");
    assert!(!links.contains("veth"), "{links}");
    assert_eq!(rig.leases(), Vec::<String>::new());
    assert_eq!(rig.node.cri().list_pod_sandbox().expect("a list"), []);
}

#[test]
fn stopping_and_removing_twice_in_any_order_succeeds_and_leaves_nothing() {
    let (rig, chains) = used_rig();
    // s: stop, r: remove.
    let orders = ["ssrr", "rsr", "srss", "rrs"];
    for order in orders {
        let pod = rig.run_redirected(&web());
        pod.start(&ContainerSpec::new("app", &["sleep", "1000"]));
        for (step, act) in order.chars().enumerate() {
            // The kubelet treats an unknown sandbox as stopped, so "not found" is
            // accepted.
            let result = if act == 's' { pod.stop() } else { pod.remove() };
            if let Err(error) = result {
                assert!(error.to_string().contains("not found"), "{order}, step {step}: {error}");
            }
        }
        assert_no_interface_and_no_address(&rig);
        assert_eq!(rig.node_chains(), chains);
    }
}

#[test]
fn a_pod_whose_containers_are_gone_is_removed_without_a_trace() {
    let (rig, chains) = used_rig();
    let pod = rig.run_redirected(&web());
    let container = pod.start(&ContainerSpec::new("app", &["sleep", "1000"]));
    container.stop().and_then(|()| container.remove()).expect("a container that can be removed");
    pod.stop().and_then(|()| pod.remove()).expect("a pod that can be removed");
    assert_no_interface_and_no_address(&rig);
    assert_eq!(rig.node_chains(), chains);
}

#[test]
fn a_pod_whose_namespace_is_gone_is_removed() {
    let (rig, _) = used_rig();
    let pod = rig.run_redirected(&web());
    let netns = pod.netns();
    host::run(&["umount", "-l", &netns.display().to_string()]);
    host::remove_if_there(&netns);
    for _ in 0..2 {
        pod.stop().expect("a pod that can be stopped");
    }
    for _ in 0..2 {
        pod.remove().expect("a pod that can be removed");
    }
    // The bridge's own chain for a namespace it cannot see stays; that is
    // the standard plugin's, and known.
    assert_no_interface_and_no_address(&rig);
}

#[test]
fn a_pod_is_removed_with_settings_that_became_invalid() {
    let (rig, chains) = used_rig();
    let pod = rig.run_redirected(&web());
    let broken = serde_json::json!({"traffic": {"outboundPortExclusionList": "none"}, "excludedNamespaces": 7});
    rig.set(&broken);
    pod.stop().and_then(|()| pod.remove()).expect("a pod that can be removed");
    assert_no_interface_and_no_address(&rig);
    assert_eq!(rig.node_chains(), chains);
}
