//! Which pods are redirected, seen from the runtime: by annotation, namespace
//! and the kubelet's directories.

use super::{Rig, way};
use crate::support::namespace;
use crate::support::pod::{ContainerSpec, PodSpec, kubelet_dirs};

/// The volume that the mesh's injector mounts into a pod with a sidecar.
const VOLUME: &str = "envoy-bootstrap-config-volume";

/// Runs the pod and expects no trace of the mesh: no table, and a request that
/// arrives as it was sent.
#[track_caller]
fn assert_untouched(rig: &Rig, spec: &PodSpec) {
    let pod = spec.run(&rig.node);
    assert_eq!(namespace::tables(&pod.netns()), "", "{spec:?}");
    let application = pod.start(&ContainerSpec::new("app", &["sleep", "1000"]));
    let answer = application.get("203.0.113.9:80").expect("the world's answer");
    assert_eq!(way(&answer), None, "{answer}");
}

#[track_caller]
fn assert_redirected(rig: &Rig, spec: &PodSpec) {
    let pod = rig.run_redirected(spec);
    let application = pod.start(&ContainerSpec::new("app", &["sleep", "1000"]));
    let refused = application.get("203.0.113.9:80").expect_err("nobody listens for Envoy");
    assert!(refused.contains("Connection refused"), "{refused}");
}

#[test]
fn a_pod_without_the_annotation_is_untouched() {
    let rig = Rig::new();
    assert_untouched(&rig, &PodSpec::new("plain"));
}

#[test]
fn a_pod_of_an_excluded_namespace_is_untouched() {
    let rig = Rig::new();
    assert_untouched(&rig, &PodSpec::new("dns").namespace("kube-system").enabled());
}

#[test]
fn a_pod_annotated_disabled_is_untouched() {
    let rig = Rig::new();
    kubelet_dirs(&rig.kubelet(), "uid-off", &[VOLUME]);
    assert_untouched(&rig, &PodSpec::new("off").annotation("sidecar-injection", "disabled"));
}

#[test]
fn a_pod_on_the_nodes_network_is_untouched_and_so_is_the_node() {
    let rig = Rig::new();
    let pod = PodSpec::new("agent").enabled().host_network().run(&rig.node);
    let application = pod.start(&ContainerSpec::new("app", &["sleep", "1000"]));
    let answer = application.get("203.0.113.9:80").expect("the world's answer");
    assert_eq!(way(&answer), None, "{answer}");
    let tables = namespace::tables(&rig.node.netns().path());
    assert!(!tables.contains("osm"), "{tables}");
}

#[test]
fn an_annotated_pod_is_redirected_where_no_kubelet_is() {
    let rig = Rig::new();
    assert_redirected(&rig, &PodSpec::new("web").enabled());
}

#[test]
fn a_pod_with_osms_volume_and_no_annotation_is_redirected() {
    let rig = Rig::new();
    kubelet_dirs(&rig.kubelet(), "uid-web", &["token", VOLUME]);
    assert_redirected(&rig, &PodSpec::new("web"));
}

#[test]
fn a_pod_annotated_enabled_without_osms_volume_is_left_alone_and_the_log_says_why() {
    let rig = Rig::new();
    kubelet_dirs(&rig.kubelet(), "uid-bare", &["token"]);
    assert_untouched(&rig, &PodSpec::new("bare").enabled());
    let log = rig.plugin_log();
    let line = log.lines().find(|line| line.contains("verb=ADD") && line.contains("demo/bare"));
    let line = line.unwrap_or_else(|| panic!("no line for the pod in {log:?}"));
    for part in ["leave", "no sidecar was injected", VOLUME, "sidecarVolumes"] {
        assert!(line.contains(part), "{part} is not in {line}");
    }
}
