//! The chart: by helm's own checks, against goldens, and equal to the kustomize
//! overlays for the same choices.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::{Map, Value, json};

use super::labels::{MANAGED_BY, unlabelled};
use super::{objects, read, script};
use crate::docs::root;
use crate::support::{host, schema};

/// helm is built without a Kubernetes of its own.
const KUBERNETES: &str = "1.37.2";

fn helm() -> &'static str {
    static PROGRAM: OnceLock<String> = OnceLock::new();
    PROGRAM.get_or_init(|| script(&["scripts/go-tool.sh", "helm"]))
}

fn kubectl() -> PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    let fetch = || script(&["scripts/debian-package.sh", "newest", "kubectl"]);
    PROGRAM.get_or_init(|| Path::new(&fetch()).join("usr/bin/kubectl")).clone()
}

/// Runs helm on the chart; what it says on standard error is the error.
fn run(verb: &[&str], options: &[&str]) -> Result<String, String> {
    run_on(&root().join("install/helm/osm-cni"), verb, options)
}

fn run_on(chart: &Path, verb: &[&str], options: &[&str]) -> Result<String, String> {
    let mut words = vec![helm()];
    words.extend(verb);
    words.push(chart.to_str().expect("UTF-8"));
    words.extend(["--namespace", "osm-cni", "--kube-version", KUBERNETES]);
    words.extend(options);
    host::try_run(&words)
}

fn template(options: &[&str]) -> String {
    template_of(&root().join("install/helm/osm-cni"), options)
}

/// What a chart becomes.
pub(super) fn template_of(chart: &Path, options: &[&str]) -> String {
    run_on(chart, &["template", "osm-cni"], options).unwrap_or_else(|error| panic!("{error}"))
}

/// The values files of the chart's `ci/`.
fn values() -> Vec<PathBuf> {
    let directory = root().join("install/helm/osm-cni/ci");
    let entries = std::fs::read_dir(directory).expect("ci/");
    let mut all: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    all.sort();
    assert!(all.len() > 5, "{all:?}");
    all
}

