//! The loop of `install`: looks at the node's files, compares, repairs, and
//! reports what it found.
//!
//! I/O: none of its own; through `files.rs`, `binary.rs`, `watch.rs` and the
//! metrics' threads.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::auditor::Auditor;
use super::backoff::{Advice, Backoff, Pace};
use super::binary::Binary;
use super::conflist::{Kind, Network};
use super::content::Seen;
use super::error::{NodeError, Obstacle};
use super::files;
use super::http;
use super::in_force::InForce;
use super::install::{self, Options};
use super::metrics::Metrics;
use super::name::FileName;
use super::plan::Plan;
use super::report::{Output, Reporter};
use super::settings::{Sources, Wanted};
use super::snapshot::{OwnList, Snapshot};
use super::step::Step;
use super::tail;
use super::watch::{News, Watch};

/// How often the files are read without an event, in case one was missed.
const TIMER: Duration = Duration::from_secs(10);
/// How long a primary must be gone before our copy of it is removed: agents remove
/// their file and write it again.
const SETTLED: Duration = Duration::from_secs(1);
/// How long the last lines may take at the end.
const LAST_LINES: Duration = Duration::from_millis(200);

/// Runs until SIGTERM, and keeps binary and configuration in place and current. Its
/// end removes nothing.
///
/// # Errors
/// What is wrong with the directories at the start, or with an order of files
/// in which our entry could never take effect; it is reported. Later problems are
/// reported and tried again.
pub(crate) fn run(options: &Options) -> Result<(), NodeError> {
    // First: it keeps signals from the threads that are started later.
    let watch = Watch::new();
    let output = Output::start(options.log_format);
    // The first lines come before the loop has read the settings.
    if let Ok(wanted) = options.sources.check(&options.sources.read()) {
        output.follow(wanted.settings.log.format);
    }
    let ended = watch.and_then(|watch| stay(options, &watch, &output));
    if let Err(error) = &ended {
        Reporter::new(output.clone(), "install").problem(&error.to_string());
    }
    output.flush(LAST_LINES);
    ended
}

fn stay(options: &Options, watch: &Watch, output: &Output) -> Result<(), NodeError> {
    let metrics = Arc::new(Metrics::default());
    files::clean_up(&options.conf_dir)?;
    let mut reconciler = Reconciler::new(options, Arc::clone(&metrics), output.clone());
    if let Some(address) = options.metrics {
        http::start(address, Arc::clone(&metrics), output.clone());
    }
    if !watch.has_inotify() {
        reconciler.reporter.warning("the kernel gives no inotify instance (fs.inotify.max_user_instances): looking every second instead");
    }
    let auditor =
        Auditor::start(options.scope(None), options.repair, Arc::clone(&metrics), output.clone());
    let log = tail::start(reconciler.log_file(), metrics, output.clone());
    let mut pace = Pace::new(Instant::now());
    let mut is_first = true;
    loop {
        reconciler.watched().iter().for_each(|dir| watch.add(dir));
        let next = match reconciler.pass(Instant::now()) {
            Ok(next) => next,
            Err(error) if is_first && error.is_lasting() => return Err(error),
            Err(error) => {
                reconciler.reporter.problem(&error.to_string());
                TIMER
            }
        };
        is_first = false;
        log.follow(reconciler.log_file());
        if let Some(wanted) = &reconciler.in_force.wanted {
            auditor.look(&wanted.settings);
        }
        if watch.wait(next) == News::End {
            reconciler.reporter.info("ended by a signal: binary and configuration stay in place, osm-cni uninstall removes them");
            return Ok(());
        }
        std::thread::sleep(pace.next(Instant::now()));
    }
}

struct Reconciler<'o> {
    options: &'o Options,
    in_force: InForce<'o>,
    binary: Binary,
    /// The file with our entry, and its text, as we last wrote or found it.
    left: Option<(FileName, String)>,
    backoff: Backoff,
    /// Since when the primary is gone.
    gone: Option<Instant>,
    reporter: Reporter,
    metrics: Arc<Metrics>,
}

impl<'o> Reconciler<'o> {
    fn new(options: &'o Options, metrics: Arc<Metrics>, output: Output) -> Self {
        Reconciler {
            binary: Binary::new(&options.bin_dir),
            in_force: InForce::new(&options.sources),
            left: None,
            backoff: Backoff::default(),
            gone: None,
            reporter: Reporter::new(output, "install"),
            options,
            metrics,
        }
    }

    fn log_file(&self) -> Option<PathBuf> {
        self.in_force.wanted.as_ref().and_then(|wanted| wanted.settings.log.file.clone())
    }

    /// The directories whose changes concern us. That of a settings file is
    /// watched at its path and where its links lead.
    fn watched(&self) -> Vec<PathBuf> {
        let Options { conf_dir, bin_dir, cache_dir, .. } = self.options;
        let mut dirs = vec![conf_dir.clone(), bin_dir.clone(), cache_dir.clone()];
        let Sources { config, mesh_configs } = &self.options.sources;
        for path in config.iter().chain(mesh_configs) {
            dirs.push(install::parent(path));
            dirs.extend(path.canonicalize().ok().as_deref().map(install::parent));
        }
        dirs
    }

    /// One look at everything, and its verdict for `/readyz`. Returns how long
    /// the next look can wait.
    fn pass(&mut self, now: Instant) -> Result<Duration, NodeError> {
        let looked = self.look(now);
        let verdict = match (&looked, &self.in_force.refused) {
            (Err(error), _) => Err(error.to_string()),
            (Ok(_), Some(refused)) => Err(refused.clone()),
            (Ok((_, verdict)), None) => verdict.clone(),
        };
        self.metrics.verdict(verdict);
        looked.map(|(next, _)| next)
    }

