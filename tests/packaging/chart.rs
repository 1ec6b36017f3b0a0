//! The chart: by helm's own checks and against goldens.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::{Value, json};

use super::labels::unlabelled;
use super::{objects, read, script};
use crate::docs::root;
use crate::support::{host, schema};

/// helm is built without a Kubernetes of its own.
const KUBERNETES: &str = "1.37.2";

fn helm() -> &'static str {
    static PROGRAM: OnceLock<String> = OnceLock::new();
    PROGRAM.get_or_init(|| script(&["scripts/go-tool.sh", "helm"]))
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

/// What the chart becomes.
pub(super) fn template(options: &[&str]) -> String {
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
        ("updateStrategy.type=Recreate", "/updateStrategy/type"),
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

/// Only empty lines between objects differ.
#[test]
#[ignore = "builds Helm 4 with Go, which takes minutes: make test-helm4"]
fn helm_4_renders_what_helm_3_renders() {
    let helm_4 = script(&["scripts/go-tool.sh", "helm4"]);
    let chart = root().join("install/helm/osm-cni");
    let chart = chart.to_str().expect("UTF-8");
    for file in values() {
        let values = ["--values", file.to_str().expect("UTF-8")];
        let common = ["--namespace", "osm-cni", "--kube-version", KUBERNETES];
        let run = |verb: &[&str]| {
            let words = [&[helm_4.as_str()][..], verb, &[chart], &common, &values];
            host::run(&words.concat())
        };
        run(&["lint", "--strict"]);
        let lines = |text: &str| -> Vec<String> {
            text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
        };
        let by_4 = run(&["template", "osm-cni"]);
        assert_eq!(lines(&by_4), lines(&template(&values)), "{}", file.display());
    }
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
