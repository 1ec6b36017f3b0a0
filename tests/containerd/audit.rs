//! Pods that started before the plugin was on their node: the audit names those
//! with a sidecar, and the repair redirects them in place.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::{Rig, Setup, way};
use crate::support::envoy::{self, APPLICATION};
use crate::support::namespace::{run_inside, tables};
use crate::support::plugin::Call;
use crate::support::pod::{Container, ContainerSpec, Pod, PodSpec, kubelet_dirs};
use crate::support::program::under_test;
use crate::support::{host, schema, wait_for};

const VOLUME: &str = "envoy-bootstrap-config-volume";
/// For hangs only.
const LIMIT: Duration = Duration::from_secs(60);

/// A running `install --repair`, which is killed at the end.
struct Installer(Child);

impl Drop for Installer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// libcni's cache, as far as it is about this node: its place is fixed, and
/// other nodes of the tests share it.
fn cache(rig: &Rig) -> PathBuf {
    let dir = rig.node.dir().dir("cache");
    let below = format!("{}/", rig.node.dir().path().display());
    let all = Path::new("/var/lib/cni/results");
    for name in host::names_in(all) {
        let text = fs::read_to_string(all.join(&name)).unwrap_or_default();
        if text.contains(&below) {
            host::write(&dir.join(&name), text);
        }
    }
    dir
}

/// The state of each pod, by its name, and the exit code.
fn audit(rig: &Rig) -> (Vec<(String, String)>, Option<i32>) {
    let output = host::command(under_test())
        .args(["audit", "-o", "json", "--cache-dir"])
        .arg(cache(rig))
        .arg("--kubelet-dir")
        .arg(rig.kubelet())
        .arg("--conf-dir")
        .arg(rig.node.conf_dir())
        .output()
        .expect("it runs");
    let document: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {output:?}"));
    assert_eq!(schema::problems(&schema::named("audit"), &document), [""; 0], "{document}");
    let text = |pod: &Value, key: &str| pod[key].as_str().expect("a text").to_owned();
    let pods = document["pods"].as_array().expect("pods");
    let states = pods.iter().map(|pod| (text(pod, "name"), text(pod, "state"))).collect();
    (states, output.status.code())
}

fn install(rig: &Rig) -> Installer {
    let settings = json!({
        "kubeletDir": rig.kubelet(),
        "logFile": rig.log_file(),
        "traffic": {"outboundPortExclusionList": [7070]},
    });
    let config = rig.node.dir().path().join("settings.json");
    host::write(&config, settings.to_string());
    let log = fs::File::create(rig.node.dir().path().join("install.log")).expect("a log");
    let copy = log.try_clone().expect("a second descriptor");
    let mut command = host::command(under_test());
    command.args(["install", "--repair", "--bin-dir"]).arg(rig.node.dir().dir("bin"));
    command.arg("--conf-dir").arg(rig.node.conf_dir()).arg("--config").arg(&config);
    command.arg("--cache-dir").arg(cache(rig)).args(["--metrics", "127.0.0.1:0"]);
    let child = command.stdout(log).stderr(copy).stdin(Stdio::null()).spawn();
    Installer(child.expect("it runs"))
}

fn log(rig: &Rig) -> String {
    fs::read_to_string(rig.node.dir().path().join("install.log")).unwrap_or_default()
}

fn rules(pod: &Pod<'_>) -> String {
    run_inside(&pod.netns(), &["nft", "-a", "list", "ruleset"])
}

fn application<'node>(pod: &Pod<'node>) -> Container<'node> {
    let application = pod.start(&ContainerSpec::new("app", &["serve", &APPLICATION.to_string()]));
    let address = SocketAddr::from(([127, 0, 0, 1], APPLICATION));
    wait_for("the application answers", LIMIT, || application.get(address));
    application
}

