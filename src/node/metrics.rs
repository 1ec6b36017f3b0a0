//! The numbers for Prometheus and the verdict for readiness probes: the
//! plugin's calls, read from its log, and the state of the node's
//! configuration. Pure but for a lock; `http.rs` serves them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::call_record::CallRecord;
use crate::sanitize::label;

/// Upper bounds of the latency histogram's buckets, in microseconds.
const BUCKETS: [u64; 10] =
    [500, 1_000, 2_000, 3_000, 5_000, 10_000, 25_000, 50_000, 100_000, 1_000_000];
/// More label sets than all verbs, results and reasons give: whatever stands in
/// the log, it cannot fill the memory.
const MOST_SERIES: usize = 200;
/// More lists than annotations have.
const MOST_LISTS: usize = 16;

/// Verb, result and reason of a call.
type Labels = (String, String, String);

#[derive(Debug, Default)]
struct Numbers {
    calls: BTreeMap<Labels, u64>,
    latency: BTreeMap<String, Latency>,
    /// What `--check` would say; `None` before the first look.
    verdict: Option<Result<String, String>>,
    settings_refused: bool,
    /// Pods around the mesh; `None` before the first audit.
    around: Option<usize>,
    pods_repaired: u64,
    /// Pods that took lists of their own out of redirection, by list.
    exclusions: BTreeMap<String, u64>,
    changed_at: Option<SystemTime>,
    repairs: u64,
    digest: String,
}

#[derive(Debug, Default)]
struct Latency {
    buckets: [u64; BUCKETS.len()],
    count: u64,
    sum: u64,
}

/// The numbers, shared by the loop, the log's reader and the responder.
#[derive(Debug, Default)]
pub(crate) struct Metrics(Mutex<Numbers>);

impl Metrics {
    fn numbers(&self) -> MutexGuard<'_, Numbers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What `--check` says now: what is in place, or what is wrong.
    pub(crate) fn verdict(&self, verdict: Result<String, String>) {
        self.numbers().verdict = Some(verdict);
    }

    /// The answer to a readiness probe.
    pub(crate) fn ready(&self) -> Result<String, String> {
        let verdict = self.numbers().verdict.clone();
        verdict.unwrap_or_else(|| Err("the node's files were not looked at yet".to_owned()))
    }

    /// When the file with our entry was last changed.
    pub(crate) fn changed_at(&self, time: Option<SystemTime>) {
        self.numbers().changed_at = time;
    }

    /// A change by another program was repaired.
    pub(crate) fn repaired(&self) {
        self.numbers().repairs += 1;
    }

    /// The digest of the settings in force, and whether newer ones are wrong.
    pub(crate) fn settings(&self, digest: &str, refused: bool) {
        let mut numbers = self.numbers();
        numbers.settings_refused = refused;
        if numbers.digest != digest {
            digest.clone_into(&mut numbers.digest);
        }
    }

    /// How many pods go around the mesh.
    pub(crate) fn around(&self, pods: usize) {
        self.numbers().around = Some(pods);
    }

    /// A running pod got its rules.
    pub(crate) fn pod_repaired(&self) {
        self.numbers().pods_repaired += 1;
    }

    /// Counts a line of the plugin's log, if it is a call's.
    pub(crate) fn line(&self, line: &str) {
        let Some(call) = CallRecord::parse(line) else { return };
        let (result, reason) = match call.code {
            Some(code) => ("error".to_owned(), code.to_string()),
            None => {
                (call.decision.unwrap_or_else(|| "ok".to_owned()), call.reason.unwrap_or_default())
            }
        };
        let numbers = &mut *self.numbers();
        if call.verb == "ADD" && call.code.is_none() {
            let lists = call.annotations.as_deref().unwrap_or_default().split(',');
            for list in lists.filter(|list| !list.is_empty()).take(MOST_LISTS) {
                if numbers.exclusions.len() < MOST_SERIES || numbers.exclusions.contains_key(list) {
                    *numbers.exclusions.entry(list.to_owned()).or_default() += 1;
                }
            }
        }
        let labels = (call.verb.clone(), result, reason);
        if numbers.calls.len() < MOST_SERIES || numbers.calls.contains_key(&labels) {
            *numbers.calls.entry(labels).or_default() += 1;
        }
        let room = numbers.latency.len() < MOST_SERIES || numbers.latency.contains_key(&call.verb);
        if let (Some(us), true) = (call.us, room) {
            let latency = numbers.latency.entry(call.verb).or_default();
            latency.count += 1;
            latency.sum = latency.sum.saturating_add(us);
            for (bucket, bound) in latency.buckets.iter_mut().zip(BUCKETS) {
                *bucket += u64::from(us <= bound);
            }
        }
    }

