//! `render` and `explain` answer by the mesh and the ruleset that are in force,
//! and say which they are.

use serde_json::{Value, json};

use super::node::Node;
use super::{argument, osm_cni, osm_cni_line, settings};

fn mesh_config(api_version: &str) -> Value {
    json!({"apiVersion": api_version, "kind": "MeshConfig", "spec": {
        "traffic": {"outboundPortExclusionList": [6379]},
        "sidecar": {"localProxyMode": "Localhost"},
    }})
}

#[test]
fn a_mesh_configs_version_chooses_the_ruleset_and_an_option_overrides_it() {
    for (version, ruleset, mesh) in [
        ("config.openservicemesh.io/v1alpha1", "osm-v0", "osm"),
        ("config.openservicemesh.io/v1alpha2", "osm-v1", "osm"),
        ("config.flomesh.io/v1alpha3", "fsm", "fsm"),
    ] {
        let file = settings(mesh_config(version));
        let config = argument(file.path());
        let rendered = osm_cni_line(&format!("render --config {config}"));
        let first = format!("# ruleset {ruleset} (mesh {mesh})\n");
        assert!(rendered.ok().starts_with(&first), "{version}: {rendered:?}");
        let json = osm_cni_line(&format!("render -o json --config {config}")).json();
        assert_eq!((&json["ruleset"], &json["mesh"]), (&json!(ruleset), &json!(mesh)));
        let connection = "--direction inbound --dst 10.0.0.7:15904";
        let explain =
            |more: &str| osm_cni_line(&format!("explain {connection} --config {config} {more}"));
        let by_version = explain("-o json").json();
        assert_eq!(by_version["ruleset"], ruleset);
        // The bypass ports follow the ruleset.
        let direct = |json: &Value| json["end"]["kind"] == "direct";
        assert_eq!(direct(&by_version), ruleset != "osm-v0", "{by_version}");
        for other in ["osm-v0", "osm-v1", "fsm"] {
            let overridden = explain(&format!("-o json --ruleset {other}")).json();
            assert_eq!(overridden["ruleset"], other);
            assert_eq!(overridden["mesh"], mesh);
            assert_eq!(direct(&overridden), other != "osm-v0", "{overridden}");
        }
        let line = format!("\nruleset     {ruleset} (mesh {mesh})\n");
        assert!(explain("").ok().contains(&line), "{:?}", explain(""));
    }
}

#[test]
fn a_mesh_config_beside_the_settings_gives_what_they_leave_open() {
    let own = settings(json!({"traffic": {"outboundIPRangeExclusionList": ["10.0.0.0/8"]}}));
    let mesh = settings(mesh_config("config.openservicemesh.io/v1alpha2"));
    let options =
        format!("--config {} --mesh-config {}", argument(own.path()), argument(mesh.path()));
    let origin = |to: &str| {
        let line = format!("explain -o json --direction outbound --dst {to} {options}");
        osm_cni_line(&line).json()["origin"].clone()
    };
    assert_eq!(origin("10.0.0.7:80"), "outbound ranges: mesh config");
    assert_eq!(origin("192.0.2.7:6379"), "outbound ports: mesh config");
    assert_eq!(origin("192.0.2.7:80"), Value::Null);
    let json = osm_cni_line(&format!("render -o json {options}")).json();
    assert_eq!(json["ruleset"], "osm-v1");
}

#[test]
fn with_several_meshes_the_pods_own_is_that_of_its_annotations_or_the_option() {
    let file = settings(json!({
        "mesh": ["osm", "fsm"],
        "meshes": {"fsm": {"traffic": {"outboundPortExclusionList": [1111]}}},
    }));
    let config = argument(file.path());
    let mesh = |more: &str| {
        let json = osm_cni_line(&format!("render -o json --config {config} {more}")).json();
        (json["mesh"].clone(), json["ruleset"].clone())
    };
    let (osm, fsm) = ((json!("osm"), json!("osm-v0")), (json!("fsm"), json!("fsm")));
    assert_eq!(mesh("--mesh fsm"), fsm);
    assert_eq!(mesh("--annotation openservicemesh.io/sidecar-injection=enabled"), osm);
    assert_eq!(mesh("--annotation flomesh.io/sidecar-injection=enabled"), fsm);
    assert_eq!(mesh("--mesh osm --annotation inbound-port-exclusion-list=80"), osm);
    let only_osm = settings(json!({}));
    let wrong = osm_cni(&["render", "--mesh", "fsm", "--config", argument(only_osm.path())]);
    assert!(wrong.failed(2).contains("a mesh that the setting mesh names"), "{wrong:?}");
}

