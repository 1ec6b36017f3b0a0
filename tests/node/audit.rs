//! The audit and the repair without a runtime: libcni's cache as it would be,
//! and many network namespaces.

use serde_json::json;

use super::*;
use crate::support::netns::TestNetns;
use crate::support::pod::kubelet_dirs;
use crate::support::schema;

const NAME: &str = "10-pods.conflist";
pub(super) const VOLUME: &str = "envoy-bootstrap-config-volume";
const CAPABILITY: &str = "io.kubernetes.cri.pod-annotations";

/// A node whose settings name its own kubelet's directory.
pub(super) fn node_with_kubelet() -> Node {
    let node = Node::with(&[(NAME, PRIMARY)]);
    for dir in ["kubelet/pods", "cache"] {
        fs::create_dir_all(node.root.path().join(dir)).expect("a directory");
    }
    let kubelet = node.root.path().join("kubelet");
    fs::write(node.settings(), json!({"kubeletDir": kubelet, "logFile": ""}).to_string())
        .expect("write");
    node
}

impl Node {
    pub(super) fn cache(&self) -> PathBuf {
        self.root.path().join("cache")
    }

    /// What libcni keeps of a pod that was made without the plugin.
    pub(super) fn remember(&self, name: &str, netns: &Path, annotations: &Value, volumes: &[&str]) {
        kubelet_dirs(&self.root.path().join("kubelet"), &format!("uid-{name}"), volumes);
        let cached = json!({
            "kind": "cniCacheV1",
            "containerId": format!("container{name}"),
            "config": "e30=",
            "ifName": "eth0",
            "networkName": "pods",
            "netns": netns,
            "cniArgs": [
                ["K8S_POD_NAMESPACE", "demo"],
                ["K8S_POD_NAME", name],
                ["K8S_POD_UID", format!("uid-{name}")],
            ],
            "capabilityArgs": {CAPABILITY: annotations},
            "result": {"cniVersion": "1.0.0", "ips": [{"address": "10.88.0.6/16"}]},
        });
        let path = self.cache().join(format!("pods-container{name}-eth0"));
        fs::write(path, cached.to_string()).expect("write");
    }

    /// The output of `audit`, and its exit code.
    pub(super) fn audit(&self, args: &[&str]) -> (String, Option<i32>) {
        let mut command = Command::new(under_test());
        command.arg("audit").arg("--cache-dir").arg(self.cache()).args(args);
        command.arg("--kubelet-dir").arg(self.root.path().join("kubelet"));
        command.arg("--conf-dir").arg(self.conf());
        let output = command.output().expect("it runs");
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        if args.contains(&"json") {
            let document = serde_json::from_str(&text).expect("JSON");
            assert_eq!(schema::problems(&schema::named("audit"), &document), [""; 0], "{text}");
        }
        (text, output.status.code())
    }
}

/// The exclusions and the tables of a namespace.
fn rules(netns: &TestNetns) -> String {
    netns.exec(&["nft", "list", "ruleset"])
}

#[test]
fn two_hundred_pods_are_repaired_at_once_while_some_of_them_end() {
    let node = node_with_kubelet();
    let pods: Vec<_> = (0..200).map(|_| TestNetns::new()).collect();
    let is_meshed = |number: usize| number.is_multiple_of(2);
    for (number, netns) in pods.iter().enumerate() {
        let volumes: &[&str] = if is_meshed(number) { &[VOLUME] } else { &["other"] };
        let annotations = json!({"openservicemesh.io/outbound-port-exclusion-list": "4242"});
        node.remember(&format!("p{number}"), &netns.path(), &annotations, volumes);
    }
    let (text, code) = node.audit(&[]);
    assert_eq!(code, Some(1));
    assert_eq!(text.matches("around-the-mesh").count(), 100, "{text}");
    assert_eq!(text.matches("left-alone").count(), 100, "{text}");

    let (settings, cache) = (node.settings(), node.cache());
    let (settings, cache) = (settings.to_str().expect("UTF-8"), cache.to_str().expect("UTF-8"));
    let common = ["--config", settings, "--cache-dir", cache];
    node.install(&common);
    let check = [&["--check", "--audit"], &common[..]].concat();
    let output = node.run("install", &check);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("demo/p0"));

    let running = node.launch(&[&["--repair", "--metrics", "127.0.0.1:0"], &common[..]].concat());
    let address = node.metrics();
    // Some end while the others are repaired.
    for number in (0..40).chain(160..200) {
        pods[number].delete();
    }
    let says = |text: &str| get(&address, "/metrics").contains(text);
    wait_for("the repair", || says("osm_cni_pods_around_mesh 0\n"));
    for (number, netns) in pods.iter().enumerate().take(160).skip(40) {
        let rules = rules(netns);
        assert_eq!(rules.contains("table ip osm"), is_meshed(number), "{number}: {rules}");
        assert_eq!(rules.contains("4242"), is_meshed(number), "{number}: {rules}");
    }
    assert!(!node.log().contains("cannot be set"), "{}", node.log());
    assert_eq!(node.run("install", &check).status.code(), Some(0));
    let before: Vec<_> =
        pods[40..60].iter().map(|netns| netns.exec(&["nft", "-a", "list", "ruleset"])).collect();
    running.stop();

    // A second repair changes nothing.
    let running = node.launch(&[&["--repair", "--metrics", "127.0.0.1:0"], &common[..]].concat());
    let address = node.metrics();
    wait_for("the second audit", || {
        get(&address, "/metrics").contains("osm_cni_pods_around_mesh 0\n")
    });
    assert!(get(&address, "/metrics").contains("osm_cni_pods_repaired_total 0\n"));
    let after: Vec<_> =
        pods[40..60].iter().map(|netns| netns.exec(&["nft", "-a", "list", "ruleset"])).collect();
    assert_eq!(after, before);
    running.stop();
}

