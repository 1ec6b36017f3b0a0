//! The loop of `install`: looks, compares, repairs, and says what it found.
//! All it changes on disk goes through `files.rs`.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::backoff::{Advice, Backoff};
use super::error::{NodeError, Obstacle};
use super::files::{self, Binary};
use super::metrics::Metrics;
use super::plan::{Plan, Step};
use super::snapshot::Snapshot;
use super::tail;
use super::watch::{News, Watch};
use super::{Options, Wanted, found, planned, rival};

/// How often we look without news, for events that were missed.
const TIMER: Duration = Duration::from_secs(10);
/// The least time between two looks, so that a storm of events costs little.
const BREATH: Duration = Duration::from_millis(50);
/// So long a primary must be gone before our copy of it goes too: agents
/// remove and rewrite.
const SETTLED: Duration = Duration::from_secs(1);

/// Stays until SIGTERM; keeps binary and configuration in place and current.
/// The end of the loop removes nothing.
///
/// # Errors
/// What is wrong at the start: settings, directories, an order of files in
/// which our entry could never take effect. Later errors are said on stderr,
/// and tried again.
pub fn run(options: &Options) -> Result<(), NodeError> {
    let watch = Watch::new()?;
    let metrics = Arc::new(Metrics::default());
    if let Some(address) = &options.metrics {
        metrics.serve(address)?;
    }
    let mut reconciler = Reconciler::new(options, Arc::clone(&metrics))?;
    files::sweep(&options.conf_dir)?;
    if !watch.is_awake() {
        reconciler.complain("the kernel gives no inotify instance (fs.inotify.max_user_instances): looking every second instead");
    }
    let log = tail::start(reconciler.wanted.log_file.clone(), metrics);
    let mut first = true;
    loop {
        let began = Instant::now();
        reconciler.watched().iter().for_each(|dir| watch.add(dir));
        let next = match reconciler.pass(began) {
            Ok(next) => next,
            Err(error) if first && error.is_lasting() => return Err(error),
            Err(error) => {
                reconciler.complain(&error.to_string());
                TIMER
            }
        };
        first = false;
        log.follow(reconciler.wanted.log_file.clone());
        if watch.wait(next) == News::End {
            reconciler.tell("ended by a signal: binary and configuration stay in place, osm-cni uninstall removes them");
            return Ok(());
        }
        std::thread::sleep(BREATH.saturating_sub(began.elapsed()));
    }
}

struct Reconciler<'o> {
    options: &'o Options,
    wanted: Wanted,
    /// The settings' text when last looked at, good or bad.
    config: Option<String>,
    binary: Binary,
    /// The file with our entry, and its text, as we left it.
    left: Option<(String, String)>,
    backoff: Backoff,
    /// Whether the last look found all in place.
    current: bool,
    /// Since when the primary is gone.
    gone: Option<Instant>,
    said: String,
    complained: BTreeSet<String>,
    metrics: Arc<Metrics>,
}

impl<'o> Reconciler<'o> {
    fn new(options: &'o Options, metrics: Arc<Metrics>) -> Result<Self, NodeError> {
        let mut reconciler = Reconciler {
            wanted: Wanted::load(options.config.as_deref())?,
            config: options.config.as_deref().map(files::settings_text).transpose()?,
            binary: Binary::new(&options.bin_dir),
            left: None,
            backoff: Backoff::default(),
            current: false,
            gone: None,
            said: String::new(),
            complained: BTreeSet::new(),
            options,
            metrics,
        };
        reconciler.warn_of_settings();
        Ok(reconciler)
    }

    /// The directories whose changes concern us. The settings' directory is
    /// watched where the path says, and where its links lead.
    fn watched(&self) -> Vec<PathBuf> {
        let mut dirs = vec![self.options.conf_dir.clone(), self.options.bin_dir.clone()];
        if let Some(path) = &self.options.config {
            let parent = |path: &Path| match path.parent() {
                Some(dir) if !dir.as_os_str().is_empty() => dir.to_owned(),
                _ => PathBuf::from("."),
            };
            dirs.push(parent(path));
            dirs.extend(path.canonicalize().ok().as_deref().map(parent));
        }
        dirs
    }

    /// One look at everything. Answers how long the next may be away.
    fn pass(&mut self, now: Instant) -> Result<Duration, NodeError> {
        self.current = false;
        let next = self.look(now);
        self.metrics.in_place(self.current);
        next
    }

    fn look(&mut self, now: Instant) -> Result<Duration, NodeError> {
        self.read_settings();
        self.metrics.settings(&self.wanted.digest);
        let snapshot = files::snapshot(&self.options.conf_dir)?;
        let plan = planned(self.options, &self.wanted, &snapshot);
        match plan {
            Ok(plan) => {
                self.gone = None;
                self.keep_binary()?;
                self.carry_out(&snapshot, plan, now)
            }
            Err(Obstacle::NoPrimary { stale }) => {
                self.keep_binary()?;
                self.without_primary(stale, now)
            }
            Err(obstacle) => {
                let dir = self.options.conf_dir.clone();
                Err(NodeError::Obstacle { dir, obstacle })
            }
        }
    }

