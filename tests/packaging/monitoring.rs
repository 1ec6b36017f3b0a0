//! Metrics, alerts and the dashboard: each by Prometheus' own checks, and each
//! name that one of them uses is one that the program serves.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::Value;

use super::{objects, read, script};
use crate::docs::Page;
use crate::support::program::under_test;
use crate::support::{host, wait_for};

/// Prometheus' tool, from Debian's archive.
fn promtool() -> PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    let fetch = || {
        let root = script(&["scripts/debian-package.sh", "bookworm", "prometheus"]);
        Path::new(&root).join("usr/bin/promtool")
    };
    PROGRAM.get_or_init(fetch).clone()
}

/// Runs promtool with this on its standard input; panics with what it says.
fn check(arguments: &[&str], input: &str) {
    let mut child = host::command(promtool())
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool starts");
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("promtool reads");
    let output = child.wait_with_output().expect("promtool ends");
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{said}");
}

/// Lines of the plugin's log: a call of each result, a slow one among them.
const CALLS: &str = "\
2026-01-02T03:04:05Z [INFO] verb=ADD pod=demo/a decision=redirect reason=volume annotations=outbound-ports us=830
2026-01-02T03:04:05Z [INFO] verb=ADD pod=demo/b decision=leave reason=no-volume us=512345
2026-01-02T03:04:05Z [ERROR] verb=ADD pod=demo/c us=95 code=100 error=\"pod annotation\"
2026-01-02T03:04:05Z [INFO] verb=CHECK pod=demo/a us=1200
";

const DURATION: &str = "osm_cni_call_duration_seconds";

/// Appends the calls to a log.
fn log_calls(log: &Path) {
    let file = std::fs::OpenOptions::new().append(true).open(log);
    file.and_then(|mut file| file.write_all(CALLS.as_bytes())).expect("written");
}

/// The value of a series.
fn number(text: &str, series: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(series))?.trim().parse().ok()
}

/// What the installer of a node without a network serves, after some calls.
fn scrape() -> String {
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(|| {
        let node = tempfile::tempdir().expect("a temporary directory");
        let log = node.path().join("log");
        for directory in ["bin", "conf"] {
            host::make_dirs(&node.path().join(directory));
        }
        let mut command = host::command(under_test());
        command.arg("install").arg("--bin-dir").arg(node.path().join("bin"));
        command.arg("--conf-dir").arg(node.path().join("conf"));
        // An empty cache of an empty node: it is audited.
        host::make_dirs(&node.path().join("cache"));
        host::make_dirs(&node.path().join("kubelet/pods"));
        command.arg("--cache-dir").arg(node.path().join("cache"));
        let calls = node.path().join("calls.log");
        host::write(&calls, "");
        let settings = node.path().join("settings.json");
        host::write(&settings, serde_json::json!({"logFile": calls}).to_string());
        command.arg("--config").arg(&settings);
        command.args(["--metrics", "127.0.0.1:0"]);
        let _installer = Installer(host::spawn_logged(command, &log));
        let text = wait_for("the metrics", Duration::from_secs(20), || scraped(&log, &calls));
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{text}"));
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        body.to_owned()
    })
    .clone()
}

/// Ends with the test.
struct Installer(Child);

impl Drop for Installer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The metrics of the installer with this log, once it has audited the node and
/// counted each time the calls were written.
fn scraped(log: &Path, calls: &Path) -> Result<String, String> {
    let said = std::fs::read_to_string(log).unwrap_or_default();
    let address = said.split_once("metrics at http://").and_then(|(_, rest)| rest.split_once('/'));
    let (address, _) = address.ok_or(&said)?;
    let mut text = String::new();
    TcpStream::connect(address)
        .and_then(|mut stream| {
            stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
            stream.read_to_string(&mut text)
        })
        .map_err(|error| format!("{error}: {said}"))?;
    let counted = |verb| number(&text, &format!("{DURATION}_count{{verb=\"{verb}\"}}"));
    let Some(checks) = counted("CHECK") else {
        // The log is followed from its end: what is there before is not counted.
        log_calls(calls);
        return Err(format!("{text}{said}"));
    };
    let is_audited = text.contains("osm_cni_pods_around_mesh");
    let is_complete = is_audited && counted("ADD") == Some(3.0 * checks);
    if is_complete { Ok(text) } else { Err(format!("{text}{said}")) }
}