#[test]
fn without_repair_a_pod_around_the_mesh_is_reported_and_counted() {
    let node = node_with_kubelet();
    let netns = TestNetns::new();
    let (settings, cache) = (node.settings(), node.cache());
    let (settings, cache) = (settings.to_str().expect("UTF-8"), cache.to_str().expect("UTF-8"));
    let running =
        node.launch(&["--config", settings, "--cache-dir", cache, "--metrics", "127.0.0.1:0"]);
    let address = node.metrics();
    let count = |number: u32| {
        get(&address, "/metrics").contains(&format!("osm_cni_pods_around_mesh {number}\n"))
    };
    wait_for("the first audit", || count(0));
    node.remember("late", &netns.path(), &json!({}), &[VOLUME]);
    wait_for("the pod", || count(1));
    assert!(node.log().contains("pod demo/late goes around the mesh"), "{}", node.log());
    assert_eq!(rules(&netns), "", "nothing is changed without --repair");
    // What the plugin cannot find out is never "no sidecar".
    node.remember(
        "odd",
        &netns.path(),
        &json!({"openservicemesh.io/sidecar-injection": "perhaps"}),
        &[VOLUME],
    );
    wait_for("the odd pod", || count(2));
    fs::remove_file(node.cache().join("pods-containerlate-eth0")).expect("delete");
    fs::remove_file(node.cache().join("pods-containerodd-eth0")).expect("delete");
    wait_for("its end", || count(0));
    running.stop();
}

#[test]
fn an_audit_says_what_it_sees() {
    let node = node_with_kubelet();
    let netns = TestNetns::new();
    let gone = node.root.path().join("gone");
    node.remember("gone", &gone, &json!({}), &[VOLUME]);
    let (text, code) = node.audit(&[]);
    assert_eq!((text.as_str(), code), ("no pod with a network of its own\n", Some(0)));
    node.remember("web\u{1b}[2J", &netns.path(), &json!({}), &["other"]);
    let (text, code) = node.audit(&[]);
    assert!(text.starts_with("left-alone") && !text.contains('\u{1b}'), "{text:?}");
    assert_eq!(code, Some(0));
    let (text, _) = node.audit(&["-o", "json"]);
    let document: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(document["pods"][0]["rules"], "unknown");
    assert_eq!(document["around"], 0);
    let output = Command::new(under_test()).args(["audit", "--cache-dir", "/nowhere"]).output();
    let output = output.expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("/nowhere") && stderr(&output).contains("--cache-dir"));
}

#[test]
fn the_json_of_an_audit_is_as_its_schema_says() {
    let node = node_with_kubelet();
    let (meshed, plain) = (TestNetns::new(), TestNetns::new());
    let audit = || -> Value {
        serde_json::from_str(&node.audit(&["-o", "json"]).0).expect("as its schema says")
    };
    assert_eq!(audit(), json!({"pods": [], "around": 0}));
    node.remember("meshed", &meshed.path(), &json!({}), &[VOLUME]);
    node.remember("plain", &plain.path(), &json!({}), &["other"]);
    let state = |document: &Value, name: &str| {
        let pods = document["pods"].as_array().expect("pods");
        pods.iter().find(|pod| pod["name"] == name).expect("the pod")["state"].clone()
    };
    let before = audit();
    assert_eq!(
        (state(&before, "meshed"), &before["around"]),
        (json!("around-the-mesh"), &json!(1))
    );
    assert_eq!(state(&before, "plain"), "left-alone");
    let (settings, cache) = (node.settings(), node.cache());
    let (settings, cache) = (settings.to_str().expect("UTF-8"), cache.to_str().expect("UTF-8"));
    let running = node.launch(&["--repair", "--config", settings, "--cache-dir", cache]);
    wait_for("the repair", || state(&audit(), "meshed") == "redirected");
    running.stop();
    // The check itself can say no.
    let mut wrong = before;
    wrong["pods"][0]["state"] = json!("lost");
    wrong["pods"][0]["more"] = json!(1);
    assert_eq!(schema::problems(&schema::named("audit"), &wrong).len(), 2);
}