    fn keep_binary(&mut self) -> Result<(), NodeError> {
        if let Some(flaw) = self.binary.install()? {
            let path = self.binary.path().display().to_string();
            self.tell(&format!("{path} {flaw}: installed"));
        }
        Ok(())
    }

    fn carry_out(
        &mut self,
        snapshot: &Snapshot,
        plan: Plan,
        now: Instant,
    ) -> Result<Duration, NodeError> {
        let path = self.options.conf_dir.join(&plan.file);
        let Plan { primary, file, text, steps } = plan;
        if steps.is_empty() {
            self.left = Some((file, text));
            self.current = true;
            self.metrics.changed_at(files::changed_at(&path));
            let digest = &self.wanted.digest;
            let line = format!(
                "in place and current: {} over {primary}, settings {digest}",
                path.display()
            );
            self.tell(&line);
            return Ok(TIMER);
        }
        let plan = Plan { primary, file, text, steps };
        let what = found(snapshot, &plan);
        let hint = rival(snapshot);
        if self.was_undone(snapshot) {
            match self.backoff.undone(now) {
                Advice::Pause(pause) => {
                    let line = format!(
                        "{} {what}: somebody keeps undoing the repair, so it rests for a while{hint}; find the program that manages this directory, or choose another --mode",
                        path.display()
                    );
                    self.complain(&line);
                    return Ok(pause);
                }
                Advice::Repair => self.metrics.repaired(),
            }
        }
        files::apply(&self.options.conf_dir, &plan.steps)?;
        self.left = Some((plan.file, plan.text));
        let done: Vec<String> = plan.steps.iter().map(Step::to_string).collect();
        let line = format!("{} {what}{hint}: {}", path.display(), done.join(", "));
        self.tell(&line);
        Ok(Duration::ZERO)
    }

    /// Whether what we left is not there any more.
    fn was_undone(&self, snapshot: &Snapshot) -> bool {
        self.left.as_ref().is_some_and(|(file, text)| snapshot.text(file) != Some(text))
    }

    fn without_primary(
        &mut self,
        stale: Option<String>,
        now: Instant,
    ) -> Result<Duration, NodeError> {
        let since = *self.gone.get_or_insert(now);
        let Some(name) = stale else {
            let dir = self.options.conf_dir.display().to_string();
            self.tell(&format!("{dir}: {}", Obstacle::NoPrimary { stale: None }));
            return Ok(TIMER);
        };
        if let Some(rest) = SETTLED.checked_sub(now - since).filter(|rest| !rest.is_zero()) {
            return Ok(rest);
        }
        let path = self.options.conf_dir.join(&name);
        files::apply(&self.options.conf_dir, &[Step::Remove { name }])?;
        self.left = None;
        let line =
            format!("the primary configuration is gone: removed {}, its copy", path.display());
        self.tell(&line);
        Ok(Duration::ZERO)
    }

    /// Follows the settings file; a wrong one is said, and the last good one
    /// stays in force.
    fn read_settings(&mut self) {
        let Some(path) = self.options.config.as_deref() else { return };
        let text = match files::settings_text(path) {
            Ok(text) => text,
            Err(error) => {
                let line = format!("{error}; the last good settings stay in force");
                return self.complain(&line);
            }
        };
        if self.config.as_ref() == Some(&text) {
            return;
        }
        match Wanted::new(Some(&text)) {
            Ok(wanted) => {
                self.tell(&format!("{}: new settings {}", path.display(), wanted.digest));
                self.wanted = wanted;
                self.backoff = Backoff::default();
                self.warn_of_settings();
            }
            Err(reason) => {
                let error = NodeError::settings(path, reason);
                let digest = self.wanted.digest.clone();
                self.complain(&format!("{error}; the last good settings, {digest}, stay in force"));
            }
        }
        self.config = Some(text);
    }

    fn warn_of_settings(&mut self) {
        for warning in self.wanted.warnings.clone() {
            self.complain(&format!("settings: {warning}"));
        }
    }

    /// A line on stdout, unless it is the last one again.
    fn tell(&mut self, line: &str) {
        if self.said != line {
            line.clone_into(&mut self.said);
            self.complained.clear();
            let _ = writeln!(std::io::stdout(), "osm-cni install: {line}");
        }
    }

    /// A line on stderr, unless it was said since the last good news.
    fn complain(&mut self, line: &str) {
        if self.complained.insert(line.to_owned()) {
            self.said.clear();
            let _ = writeln!(std::io::stderr(), "osm-cni install: {line}");
        }
    }
}
