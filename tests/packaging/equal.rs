//! The chart and the kustomizations render to the same objects for the same
//! choices.

use std::path::Path;

use serde_json::{Map, Value, json};
use tempfile::TempDir;

use super::chart::template;
use super::kustomize::{kustomize, overlays};
use super::labels::MANAGED_BY;
use super::{objects, read};
use crate::docs::root;
use crate::support::host;

/// Settings without those that say the default: empty lists, empty objects and
/// `Localhost`.
fn significant(settings: Value) -> Value {
    let Value::Object(fields) = settings else { return settings };
    let fields = fields.into_iter().map(|(name, value)| (name, significant(value)));
    let default = |value: &Value| {
        value.as_array().is_some_and(Vec::is_empty)
            || value.as_object().is_some_and(Map::is_empty)
            || value == "Localhost"
    };
    fields.filter(|(_, value)| !default(value)).collect::<Map<_, _>>().into()
}

/// An object without the labels that say who made it, and settings as an object.
fn essence(mut object: Value) -> Value {
    if let Some(labels) = object["metadata"]["labels"].as_object_mut() {
        labels.retain(|name, _| !["helm.sh/chart", MANAGED_BY].contains(&name.as_str()));
    }
    if let Some(text) = object["data"]["config.json"].as_str() {
        let settings: Value = serde_json::from_str(text).expect("settings");
        object["data"]["config.json"] = significant(settings);
    }
    object
}

/// Objects by kind and name.
fn by_name(text: &str) -> Map<String, Value> {
    let name = |object: &Value| {
        format!("{} {}", object["kind"], object["metadata"]["name"]).replace('"', "")
    };
    objects(text).into_iter().map(|object| (name(&object), essence(object))).collect()
}

/// The first place where two values differ.
fn difference(at: &str, a: &Value, b: &Value) -> Option<String> {
    match (a, b) {
        (Value::Object(x), Value::Object(y)) => x
            .keys()
            .chain(y.keys())
            .find_map(|key| difference(&format!("{at}.{key}"), &a[key], &b[key])),
        (Value::Array(x), Value::Array(y)) if x.len() == y.len() => {
            (0..x.len()).find_map(|i| difference(&format!("{at}[{i}]"), &a[i], &b[i]))
        }
        _ => (a != b).then(|| format!("{at}: kustomize {a}, chart {b}")),
    }
}

/// Where what kustomize makes and what the chart makes differ.
fn differences(choice: &str, kustomized: &str, chart: &str) -> Vec<String> {
    let (kustomized, chart) = (by_name(kustomized), by_name(chart));
    let names =
        kustomized.keys().chain(chart.keys().filter(|name| !kustomized.contains_key(*name)));
    let of =
        |objects: &Map<String, Value>, name: &str| objects.get(name).cloned().unwrap_or_default();
    names
        .filter_map(|name| {
            difference(&format!("{choice}: {name}"), &of(&kustomized, name), &of(&chart, name))
        })
        .collect()
}

/// The chart with values, its namespace among the objects.
fn chart(values: &[&str]) -> String {
    let values: Vec<_> = values.iter().flat_map(|value| ["--set", value]).collect();
    template(&[values, vec!["--set", "namespace.create=true"]].concat())
}

#[test]
fn each_overlay_is_the_chart_with_the_same_choice() {
    let kustomized = kustomize(&root().join("install/base"));
    let mut wrong = differences("base", &kustomized, &chart(&[]));
    for overlay in overlays() {
        let choice = match overlay.as_str() {
            "fsm" => "mesh=fsm".to_owned(),
            "repair" => "repair.enabled=true".to_owned(),
            platform => format!("platform={platform}"),
        };
        let kustomized = kustomize(&root().join("install/overlays").join(&overlay));
        wrong.extend(differences(&overlay, &kustomized, &chart(&[&choice])));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A kustomization of an operator beside a copy of the manifests.
fn of_an_operator(manifests: &TempDir, overlay: &str, parts: &[&str], settings: &Value) -> String {
    let own = manifests.path().join("own");
    let parts: Vec<_> = parts.iter().map(|part| format!("../install/components/{part}")).collect();
    let map = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "osm-cni", "namespace": "osm-cni"},
        "data": {"config.json": settings.to_string()},
    });
    let patches = if settings.is_null() { json!([]) } else { json!([{"patch": map.to_string()}]) };
    let kustomization = json!({
        "apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization",
        "resources": [format!("../install/{overlay}")], "components": parts, "patches": patches,
    });
    host::make_dirs(&own);
    host::write(&own.join("kustomization.yaml"), kustomization.to_string());
    kustomize(&own)
}

/// The manifests, with room beside them.
fn manifests() -> TempDir {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let copy = directory.path().join("install");
    let from = root().join("install").join(".");
    let path = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    host::make_dirs(&copy);
    host::run(&["cp", "-r", &path(&from), &path(&copy)]);
    directory
}