    fn look(&mut self, now: Instant) -> Result<(Duration, Result<String, String>), NodeError> {
        let snapshot = files::snapshot(&self.options.conf_dir)?;
        let own = self.own_list();
        if self.in_force.read(&snapshot, &own, &mut self.reporter) {
            self.backoff = Backoff::default();
        }
        let Some(wanted) = self.in_force.wanted.clone() else {
            return Ok((TIMER, Err(String::new())));
        };
        self.metrics.settings(&wanted.digest, self.in_force.refused.is_some());
        match install::planned(self.options, &own, &wanted.entry, &snapshot) {
            Ok(plan) => {
                self.gone = None;
                self.keep_binary()?;
                self.carry_out(&snapshot, &wanted, plan, now)
            }
            Err(NodeError::Obstacle { dir, obstacle: Obstacle::NoPrimary { stale } }) => {
                self.keep_binary()?;
                let error =
                    NodeError::Obstacle { dir, obstacle: Obstacle::NoPrimary { stale: None } };
                let stale = stale.and_then(|name| {
                    let seen = snapshot.get(&name)?.seen;
                    Some((name, seen))
                });
                let next = self.without_primary(stale, &error, now)?;
                Ok((next, Err(error.to_string())))
            }
            Err(error) => Err(error),
        }
    }

    /// Our own list, as this process last wrote or found it.
    fn own_list(&self) -> OwnList {
        let own = self.options.own_list(None);
        let left = self.left.as_ref().filter(|(file, _)| *file == own.name);
        let written = left.and_then(|(_, text)| Network::parse(Kind::List, text).ok());
        OwnList { written, ..own }
    }

    fn keep_binary(&mut self) -> Result<(), NodeError> {
        if let Some(flaw) = self.binary.install()? {
            let path = self.binary.path().display().to_string();
            self.reporter.info(&format!("{path} {flaw}: installed"));
        }
        Ok(())
    }

    fn carry_out(
        &mut self,
        snapshot: &Snapshot,
        wanted: &Wanted,
        plan: Plan,
        now: Instant,
    ) -> Result<(Duration, Result<String, String>), NodeError> {
        let path = plan.file.in_dir(&self.options.conf_dir);
        if plan.steps.is_empty() {
            return Ok((TIMER, self.in_place(snapshot, wanted, plan)));
        }
        let (what, hint) = (install::found(snapshot, &plan), install::rival(snapshot));
        if self.was_undone(snapshot) {
            match self.backoff.undone(now) {
                Advice::Pause(pause) => {
                    let line = format!(
                        "{} {what}: another program keeps undoing the repair, so it pauses for a while{hint}; find the program that manages this directory, or choose another --mode",
                        path.display()
                    );
                    self.reporter.problem(&line);
                    return Ok((pause, Err(line)));
                }
                Advice::Repair => self.metrics.repaired(),
            }
        }
        files::apply(&self.options.conf_dir, &plan.steps)?;
        self.left = Some((plan.file, plan.text));
        let done: Vec<String> = plan.steps.iter().map(Step::to_string).collect();
        self.reporter.info(&format!("{} {what}{hint}: {}", path.display(), done.join(", ")));
        Ok((Duration::ZERO, Err(format!("{} {what}", path.display()))))
    }

    /// The entry is where it should be. Returns the verdict about the rest.
    fn in_place(
        &mut self,
        snapshot: &Snapshot,
        wanted: &Wanted,
        plan: Plan,
    ) -> Result<String, String> {
        let path = plan.file.in_dir(&self.options.conf_dir);
        self.metrics.changed_at(files::changed_at(&path));
        let verdict = install::verdict(self.options, wanted, snapshot, &plan, &mut self.binary);
        let Plan { primary, file, text, .. } = plan;
        self.left = Some((file, text));
        let (path, in_force) = (path.display(), wanted.in_force());
        let line = format!("in place and current: {path} over {primary}, {in_force}");
        match verdict {
            Ok(()) => {
                self.reporter.info(&line);
                Ok(line)
            }
            Err(error) => {
                self.reporter.problem(&error.to_string());
                Err(error.to_string())
            }
        }
    }

    /// Whether another program changed the file that we wrote.
    fn was_undone(&self, snapshot: &Snapshot) -> bool {
        self.left
            .as_ref()
            .is_some_and(|(file, text)| snapshot.network(file).map(Network::text) != Some(text))
    }

    fn without_primary(
        &mut self,
        stale: Option<(FileName, Seen)>,
        error: &NodeError,
        now: Instant,
    ) -> Result<Duration, NodeError> {
        let since = *self.gone.get_or_insert(now);
        let Some((name, seen)) = stale else {
            self.reporter.info(&error.to_string());
            return Ok(TIMER);
        };
        if let Some(rest) = SETTLED.checked_sub(now - since).filter(|rest| !rest.is_zero()) {
            return Ok(rest);
        }
        let path = name.in_dir(&self.options.conf_dir);
        files::apply(&self.options.conf_dir, &[Step::Remove { name, seen }])?;
        self.left = None;
        let line =
            format!("the primary configuration is gone: removed {}, its copy", path.display());
        self.reporter.info(&line);
        Ok(Duration::ZERO)
    }
}