/// The names of the metrics that are served.
fn served() -> BTreeSet<String> {
    let text = scrape();
    let heads = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    heads.filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

/// The names of metrics in an expression; those of a histogram's series are its
/// own.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let ours = words.filter(|word| word.starts_with("osm_cni_"));
    ours.map(|word| {
        let bare = ["_bucket", "_sum", "_count"].iter().find_map(|end| word.strip_suffix(end));
        bare.unwrap_or(word).to_owned()
    })
    .collect()
}

fn rule() -> Value {
    objects(&read("install/monitoring/prometheusrule.yaml")).remove(0)
}

#[test]
fn what_is_served_passes_prometheus_own_checks() {
    let text = scrape();
    check(&["check", "metrics"], &text);
    // The times of ADDs, as a histogram: the slow one is below no bound but the last.
    let of = |series: &str| {
        number(&text, &format!("{DURATION}_{series}")).unwrap_or_else(|| panic!("{series}: {text}"))
    };
    let below = |le: &str| of(&format!("bucket{{verb=\"ADD\",le=\"{le}\"}}"));
    let count = of("count{verb=\"ADD\"}");
    assert!(count >= 3.0 && count == below("+Inf") && count == below("1"), "{text}");
    assert!(below("0.1") * 3.0 == count * 2.0 && below("0.0005") * 3.0 == count, "{text}");
    let sum = of("sum{verb=\"ADD\"}");
    assert!((sum - count / 3.0 * 0.513_27).abs() < 1e-6, "{text}");
}

#[test]
fn every_metric_is_described_and_every_one_that_is_used_is_served() {
    let served = served();
    assert!(served.len() > 5, "{served:?}");
    let operate = Page::read("docs/operate.md").text;
    for name in &served {
        assert!(operate.contains(&format!("`{name}")), "docs/operate.md does not name {name}");
    }
    for file in [
        "docs/operate.md",
        "install/monitoring/prometheusrule.yaml",
        "install/monitoring/dashboard.json",
    ] {
        for name in metrics_in(&read(file)) {
            assert!(served.contains(&name), "{file} uses {name}, which nobody serves");
        }
    }
}

#[test]
fn the_alerts_pass_prometheus_own_checks_and_fire() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let rules = directory.path().join("rules.yaml");
    host::write(&rules, rule()["spec"].to_string());
    check(&["check", "rules", "--lint-fatal", rules.to_str().expect("UTF-8")], "");
    let trial = directory.path().join("trial.yaml");
    host::write(&trial, read("tests/packaging/alerts.yaml"));
    check(&["test", "rules", trial.to_str().expect("UTF-8")], "");
}

#[test]
fn every_alert_has_a_runbook_and_a_trial() {
    let anchors = Page::read("docs/operate.md").anchors();
    let trials = read("tests/packaging/alerts.yaml");
    let rule = rule();
    let alerts = rule["spec"]["groups"][0]["rules"].as_array().expect("alerts").clone();
    assert!(alerts.len() > 5);
    for alert in alerts {
        let name = alert["alert"].as_str().expect("a name");
        let anchor = name.to_ascii_lowercase();
        assert!(anchors.contains(&anchor), "docs/operate.md has no section {name}");
        assert_eq!(alert["annotations"]["runbook_url"], format!("docs/operate.md#{anchor}"));
        assert!(trials.contains(name), "{name} is not tried");
    }
}

#[test]
fn the_dashboard_draws_each_panel_from_what_is_served() {
    let dashboard: Value =
        serde_json::from_str(&read("install/monitoring/dashboard.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    assert!(panels.len() > 5);
    let directory = tempfile::tempdir().expect("a temporary directory");
    for panel in panels {
        for target in panel["targets"].as_array().expect("targets") {
            let expression = target["expr"].as_str().expect("an expression");
            assert!(!metrics_in(expression).is_empty(), "{}", panel["title"]);
            let plain = expression.replace("$__rate_interval", "5m");
            let rules = directory.path().join("rules.yaml");
            let record = serde_json::json!({"groups": [{"name": "x", "rules": [{"record": "x", "expr": plain}]}]});
            host::write(&rules, record.to_string());
            check(&["check", "rules", rules.to_str().expect("UTF-8")], "");
        }
    }
}