#[test]
fn each_component_and_mesh_is_the_chart_with_the_same_choice() {
    let manifests = manifests();
    let both = json!({"mesh": ["osm", "fsm"], "meshes": {"osm": {"ruleset": "osm-v1"}}});
    let none = Value::Null;
    let mut wrong = Vec::new();
    for (overlay, parts, settings, values) in [
        ("base", vec!["insert"], &none, vec!["mode=insert"]),
        ("base", vec!["metrics"], &none, vec!["metrics.enabled=true"]),
        ("overlays/gke", vec!["repair"], &none, vec!["platform=gke", "repair.enabled=true"]),
        (
            "overlays/microk8s",
            vec!["repair"],
            &none,
            vec!["platform=microk8s", "repair.enabled=true"],
        ),
        (
            "overlays/openshift",
            vec!["repair"],
            &none,
            vec!["platform=openshift", "repair.enabled=true"],
        ),
        (
            "overlays/k3s",
            vec!["insert", "metrics", "repair"],
            &none,
            vec!["platform=k3s", "mode=insert", "metrics.enabled=true", "repair.enabled=true"],
        ),
        ("overlays/gke", vec![], &json!({"mesh": "fsm"}), vec!["platform=gke", "mesh=fsm"]),
        ("base", vec![], &both, vec!["mesh={osm,fsm}"]),
    ] {
        let kustomized = of_an_operator(&manifests, overlay, &parts, settings);
        let choice = format!("{overlay} {parts:?} {settings}");
        wrong.extend(differences(&choice, &kustomized, &chart(&values)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_uninstall_is_the_one_of_the_chart() {
    let mut wrong = Vec::new();
    for platform in ["", "gke", "k3s", "kind", "microk8s", "openshift"] {
        let overlay = if platform.is_empty() { "base" } else { &format!("overlays/{platform}") };
        let kustomized = kustomize(&root().join("install").join(overlay).join("uninstall"));
        let platform = format!("platform={platform}");
        let chart = template(&["--set", &platform, "--set", "uninstall.enabled=true"]);
        let chart = objects(&chart).into_iter().find(|object| object["kind"] == "DaemonSet");
        let chart = chart.expect("a DaemonSet").to_string();
        wrong.extend(differences(overlay, &kustomized, &chart));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The kinds and names of all objects, and each one as the chart has it.
fn all_in(chart: &[Value], file: &str, choice: &str) {
    for object in objects(&read(file)).into_iter().map(essence) {
        let name = format!("{} {}", object["kind"], object["metadata"]["name"]);
        assert!(chart.contains(&object), "{choice}: {file}: {name}");
    }
}

#[test]
fn the_policies_of_the_chart_are_the_manifests() {
    for policy in ["admission", "kyverno"] {
        for (mesh, native, directories) in [
            ("osm", false, vec!["install"]),
            ("osm", true, vec!["install"]),
            ("fsm", false, vec!["install/overlays/fsm"]),
            ("{osm,fsm}", true, vec!["install", "install/overlays/fsm"]),
        ] {
            let image = "registry.example.com/osm-cni";
            let set = format!("policy={policy},mesh={mesh},nativeSidecars={native}");
            let is_policy =
                |one: &Value| one["kind"].as_str().is_some_and(|kind| kind.contains("Policy"));
            let chart = objects(&template(&["--set", &set]));
            let chart: Vec<_> = chart.into_iter().filter(is_policy).map(essence).collect();
            let prefixes: &[&str] = if native { &["", "native-"] } else { &[""] };
            let files = directories.iter().flat_map(|directory| {
                prefixes
                    .iter()
                    .map(move |prefix| format!("{directory}/{prefix}{policy}-policy.yaml"))
            });
            let files: Vec<_> = files.collect();
            let count: usize = files.iter().map(|file| objects(&read(file)).len()).sum();
            assert_eq!(chart.len(), count, "{set}");
            files.iter().for_each(|file| all_in(&chart, file, &set));
            let other = template(&["--set", &format!("{set},image.repository={image}")]);
            assert!(!other.contains(" osm-cni:") && !other.contains("\"osm-cni:"), "{set}");
        }
    }
}

#[test]
fn monitoring_and_startup_taint_of_the_chart_are_the_manifests() {
    let set = "metrics.enabled=true,metrics.podMonitor.enabled=true,metrics.alerts.enabled=true";
    let taint = "startupTaint.enabled=true,startupTaint.image=kubectl:1.32";
    for (set, files) in [
        (set, vec!["install/monitoring/podmonitor.yaml", "install/monitoring/prometheusrule.yaml"]),
        (taint, vec!["install/startup-taint.yaml"]),
    ] {
        let chart: Vec<_> = objects(&template(&["--set", set])).into_iter().map(essence).collect();
        files.iter().for_each(|file| all_in(&chart, file, set));
    }
    let text = template(&["--set", taint, "--namespace", "elsewhere"]);
    assert!(text.contains("-n elsewhere get pods") && !text.contains("-n osm-cni "), "{text}");
}
