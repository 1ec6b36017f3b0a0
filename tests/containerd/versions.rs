//! The main scenarios of a pod's life under both containerds, at each version
//! of the CNI specification that they accept in a list.

use serde_json::json;

use super::{CONFLIST, Rig, Setup, way};
use crate::support::containerd::Version;
use crate::support::host;
use crate::support::namespace::tables;
use crate::support::pod::{ContainerSpec, PodSpec, kubelet_dirs};
use crate::support::program::under_test;

const VOLUME: &str = "envoy-bootstrap-config-volume";

/// A node with this containerd and a list of this version, and all that the
/// plugin logs.
fn node(containerd: Version, cni_version: &'static str) -> Rig {
    let settings = json!({"logLevel": "debug"});
    let rig = Rig::with(Setup { containerd, cni_version, settings, ..Setup::default() });
    let version = rig.node.cri().version().expect("a version").runtime_version;
    println!("containerd {version}, list version {cni_version}");
    rig
}

fn meshed(name: &str) -> PodSpec {
    PodSpec::new(name).enabled().annotation("outbound-port-exclusion-list", "8080")
}

/// The life of pods on one node: redirected by annotation and by volume, left
/// alone, refused, stopped and removed more than once.
fn pods_are_served(containerd: Version, cni_version: &'static str) {
    let rig = node(containerd, cni_version);
    by_annotation(&rig);
    by_volume_and_without_annotations(&rig);
    refused_with_a_message(&rig);
    assert_eq!(rig.leases(), Vec::<String>::new());
}

/// The runtime passes the annotations, and the exclusion among them is in force.
/// Stopping and removing the pod repeatedly calls DEL repeatedly.
fn by_annotation(rig: &Rig) {
    let pod = rig.run_redirected(&meshed("web"));
    let application = pod.start(&ContainerSpec::new("app", &["sleep", "1000"]));
    let refused = application.get("203.0.113.9:80").expect_err("nobody listens for Envoy");
    assert!(refused.contains("Connection refused"), "{refused}");
    let answer = application.get("203.0.113.9:8080").expect("the world's answer");
    assert_eq!(way(&answer), None);
    pod.stop().and_then(|()| pod.stop()).expect("a pod that can be stopped twice");
    pod.remove().and_then(|()| pod.remove()).expect("a pod that can be removed twice");
    let log = rig.plugin_log();
    let dels = log.lines().filter(|line| line.contains("verb=DEL")).count();
    assert!(dels > 1, "{dels} lines of DEL in {log}");
    assert!(!log.contains("[ERROR]"), "{log}");
}

/// Without annotations the runtime passes `null`, and the volumes below the pod's
/// uid decide.
fn by_volume_and_without_annotations(rig: &Rig) {
    kubelet_dirs(&rig.kubelet(), "uid-injected", &["token", VOLUME]);
    kubelet_dirs(&rig.kubelet(), "uid-plain", &["token"]);
    let injected = rig.run_redirected(&PodSpec::new("injected"));
    let plain = PodSpec::new("plain").run(&rig.node);
    assert_eq!(tables(&plain.netns()), "");
    for pod in [injected, plain] {
        pod.stop().and_then(|()| pod.remove()).expect("a pod that can be removed");
    }
    std::fs::remove_dir_all(rig.kubelet()).expect("the kubelet's directory");
}

/// An invalid annotation stops the pod with the plugin's message, and no
/// address stays allocated.
fn refused_with_a_message(rig: &Rig) {
    let spec = meshed("web").annotation("inbound-port-exclusion-list", "6379,seventy");
    let error = spec.try_run(&rig.node).expect_err("a pod with an invalid annotation").to_string();
    for part in [
        "failed to setup network for sandbox",
        "plugin type=\"osm-cni\"",
        "openservicemesh.io/inbound-port-exclusion-list",
        "seventy",
    ] {
        assert!(error.contains(part), "{part} is not in {error}");
    }
}

#[test]
fn containerd_1_6_serves_pods_at_0_3_1() {
    pods_are_served(Version::Installed, "0.3.1");
}

#[test]
fn containerd_1_6_serves_pods_at_0_4_0() {
    pods_are_served(Version::Installed, "0.4.0");
}

#[test]
fn containerd_1_6_serves_pods_at_1_0_0() {
    pods_are_served(Version::Installed, "1.0.0");
}