#[test]
fn the_chart_passes_helms_own_checks() {
    run(&["lint", "--strict"], &[]).expect("the defaults");
    for file in values() {
        let options = ["--values", file.to_str().expect("UTF-8")];
        run(&["lint", "--strict"], &options).unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn wrong_values_are_refused_by_name() {
    for (option, part) in [
        ("platform=nowhere", "/platform"),
        ("mode=both", "/mode"),
        ("settings.trafic=1", "trafic"),
        ("settings.ipv6=yes", "/settings/ipv6"),
        ("metrics.port=70000", "/metrics/port"),
        ("image.digest=sha256:1", "/image/digest"),
        ("policy=both", "/policy"),
        ("nativeSidecars=yes", "/nativeSidecars"),
        ("imag.tag=1", "imag"),
        ("startupTaint.enabled=true", "startupTaint.image"),
    ] {
        let error = run(&["template", "osm-cni"], &["--set", option]).expect_err(option);
        assert!(error.contains(part), "{option}: {error}");
    }
}

#[test]
fn the_chart_renders_to_its_goldens() {
    let mut wrong = Vec::new();
    for file in values() {
        let name = file.file_name().expect("a name");
        let golden = root().join("tests/golden/chart").join(name);
        let text = template(&["--values", file.to_str().expect("UTF-8")]);
        if std::env::var_os("OSM_CNI_BLESS").is_some() {
            host::make_dirs(golden.parent().expect("a directory"));
            host::write(&golden, &text);
        }
        if std::fs::read_to_string(&golden).unwrap_or_default() != text {
            wrong.push(golden.display().to_string());
        }
    }
    assert!(wrong.is_empty(), "other than {} (OSM_CNI_BLESS=1 writes them)", wrong.join(", "));
}

#[test]
fn every_object_of_the_chart_has_the_recommended_labels() {
    for file in values() {
        let text = template(&["--values", file.to_str().expect("UTF-8")]);
        for object in objects(&text) {
            assert_eq!(unlabelled(&object, "Helm"), None, "{}", file.display());
        }
    }
}

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

#[test]
fn chart_and_kustomize_say_the_same() {
    let mut wrong = Vec::new();
    for (overlay, options) in [
        ("install/base", vec![]),
        ("install/overlays/gke", vec!["platform=gke"]),
        ("install/overlays/k3s", vec!["platform=k3s"]),
        ("install/overlays/kind", vec!["platform=kind"]),
        ("install/overlays/microk8s", vec!["platform=microk8s"]),
        ("install/overlays/openshift", vec!["platform=openshift"]),
        ("install/overlays/fsm", vec!["mesh=fsm"]),
        ("install/overlays/repair", vec!["repair.enabled=true"]),
    ] {
        let kubectl = kubectl();
        let kustomize = [kubectl.to_str().expect("UTF-8"), "kustomize", overlay];
        let kustomize = by_name(&host::run(&kustomize));
        let options: Vec<_> = options.iter().flat_map(|option| ["--set", option]).collect();
        let chart = template(&[options, vec!["--set", "namespace.create=true"]].concat());
        let chart = by_name(&chart);
        let names = |objects: &Map<String, Value>| {
            let mut names: Vec<_> = objects.keys().cloned().collect();
            names.sort();
            names
        };
        if names(&kustomize) != names(&chart) {
            wrong.push(format!("{overlay}: {:?}, chart {:?}", names(&kustomize), names(&chart)));
        }
        wrong.extend(kustomize.iter().filter_map(|(name, object)| {
            difference(&format!("{overlay}: {name}"), object, &chart[name])
        }));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
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
            let manifests = files.flat_map(|file| objects(&read(&file)));
            let manifests: Vec<_> = manifests.map(essence).collect();
            assert_eq!(chart.len(), manifests.len(), "{set}");
            for object in &manifests {
                assert!(chart.contains(object), "{set}: {}", object["metadata"]["name"]);
            }
            let other = template(&["--set", &format!("{set},image.repository={image}")]);
            assert!(!other.contains(" osm-cni:") && !other.contains("\"osm-cni:"), "{set}");
        }
    }
}

#[test]
fn the_startup_taint_of_the_chart_is_the_manifest() {
    let manifest = objects(&read("install/startup-taint.yaml")).into_iter().map(essence);
    let options = ["--set", "startupTaint.enabled=true,startupTaint.image=kubectl:1.32"];
    let chart: Vec<_> = objects(&template(&options)).into_iter().map(essence).collect();
    for object in manifest {
        assert!(chart.contains(&object), "{} {}", object["kind"], object["metadata"]["name"]);
    }
    let elsewhere = [&options[..], &["--namespace", "elsewhere"]].concat();
    let text = template(&elsewhere);
    assert!(text.contains("-n elsewhere get pods") && !text.contains("-n osm-cni "), "{text}");
}

#[test]
fn the_values_know_every_setting() {
    let entry = schema::named("osm-cni");
    let path = root().join("install/helm/osm-cni/values.schema.json");
    let mut values: Value =
        serde_json::from_str(&read("install/helm/osm-cni/values.schema.json")).expect("JSON");
    let mut definitions = entry["$defs"].as_object().expect("definitions").clone();
    let settings = schema::settings(&entry);
    let settings = json!({"type": "object", "properties": settings, "additionalProperties": false});
    definitions.insert("settings".to_owned(), settings);
    let wanted = Value::Object(definitions);
    if std::env::var_os("OSM_CNI_BLESS").is_some() && values["$defs"] != wanted {
        values["$defs"] = wanted.clone();
        host::write(&path, serde_json::to_string_pretty(&values).expect("JSON") + "\n");
    }
    assert_eq!(values["$defs"], wanted, "{} (OSM_CNI_BLESS=1 writes it)", path.display());
}
