//! The chart: by helm's own checks, against goldens, and equal to the kustomize
//! overlays for the same choices.

use std::path::PathBuf;
use std::sync::OnceLock;

use serde_json::{Value, json};

use super::{objects, read, script};
use crate::docs::root;
use crate::support::host;

/// helm is built without a Kubernetes of its own.
const KUBERNETES: &str = "1.37.2";

fn helm() -> &'static str {
    static PROGRAM: OnceLock<String> = OnceLock::new();
    PROGRAM.get_or_init(|| script(&["scripts/go-tool.sh", "helm"]))
}

/// Runs helm on the chart; what it says on standard error is the error.
fn run(verb: &[&str], options: &[&str]) -> Result<String, String> {
    let chart = root().join("install/helm/osm-cni");
    let mut words = vec![helm()];
    words.extend(verb);
    words.push(chart.to_str().expect("UTF-8"));
    words.extend(["--namespace", "osm-cni", "--kube-version", KUBERNETES]);
    words.extend(options);
    host::try_run(&words)
}

fn template(options: &[&str]) -> String {
    run(&["template", "osm-cni"], options).unwrap_or_else(|error| panic!("{error}"))
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
        ("imag.tag=1", "imag"),
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
fn the_policies_of_the_chart_are_the_manifests() {
    for (policy, file) in
        [("admission", "admission-policy.yaml"), ("kyverno", "kyverno-policy.yaml")]
    {
        let manifest = objects(&read(&format!("install/{file}")));
        let chart = objects(&template(&["--set", &format!("policy={policy}")]));
        for object in &manifest {
            assert!(chart.contains(object), "{file}: {}", object["kind"]);
        }
        let image = "registry.example.com/osm-cni";
        let other = template(&["--set", &format!("policy={policy},image.repository={image}")]);
        assert!(!other.contains(" osm-cni:") && !other.contains("\"osm-cni:"), "{policy}");
    }
}

#[test]
fn the_values_know_every_setting() {
    const RUNTIME: [&str; 9] = [
        "type",
        "capabilities",
        "cniVersion",
        "name",
        "args",
        "dns",
        "ipMasq",
        "prevResult",
        "runtimeConfig",
    ];
    let settings: Value = serde_json::from_str(&read("conf/osm-cni.schema.json")).expect("JSON");
    let path = root().join("install/helm/osm-cni/values.schema.json");
    let mut values: Value =
        serde_json::from_str(&read("install/helm/osm-cni/values.schema.json")).expect("JSON");
    let mut properties = settings["properties"].as_object().expect("properties").clone();
    properties.retain(|name, _| !RUNTIME.contains(&name.as_str()));
    let mut definitions = settings["$defs"].as_object().expect("definitions").clone();
    let entry = json!({"type": "object", "properties": properties, "additionalProperties": false});
    definitions.insert("settings".to_owned(), entry);
    let wanted = Value::Object(definitions);
    if std::env::var_os("OSM_CNI_BLESS").is_some() && values["$defs"] != wanted {
        values["$defs"] = wanted.clone();
        host::write(&path, serde_json::to_string_pretty(&values).expect("JSON") + "\n");
    }
    assert_eq!(values["$defs"], wanted, "{} (OSM_CNI_BLESS=1 writes it)", path.display());
}
