//! Texts become an entry, and MeshConfigs are merged into it field by field.

use serde_json::{Value, json};

use super::*;
use crate::error_chain::ErrorChain;

fn osm(version: &str, spec: Value) -> String {
    let api = format!("config.openservicemesh.io/{version}");
    json!({"apiVersion": api, "kind": "MeshConfig", "spec": spec}).to_string()
}

fn fsm(spec: Value) -> String {
    json!({"apiVersion": "config.flomesh.io/v1alpha3", "kind": "MeshConfig", "spec": spec})
        .to_string()
}

fn merged(config: Option<&Value>, mesh_configs: &[&str]) -> Result<Value, String> {
    let config = config.map(Value::to_string);
    let config = config.as_deref().map(|text| Document { name: "settings.json", text });
    let documents: Vec<_> =
        mesh_configs.iter().map(|text| Document { name: "mesh.json", text }).collect();
    let entry = Entry::from_documents(config, &documents);
    let entry = entry.map_err(|error| ErrorChain(&error).to_string())?;
    Ok(Value::Object(entry.fields))
}

#[test]
fn a_mesh_config_is_recognised_by_its_api_version() {
    let layout = |text: &str| {
        let entry = Entry::from_config_text(text).expect("settings");
        let selection = entry.settings().selection.as_ref().expect("in order");
        let mesh = &selection.meshes[0];
        (mesh.profile.name, mesh.redirection.as_ref().expect("in order").layout.name)
    };
    assert_eq!(layout(&osm("v1alpha1", json!({}))), ("osm", "osm-v0"));
    assert_eq!(layout(&osm("v1alpha2", json!({}))), ("osm", "osm-v1"));
    assert_eq!(layout(&fsm(json!({}))), ("fsm", "fsm"));
    assert_eq!(layout("{}"), ("osm", "osm-v0"));
}

#[test]
fn fields_of_the_operator_win_one_by_one() {
    let config = json!({
        "ipv6": "reject",
        "traffic": {"outboundPortExclusionList": [1], "inboundPortExclusionList": null},
    });
    let mesh = osm(
        "v1alpha2",
        json!({
            "traffic": {
                "outboundPortExclusionList": [2],
                "inboundPortExclusionList": [3],
                "enableEgress": true,
            },
            "sidecar": {"localProxyMode": "PodIP", "logLevel": "error"},
        }),
    );
    let expected = json!({
        "ipv6": "reject",
        "traffic": {"outboundPortExclusionList": [1], "inboundPortExclusionList": [3]},
        "ruleset": "osm-v1",
        "sidecar": {"localProxyMode": "PodIP"},
    });
    assert_eq!(merged(Some(&config), &[&mesh]), Ok(expected));
    let config = json!({"ruleset": "osm-v0"});
    let ruleset = merged(Some(&config), &[&mesh]).expect("settings")["ruleset"].clone();
    assert_eq!(ruleset, "osm-v0");
}

#[test]
fn of_two_meshes_each_has_its_part() {
    let osm = osm("v1alpha2", json!({"traffic": {"outboundPortExclusionList": [1]}}));
    let fsm = fsm(json!({"traffic": {"outboundPortExclusionList": [2]}}));
    let both = merged(None, &[&osm, &fsm]).expect("settings");
    assert_eq!(both["mesh"], json!(["osm", "fsm"]));
    assert_eq!(both["meshes"]["osm"]["ruleset"], "osm-v1");
    assert_eq!(both["meshes"]["osm"]["traffic"]["outboundPortExclusionList"], json!([1]));
    assert_eq!(both["meshes"]["fsm"]["traffic"]["outboundPortExclusionList"], json!([2]));
    // A field at the top holds for each.
    let config = json!({"traffic": {"outboundPortExclusionList": [9]}});
    let both = merged(Some(&config), &[&osm, &fsm]).expect("settings");
    assert_eq!(both["meshes"]["fsm"]["traffic"], json!({}));
    let alone = merged(None, &[&fsm]).expect("settings");
    assert_eq!((&alone["mesh"], &alone["meshes"]), (&json!("fsm"), &Value::Null));
}

#[test]
fn a_mesh_config_that_does_not_fit_is_named() {
    let mesh = fsm(json!({}));
    let served = json!({"mesh": "osm"});
    for (config, configs, expected) in [
        (None, vec![mesh.as_str(), &mesh], "mesh.json: another MeshConfig of mesh fsm"),
        (Some(&served), vec![&mesh], "mesh.json: this MeshConfig is one of mesh fsm, which"),
        (None, vec!["{}"], "mesh.json: not a MeshConfig"),
        (None, vec!["{"], "mesh.json: not JSON: EOF"),
    ] {
        let error = merged(config, &configs).expect_err(expected);
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn another_kind_is_refused_with_the_command_that_prints_the_right_one() {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "config.flomesh.io/v1alpha3", "kind": "MeshConfig"},
    ]});
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {}});
    for (value, kind, command) in [
        (list, "List", "kubectl get meshconfig fsm-mesh-config -n fsm-system -o json"),
        (map, "ConfigMap", "kubectl get meshconfig osm-mesh-config -n osm-system -o json"),
    ] {
        let error = Entry::from_config_text(&value.to_string()).expect_err("no settings");
        let error = error.to_string();
        assert!(error.contains(command) && error.contains(kind), "{error}");
    }
    let istio = json!({"apiVersion": "config.istio.io/v1", "kind": "MeshConfig"}).to_string();
    let error = Entry::from_config_text(&istio).expect_err("no mesh of ours").to_string();
    assert!(error.starts_with("apiVersion config.istio.io/v1 is of no mesh"), "{error}");
    let yaml = "apiVersion: config.openservicemesh.io/v1alpha2\nkind: MeshConfig\n";
    let error = Entry::from_config_text(yaml).expect_err("no JSON").to_string();
    assert!(error.contains("-o json"), "{error}");
}

#[test]
fn what_other_plugins_have_does_not_matter() {
    let list = r#"{"plugins": [{"type": "bridge", "x": "\ud800", "y": 1e999},
        {"type": "osm-cni", "ipv6": "reject"}]}"#;
    let entry = Entry::in_configuration(list).expect("our entry");
    assert_eq!(Entry::from_config_text(list).expect("our entry"), entry);
    assert_eq!(entry.to_plugin_json()["ipv6"], "reject");
    assert_eq!(Entry::in_configuration(r#"{"plugins": [{"type": "bridge"}]}"#), None);
    assert_eq!(Entry::in_configuration(r#"{"type": "bridge"}"#), None);
    assert!(Entry::in_configuration(r#"{"type": "osm-cni"}"#).is_some());
}

#[test]
fn a_wrong_mesh_is_refused_and_not_replaced_by_a_mesh_config() {
    let config = json!({"mesh": 7});
    let merged = merged(Some(&config), &[&fsm(json!({}))]).expect("an object");
    assert_eq!(merged["mesh"], 7);
    let entry = Entry::from_config_text(&merged.to_string()).expect("an object");
    assert!(entry.settings().check().is_err());
}
