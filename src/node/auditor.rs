//! The installer's own audit and repair: at its start, when sandboxes come and go,
//! and periodically.
//!
//! I/O: a thread; through `audit.rs`, `repair.rs` and `report.rs`.

use std::collections::BTreeSet;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::audit::{self, Finding, Scope, State};
use super::metrics::Metrics;
use super::repair::{self, Outcome};
use super::report::{Output, Reporter};
use crate::config::Settings;

/// How often all pods are audited without an event.
const PERIOD: Duration = Duration::from_secs(30);
/// The least time between two audits: many pods may start at once.
const PAUSE: Duration = Duration::from_secs(1);

/// Starts audits on another thread.
#[derive(Debug)]
pub(crate) struct Auditor {
    settings: Arc<Mutex<Option<Settings>>>,
    news: SyncSender<()>,
}

impl Auditor {
    /// Starts the thread; it ends with the process.
    pub(crate) fn start(scope: Scope, repair: bool, metrics: Arc<Metrics>, output: Output) -> Self {
        let (news, receiver) = sync_channel(1);
        let settings = Arc::new(Mutex::new(None));
        let shared = Arc::clone(&settings);
        let mut round = Round {
            scope,
            repair,
            metrics,
            reporter: Reporter::new(output, "install"),
            known: BTreeSet::new(),
        };
        std::thread::spawn(move || {
            while wait(&receiver) {
                let settings = shared.lock().unwrap_or_else(PoisonError::into_inner).clone();
                if settings.is_some() {
                    round.scope.settings = settings;
                    round.run();
                }
                std::thread::sleep(PAUSE);
            }
        });
        Auditor { settings, news }
    }

    /// Something may have changed.
    pub(crate) fn look(&self, settings: &Settings) {
        let mut held = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
        if held.as_ref() != Some(settings) {
            *held = Some(settings.clone());
        }
        // An audit that is still waiting to run will see this change too.
        let _ = self.news.try_send(());
    }
}

fn wait(news: &Receiver<()>) -> bool {
    !matches!(news.recv_timeout(PERIOD), Err(RecvTimeoutError::Disconnected))
}

struct Round {
    scope: Scope,
    repair: bool,
    metrics: Arc<Metrics>,
    reporter: Reporter,
    /// The pods that were reported.
    known: BTreeSet<String>,
}

impl Round {
    fn run(&mut self) {
        let findings = match audit::run(&self.scope) {
            Ok(findings) => findings,
            Err(error) => {
                let dir = self.scope.cache_dir.display();
                self.reporter.problem(&format!(
                    "no audit of this node's pods: cannot read libcni's cache {dir}: {error}; mount it, or name it with --cache-dir"
                ));
                return;
            }
        };
        let around: Vec<_> =
            findings.iter().filter(|finding| finding.state == State::Around).collect();
        let left = around.iter().filter(|finding| !self.is_repaired(finding)).count();
        self.metrics.around(left);
        self.known.retain(|name| around.iter().any(|finding| key(finding) == *name));
    }

    /// Reports a pod, and repairs it if that is wanted.
    fn is_repaired(&mut self, finding: &Finding) -> bool {
        let is_new = self.known.insert(key(finding));
        let Finding { namespace, name, reason, .. } = finding;
        let pod = format!("pod {namespace}/{name}");
        let outcome = self.repair.then(|| repair::pod(finding)).flatten();
        let line = match outcome {
            None => format!(
                "{pod} goes around the mesh: {reason}; recreate it, or let install --repair set its rules"
            ),
            Some(Outcome::Gone) => return true,
            Some(Outcome::Undecided) => format!(
                "{pod} goes around the mesh, or its own init container redirected it: {reason}; it is not repaired, since an exclusion would hold only where both have it; recreate it"
            ),
            Some(Outcome::Repaired(rules)) => {
                self.metrics.pod_repaired();
                self.reporter.info(&format!(
                    "{pod} is redirected from now on, by {rules} rules ({reason}); connections that were there before stay as they were"
                ));
                return true;
            }
            Some(Outcome::Failed(error)) => {
                format!("{pod} goes around the mesh: {reason}; its rules cannot be set: {error}")
            }
        };
        if is_new {
            self.reporter.problem(&line);
        }
        false
    }
}

/// A pod is reported once, and again if its sandbox is recreated.
fn key(finding: &Finding) -> String {
    finding.attachment.container.clone()
}
