//! `conf/` as its readers take it: the samples are valid, and the schema of our
//! entry says what the plugin says.

use osm_cni::config::profile::{LAYOUTS, PROFILES};
use osm_cni::config::{Entry, Settings};
use serde_json::{Value, json};

use crate::support::plugin::{Call, conf, enabled};
use crate::support::schema::{named, problems};

#[test]
fn the_samples_are_valid() {
    let settings = include_str!("../../conf/settings.json");
    let list = include_str!("../../conf/10-bridge-osm.conflist");
    for text in [settings, list] {
        let entry = Entry::from_config_text(text).expect("settings");
        entry.settings().check().expect("in order");
        assert_eq!(entry.settings().warnings, [""; 0]);
        let entry = Value::Object(entry.to_plugin_json());
        assert_eq!(problems(&named("osm-cni"), &entry), [""; 0]);
    }
}

#[test]
fn the_sample_of_all_settings_is_the_defaults() {
    let all = Entry::from_config_text(include_str!("../../conf/settings.json")).expect("settings");
    assert_eq!(all.settings(), &Settings::default());
}

#[test]
fn schema_and_plugin_agree() {
    let cases = [
        (json!({"ruleset": "osm-v1", "ipv6": "reject", "podExclusions": "ignore"}), true),
        (json!({"traffic": {"outboundPortExclusionList": [1, "65535", "8000-8010"]}}), true),
        (json!({"traffic": {"enableEgress": true}, "sidecar": {"logLevel": "error"}}), true),
        (json!({"traffic": {"networkInterfaceExclusionList": ["eth0", "net+"]}}), true),
        (
            json!({"ipv6": "reject", "traffic": {"outboundIPRangeExclusionList": ["10.0.0.1", "::/0"]}}),
            true,
        ),
        (json!({"mesh": "fsm"}), true),
        (
            json!({"mesh": ["osm", "fsm"], "meshes": {"fsm": {"traffic": {"outboundPortExclusionList": [1]}}}}),
            true,
        ),
        (json!({"logFormat": "json"}), true),
        (json!({"traffic": {"outboundIPRangeExclusionList": ["1.1.1.1/32, 2.2.2.2/32"]}}), true),
        (json!({"mesh": "istio"}), false),
        (json!({"mesh": []}), false),
        (json!({"logFormat": "xml"}), false),
        (json!({"traffic": {"outboundIPRangeExclusionList": ["10.0.0.0/08"]}}), false),
        (json!({"logFile": "", "proxy": {"uid": 0}, "meshNamespaces": ["*"]}), true),
        (json!({"ruleset": "osm-v2"}), false),
        (json!({"traffic": []}), false),
        (json!({"traffic": {"outboundPortExclusionList": [0]}}), false),
        (json!({"traffic": {"outboundPortExclusionList": [65536]}}), false),
        (json!({"traffic": {"inboundPortExclusionList": ["http"]}}), false),
        (json!({"traffic": {"outboundIPRangeInclusionList": ["ten"]}}), false),
        (json!({"traffic": {"networkInterfaceExclusionList": ["sixteencharacter"]}}), false),
        (json!({"traffic": {"outboundUIDExclusionList": [4294967295u64]}}), false),
        (json!({"proxy": {"outboundPort": "15001"}}), false),
        (json!({"sidecar": {"localProxyMode": "podip"}}), false),
        (json!({"ipv6": true}), false),
        (json!({"meshNamespaces": [""]}), false),
        (json!({"kubeletDir": "var"}), false),
        (json!({"annotationPrefix": "a/b"}), false),
        (json!({"logLevel": "loud"}), false),
    ];
    for (settings, valid) in cases {
        let mut conf = enabled(conf("1.0.0"));
        conf["meshNamespaces"] = json!(["demo"]);
        for (name, value) in settings.as_object().expect("an object") {
            conf[name] = value.clone();
        }
        assert_eq!(problems(&named("osm-cni"), &conf).is_empty(), valid, "schema: {settings}");
        // A valid one goes on to the namespace, which is not there.
        Call::new("ADD", &conf).run().error(if valid { 5 } else { 7 });
    }
}

#[test]
fn every_mesh_and_ruleset_is_in_the_schema() {
    let schema = named("osm-cni");
    let meshes = json!(PROFILES.map(|profile| profile.name));
    assert_eq!(schema["$defs"]["mesh"]["enum"], meshes);
    let of_one = schema["properties"]["meshes"]["properties"].as_object().expect("properties");
    assert_eq!(json!(of_one.keys().collect::<Vec<_>>()), meshes);
    let rulesets: Vec<_> = LAYOUTS.iter().map(|layout| Some(layout.name)).chain([None]).collect();
    assert_eq!(schema["$defs"]["ruleset"]["enum"], json!(rulesets));
}

#[test]
fn a_mesh_config_gives_what_it_has() {
    for text in
        [r#"{"kind": "MeshConfig"}"#, r#"{"kind": "MeshConfig", "spec": {"traffic": null}}"#]
    {
        let entry = Entry::from_config_text(text).expect("settings");
        assert_eq!(entry.settings(), &Settings::default());
    }
    let wrong = r#"{"kind": "MeshConfig", "spec": {"traffic": 5}}"#;
    let error = Entry::from_config_text(wrong).expect_err("no object").to_string();
    assert!(error.starts_with("spec.traffic: 5 is not an object"), "{error}");
}
