//! The versions of the CNI specification that containerd 1.6 speaks.

use super::{Rig, Setup, way};
use crate::support::pod::{ContainerSpec, PodSpec};

fn a_pod_starts_is_redirected_and_ends(cni_version: &'static str) {
    let rig = Rig::with(Setup { cni_version, ..Setup::default() });
    let pod = rig.run_redirected(
        &PodSpec::new("web").enabled().annotation("outbound-port-exclusion-list", "8080"),
    );
    let application = pod.start(&ContainerSpec::new("app", &["sleep", "1000"]));
    application.get("203.0.113.9:80").expect_err("nobody listens for Envoy");
    let answer = application.get("203.0.113.9:8080").expect("the world's answer");
    assert_eq!(way(&answer), None);
    pod.stop().and_then(|()| pod.remove()).expect("a pod that can be removed");
    assert_eq!(rig.leases(), Vec::<String>::new());
}

#[test]
fn version_0_3_1_is_served() {
    a_pod_starts_is_redirected_and_ends("0.3.1");
}

#[test]
fn version_0_4_0_is_served() {
    a_pod_starts_is_redirected_and_ends("0.4.0");
}

#[test]
fn version_1_0_0_is_served() {
    a_pod_starts_is_redirected_and_ends("1.0.0");
}