/// Debian 12's own plugins refuse it first; behind newer ones, containerd does.
#[test]
fn containerd_1_6_refuses_lists_of_1_1_0() {
    let setup = Setup { containerd: Version::Installed, cni_version: "1.1.0", ..Setup::default() };
    let rig = Rig::with(setup);
    let version = rig.node.cri().version().expect("a version").runtime_version;
    assert!(version.starts_with("1.6."), "this machine's containerd is {version}");
    for (plugins, reason) in [
        (Version::Installed, "incompatible CNI versions"),
        (Version::Newest, "unsupported CNI result version \"1.1.0\""),
    ] {
        rig.node.use_plugins_of(plugins);
        let spec = meshed(&format!("{plugins:?}"));
        let error = spec.try_run(&rig.node).expect_err("a list of 1.1.0").to_string();
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn containerd_2_serves_pods_at_0_3_1() {
    pods_are_served(Version::Newest, "0.3.1");
}

#[test]
fn containerd_2_serves_pods_at_0_4_0() {
    pods_are_served(Version::Newest, "0.4.0");
}

#[test]
fn containerd_2_serves_pods_at_1_0_0() {
    pods_are_served(Version::Newest, "1.0.0");
}

#[test]
fn containerd_2_serves_pods_at_1_1_0() {
    pods_are_served(Version::Newest, "1.1.0");
}

/// The primary has `cniVersions` (CNI 1.1) and no `cniVersion`, and the installer
/// chains into it.
fn pods_are_served_behind_cni_versions(containerd: Version, versions: &[&str]) {
    let rig = Rig::with(Setup { containerd, plugin: false, ..Setup::default() });
    let mut list = rig.conflist();
    list.as_object_mut().expect("an object").remove("cniVersion");
    list["cniVersions"] = json!(versions);
    rig.node.configure(CONFLIST, &list);
    let settings = json!({"kubeletDir": rig.kubelet(), "logFile": rig.log_file()});
    let config = rig.node.dir().path().join("settings.json");
    host::write(&config, settings.to_string());
    let mut install = host::command(under_test());
    install.args(["install", "--once", "--config"]).arg(&config);
    install.arg("--bin-dir").arg(rig.node.dir().dir("bin"));
    install.arg("--conf-dir").arg(rig.node.conf_dir());
    let output = install.output().expect("it runs");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    rig.node.wait_until("our entry is in force", || {
        let answer = rig.node.network_ready()?;
        let config = answer.info.get("cniconfig").cloned().unwrap_or_default();
        if config.contains("osm-cni") { Ok(()) } else { Err(config) }
    });
    by_volume_and_without_annotations(&rig);
}

#[test]
fn containerd_1_6_serves_pods_behind_cni_versions() {
    for versions in [&["0.4.0", "1.0.0"][..], &["1.1.0"]] {
        pods_are_served_behind_cni_versions(Version::Installed, versions);
    }
}

#[test]
fn containerd_2_serves_pods_behind_cni_versions() {
    for versions in [&["0.4.0", "1.0.0"][..], &["1.0.0", "1.1.0"]] {
        pods_are_served_behind_cni_versions(Version::Newest, versions);
    }
}

/// containerd calls STATUS in each of its own Status calls. Wrong settings must
/// not make the node NotReady: pods outside the mesh still start.
#[test]
fn containerd_2_calls_status_at_1_1_0_and_wrong_settings_leave_the_node_ready() {
    let rig = node(Version::Newest, "1.1.0");
    assert_status_is_called(&rig);
    rig.set(&json!({"traffic": {"outboundPortExclusionList": [70000]}}));
    assert_status_is_called(&rig);
    let error = meshed("web").try_run(&rig.node).expect_err("a wrong setting").to_string();
    assert!(error.contains("traffic.outboundPortExclusionList[0]"), "{error}");
    let plain = PodSpec::new("plain").run(&rig.node);
    assert_eq!(tables(&plain.netns()), "");
}

/// One Status call of the runtime is one STATUS of the plugin that succeeds.
#[track_caller]
fn assert_status_is_called(rig: &Rig) {
    let calls = || rig.plugin_log().lines().filter(|line| line.contains("verb=STATUS")).count();
    let before = calls();
    rig.node.network_ready().expect("a ready network");
    rig.node.wait_until("STATUS is in the plugin's log", || {
        if calls() > before { Ok(()) } else { Err(rig.plugin_log()) }
    });
}