#[test]
fn pods_that_were_there_before_are_named_and_repaired_and_the_others_are_untouched() {
    let rig = Rig::with(Setup { plugin: false, ..Setup::default() });
    host::remove_if_there(&rig.node.dir().dir("bin").join("osm-cni"));
    for (uid, volumes) in [
        ("uid-web", &[VOLUME][..]),
        ("uid-db", &["other", VOLUME]),
        ("uid-plain", &["other"]),
        ("uid-off", &[VOLUME]),
        ("uid-dns", &[VOLUME]),
    ] {
        kubelet_dirs(&rig.kubelet(), uid, volumes);
    }
    let web = PodSpec::new("web").annotation("outbound-port-exclusion-list", "8080");
    let web = web.run(&rig.node);
    let db = PodSpec::new("db").enabled().run(&rig.node);
    let plain = PodSpec::new("plain").enabled().run(&rig.node);
    let off = PodSpec::new("off").annotation("sidecar-injection", "disabled").run(&rig.node);
    let dns = PodSpec::new("dns").namespace("kube-system").run(&rig.node);
    let envoy = envoy::start(&web, envoy::IPV4);
    let app = application(&web);
    let answer = app.get("203.0.113.9:80").expect("the world's answer");
    assert_eq!(way(&answer), None, "it goes around the mesh");

    let expect = |around: &str| {
        let (states, code) = audit(&rig);
        let states: Vec<_> =
            states.iter().map(|(name, state)| (name.as_str(), state.as_str())).collect();
        let left = "left-alone";
        let expected =
            [("db", around), ("off", left), ("plain", left), ("web", around), ("dns", left)];
        assert_eq!(states, expected);
        assert_eq!(code, Some(i32::from(around == "around-the-mesh")));
    };
    expect("around-the-mesh");

    let installer = install(&rig);
    wait_for("the repair of both", LIMIT, || {
        let log = log(&rig);
        let is_there = |name: &str| log.contains(&format!("pod demo/{name} is redirected"));
        if is_there("web") && is_there("db") { Ok(()) } else { Err(log) }
    });
    for (address, expected) in [
        ("203.0.113.9:80", Some("outbound")),
        // By the pod's annotation, which libcni's cache kept, and the settings.
        ("203.0.113.9:8080", None),
        ("203.0.113.9:7070", None),
    ] {
        let answer = app.get(address).unwrap_or_else(|error| panic!("{address}: {error}"));
        assert_eq!(way(&answer), expected, "{address}: {answer}");
    }
    for pod in [&plain, &off, &dns] {
        assert_eq!(tables(&pod.netns()), "", "{}", pod.id());
    }
    expect("redirected");

    // A second repair changes nothing: each rule has the handle that it had.
    let before = [rules(&db), rules(&plain)];
    drop(installer);
    let installer = install(&rig);
    let metrics = wait_for("the second audit", LIMIT, || {
        let log = log(&rig);
        let rest = log.split_once("metrics at http://").map(|(_, rest)| rest);
        let address = rest.and_then(|rest| rest.split('/').next()).unwrap_or_default();
        let metrics = crate::node::get(address, "/metrics");
        let is_done = metrics.contains("osm_cni_pods_around_mesh 0\n");
        if is_done { Ok(metrics) } else { Err(log) }
    });
    assert!(metrics.contains("osm_cni_pods_repaired_total 0\n"), "{metrics}");
    assert_eq!([rules(&db), rules(&plain)], before);

    // CHECK and DEL of a repaired pod are those of any other.
    let list = fs::read_to_string(rig.node.conf_dir().join("00-osm-cni.conflist"));
    let list: Value = serde_json::from_str(&list.expect("our list")).expect("JSON");
    let mut conf = list["plugins"].as_array().and_then(|all| all.last()).expect("ours").clone();
    conf["cniVersion"] = list["cniVersion"].clone();
    conf["name"] = list["name"].clone();
    conf["runtimeConfig"] = json!({"io.kubernetes.cri.pod-annotations":
        {"openservicemesh.io/sidecar-injection": "enabled"}});
    conf["prevResult"] = json!({"cniVersion": "1.0.0"});
    let args = "K8S_POD_NAMESPACE=demo;K8S_POD_NAME=db;K8S_POD_UID=uid-db";
    let call = |verb| {
        Call::new(verb, &conf)
            .netns(&db.netns())
            .env("CNI_CONTAINERID", db.id())
            .env("CNI_ARGS", args)
    };
    call("CHECK").run().ok();
    call("DEL").run().ok();
    assert_eq!(tables(&db.netns()), "");
    for pod in [&web, &db, &plain] {
        pod.stop().and_then(|()| pod.remove()).expect("the pod goes");
    }
    drop((installer, envoy));
}
