//! A node of a cluster that moves from OSM to FSM: its settings come from both
//! meshes' MeshConfigs, and each pod is told to be of its own.

use serde_json::json;

use super::audit::node_with_kubelet;
use super::*;
use crate::support::netns::TestNetns;

const OSM: &str = "envoy-bootstrap-config-volume";
const FSM: &str = "sidecar-bootstrap-config-volume";

/// A MeshConfig as meshconfig-sync writes it, with this port excluded.
fn mesh_config(api_version: &str, port: u16) -> String {
    let traffic = json!({"outboundPortExclusionList": [port]});
    json!({"apiVersion": api_version, "kind": "MeshConfig", "spec": {"traffic": traffic}})
        .to_string()
}

#[test]
fn with_both_meshes_each_pod_is_audited_and_repaired_as_one_of_its_own() {
    let node = node_with_kubelet();
    let [osm, fsm] =
        ["osm.json", "fsm.json"].map(|name| node.root.path().join("config").join(name));
    fs::write(&osm, mesh_config("config.openservicemesh.io/v1alpha2", 1111)).expect("write");
    fs::write(&fsm, mesh_config("config.flomesh.io/v1alpha3", 2222)).expect("write");
    let paths = [node.settings(), node.cache(), osm, fsm];
    let [settings, cache, osm, fsm] = paths.each_ref().map(|path| path.to_str().expect("UTF-8"));
    let args = [
        ["--config", settings],
        ["--cache-dir", cache],
        ["--mesh-config", osm],
        ["--mesh-config", fsm],
    ];
    let args = args.concat();

    let pods = [(); 4].map(|()| TestNetns::new());
    let annotations = json!({
        "openservicemesh.io/outbound-port-exclusion-list": "4242",
        "flomesh.io/outbound-port-exclusion-list": "4343",
    });
    for ((name, volumes), netns) in
        [("old", &[OSM][..]), ("new", &[FSM]), ("other", &["data"]), ("torn", &[OSM, FSM])]
            .into_iter()
            .zip(&pods)
    {
        node.remember(name, &netns.path(), &annotations, volumes);
    }

    node.install(&args);
    let (text, code) = node.audit(&[]);
    assert_eq!(code, Some(1), "{text}");
    for (state, pod) in [
        ("around-the-mesh", "old"),
        ("around-the-mesh", "new"),
        ("left-alone", "other"),
        ("around-the-mesh", "torn"),
    ] {
        let found = text
            .lines()
            .any(|line| line.starts_with(state) && line.contains(&format!(" demo/{pod}: ")));
        assert!(found, "{pod} is not {state}:\n{text}");
    }

    let running = node.launch(&[&["--repair", "--metrics", "127.0.0.1:0"], &args[..]].concat());
    let address = node.metrics();
    // That of two meshes stays around, and is reported.
    wait_for("the repair", || get(&address, "/metrics").contains("osm_cni_pods_around_mesh 1\n"));
    running.stop();
    let rules = pods.each_ref().map(|netns| netns.exec(&["nft", "list", "ruleset"]));
    for (rules, has, has_not) in [
        (&rules[0], ["OSM_PROXY_OUTBOUND", "1111", "4242"], ["FSM_PROXY", "2222", "4343"]),
        (&rules[1], ["FSM_PROXY_OUTBOUND", "2222", "4343"], ["OSM_PROXY", "1111", "4242"]),
    ] {
        assert!(has.iter().all(|word| rules.contains(word)), "{has:?}:\n{rules}");
        assert!(!has_not.iter().any(|word| rules.contains(word)), "{has_not:?}:\n{rules}");
    }
    assert_eq!([&*rules[2], &*rules[3]], ["", ""]);
}