#[test]
fn with_several_meshes_a_pod_that_could_be_of_either_is_refused() {
    let file = settings(json!({"mesh": ["osm", "fsm"]}));
    let config = argument(file.path());
    let both = "--annotation openservicemesh.io/sidecar-injection=enabled \
                --annotation flomesh.io/sidecar-injection=enabled";
    for pod in ["", "--namespace test", "--annotation inbound-port-exclusion-list=80", both] {
        for verb in ["render", "explain --direction outbound --dst 192.0.2.1:80"] {
            let run = osm_cni_line(&format!("{verb} --config {config} {pod}"));
            let error = run.failed(1);
            assert!(
                error.contains("osm, fsm") && error.contains("--mesh"),
                "{verb} {pod}: {run:?}"
            );
            assert_eq!(run.stdout, "", "{verb} {pod}");
        }
    }
    // Without a sidecar it is of neither.
    let json = osm_cni_line(&format!("render -o json --no-sidecar --config {config}")).json();
    assert_eq!((&json["decision"], &json["mesh"]), (&json!("leave"), &Value::Null));
}

#[test]
fn a_pod_of_fsm_that_its_node_intercepts_has_no_sidecar_and_is_left_alone() {
    let mut config = mesh_config("config.flomesh.io/v1alpha3");
    config["spec"]["traffic"]["interceptionMode"] = json!("NodeLevel");
    let file = settings(config);
    let pod = "--no-sidecar --annotation flomesh.io/sidecar-injection=enabled";
    let run = osm_cni_line(&format!("render -o json --config {} {pod}", argument(file.path())));
    assert_eq!(run.json()["decision"], "leave");
    assert_eq!(run.stderr, "", "the field is no warning");
}

#[test]
fn pod_ip_without_an_address_says_how_to_give_one() {
    let file = settings(json!({"sidecar": {"localProxyMode": "PodIP"}}));
    for verb in ["render", "explain --direction outbound --dst 10.0.0.7:80"] {
        let line = format!("{verb} --config {}", argument(file.path()));
        let run = osm_cni_line(&line);
        assert!(run.failed(1).contains("give it with --pod-ip"), "{run:?}");
        osm_cni_line(&format!("{line} --pod-ip 10.0.0.6")).ok();
    }
}

#[test]
fn other_texts_than_settings_are_answered_with_what_is_needed() {
    for (text, part) in [
        ("apiVersion: config.openservicemesh.io/v1alpha2\nkind: MeshConfig\n", "-o json"),
        (r#"{"apiVersion": "v1", "kind": "List", "items": []}"#, "kubectl get meshconfig"),
        (r#"{"apiVersion": "v1", "kind": "ConfigMap", "data": {}}"#, "kubectl get meshconfig"),
        ("[1]", "not an object"),
        ("", "not JSON"),
    ] {
        let file = settings(text);
        let run = osm_cni(&["render", "--config", argument(file.path())]);
        assert!(run.failed(1).contains(part), "{text}: {run:?}");
        assert!(run.stderr.contains(argument(file.path())), "the file is named: {run:?}");
    }
}

#[test]
fn inspect_says_which_ruleset_the_pod_has() {
    for ruleset in ["osm-v0", "osm-v1", "fsm"] {
        let node = Node::new("test", "web");
        node.add(&json!({"ruleset": ruleset}), &json!({}));
        let root = argument(node.root());
        let inspect = |format| osm_cni(&["inspect", "test/web", "--host-root", root, "-o", format]);
        let line = format!("\nruleset     {ruleset} (mesh osm)\n");
        assert!(inspect("text").ok().contains(&line), "{:?}", inspect("text"));
        assert_eq!(inspect("json").json()["ruleset"], ruleset);
        node.pod.exec(&["nft", "flush", "ruleset"]);
        assert_eq!(inspect("json").json()["ruleset"], Value::Null);
    }
}