    /// All numbers in Prometheus' text format.
    pub(crate) fn text(&self) -> String {
        let numbers = self.numbers();
        let mut text = String::new();
        head(&mut text, "osm_cni_calls_total", "counter", "Calls of the plugin, from its log.");
        for ((verb, result, reason), count) in &numbers.calls {
            let (verb, result, reason) = (label(verb), label(result), label(reason));
            let _ = writeln!(
                text,
                "osm_cni_calls_total{{verb=\"{verb}\",result=\"{result}\",reason=\"{reason}\"}} {count}"
            );
        }
        let name = "osm_cni_call_duration_seconds";
        head(&mut text, name, "histogram", "How long the calls took.");
        for (verb, latency) in &numbers.latency {
            latency.print(&mut text, name, &label(verb));
        }
        let name = "osm_cni_entry_in_place";
        head(
            &mut text,
            name,
            "gauge",
            "1 if binary and configuration are in place and current, as install --check says.",
        );
        let _ = writeln!(text, "{name} {}", u8::from(matches!(numbers.verdict, Some(Ok(_)))));
        let name = "osm_cni_configuration_last_change_timestamp_seconds";
        head(
            &mut text,
            name,
            "gauge",
            "When the node's configuration with our entry last changed.",
        );
        let since = numbers.changed_at.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        if let Some(since) = since {
            let _ = writeln!(text, "{name} {:.3}", since.as_secs_f64());
        }
        let name = "osm_cni_repairs_total";
        head(&mut text, name, "counter", "Changes by others that were repaired.");
        let _ = writeln!(text, "{name} {}", numbers.repairs);
        let name = "osm_cni_settings_info";
        head(&mut text, name, "gauge", "The digest of the settings in force.");
        let _ = writeln!(text, "{name}{{digest=\"{}\"}} 1", label(&numbers.digest));
        if let Some(around) = numbers.around {
            let name = "osm_cni_pods_around_mesh";
            head(&mut text, name, "gauge", "Pods with a sidecar whose traffic goes around it.");
            let _ = writeln!(text, "{name} {around}");
        }
        let name = "osm_cni_pods_repaired_total";
        head(
            &mut text,
            name,
            "counter",
            "Running pods that got their rules from install --repair.",
        );
        let _ = writeln!(text, "{name} {}", numbers.pods_repaired);
        let name = "osm_cni_annotation_exclusions_total";
        head(&mut text, name, "counter", "Pods whose annotations change what is redirected.");
        for (list, count) in &numbers.exclusions {
            let _ = writeln!(text, "{name}{{list=\"{}\"}} {count}", label(list));
        }
        let name = "osm_cni_settings_refused";
        head(&mut text, name, "gauge", "1 if the settings' files are wrong and not in force.");
        let _ = writeln!(text, "{name} {}", u8::from(numbers.settings_refused));
        let name = "osm_cni_build_info";
        head(&mut text, name, "gauge", "The version of osm-cni.");
        let _ = writeln!(text, "{name}{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"));
        text
    }
}

impl Latency {
    fn print(&self, text: &mut String, name: &str, verb: &str) {
        for (bucket, bound) in self.buckets.iter().zip(BUCKETS) {
            let seconds = Duration::from_micros(bound).as_secs_f64();
            let _ = writeln!(text, "{name}_bucket{{verb=\"{verb}\",le=\"{seconds}\"}} {bucket}");
        }
        let _ = writeln!(text, "{name}_bucket{{verb=\"{verb}\",le=\"+Inf\"}} {}", self.count);
        let sum = Duration::from_micros(self.sum).as_secs_f64();
        let _ = writeln!(text, "{name}_sum{{verb=\"{verb}\"}} {sum}");
        let _ = writeln!(text, "{name}_count{{verb=\"{verb}\"}} {}", self.count);
    }
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}
