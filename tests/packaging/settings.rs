//! The settings that are installed by default, run through the program.

use serde_json::{Value, json};

use super::chart::template;
use super::kustomize::kustomize;
use super::objects;
use crate::cli::{argument, osm_cni, settings};
use crate::docs::root;

/// `config.json` of the ConfigMap among these objects.
fn config(text: &str) -> Value {
    let all = objects(text);
    let config = all.iter().find_map(|object| object["data"]["config.json"].as_str());
    serde_json::from_str(config.expect("config.json")).expect("JSON")
}

/// meshconfig-sync works beside the defaults: a list of theirs would win.
#[test]
fn the_installed_settings_leave_a_meshconfigs_fields_in_force() {
    let spec = json!({
        "traffic": {
            "outboundPortExclusionList": [6379],
            "inboundPortExclusionList": [7070],
            "outboundIPRangeExclusionList": ["192.0.2.0/24"],
        },
        "sidecar": {"localProxyMode": "PodIP"},
    });
    for (overlay, values, group) in [
        ("base", vec![], "config.openservicemesh.io/v1alpha2"),
        (
            "overlays/microk8s",
            vec!["--set", "platform=microk8s"],
            "config.openservicemesh.io/v1alpha2",
        ),
        ("overlays/fsm", vec!["--set", "mesh=fsm"], "config.flomesh.io/v1alpha3"),
    ] {
        let mesh_config = json!({"apiVersion": group, "kind": "MeshConfig", "spec": spec});
        let mesh_config = settings(&mesh_config);
        let installed = kustomize(&root().join("install").join(overlay));
        for text in [installed, template(&values)] {
            let config = settings(config(&text));
            let run = osm_cni(&[
                "render",
                "--config",
                argument(config.path()),
                "--mesh-config",
                argument(mesh_config.path()),
                "--pod-ip",
                "10.0.0.7",
                "-o",
                "iptables",
            ]);
            for part in ["6379", "7070", "192.0.2.0/24", "--to-destination 10.0.0.7"] {
                assert!(run.ok().contains(part), "{overlay} {values:?}: {part}: {}", run.stdout);
            }
        }
    }
}
