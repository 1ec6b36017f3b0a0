//! The node's files: the plugin's binary and the network configuration that
//! names it. Brings both in place, keeps them there, and takes them away.
//!
//! | file | |
//! |---|---|
//! | `conflist.rs` | pure: our entry in a configuration's text |
//! | `snapshot.rs` | pure: what is in the directory, and which file is the primary |
//! | `plan.rs` | pure: the steps to what is wanted |
//! | `backoff.rs` | pure: when to stop repairing what somebody keeps undoing |
//! | `files.rs`, `watch.rs` | the doors: changes on disk, and news of them |
//! | `reconcile.rs` | the loop of `install` |
//! | `tail.rs`, `metrics.rs` | the plugin's log, passed on and counted |
//!
//! This file has the acts that are done once: [`once`], [`check`], [`uninstall`].

pub mod backoff;
pub mod conflist;
pub mod error;
pub mod files;
pub mod metrics;
pub mod plan;
pub mod reconcile;
pub mod snapshot;
pub mod tail;
pub mod watch;

use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::config::Entry;
pub use error::{NodeError, Obstacle};
use files::Binary;
pub use plan::Mode;
use plan::{CILIUM, Plan, Step, Target};
use snapshot::Snapshot;

/// What `install` was asked for.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the runtime looks for plugins.
    pub bin_dir: PathBuf,
    /// Where the runtime looks for network configurations.
    pub conf_dir: PathBuf,
    /// The settings; without a file all defaults.
    pub config: Option<PathBuf>,
    /// How the entry gets in.
    pub mode: Mode,
    /// The name of our own list.
    pub conf_name: String,
    /// Where metrics are served.
    pub metrics: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            bin_dir: PathBuf::from("/opt/cni/bin"),
            conf_dir: PathBuf::from("/etc/cni/net.d"),
            config: None,
            mode: Mode::Own,
            conf_name: plan::CONF_NAME.to_owned(),
            metrics: None,
        }
    }
}

/// Settings that were checked, as they go into the configuration.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Our whole entry.
    pub entry: Map<String, Value>,
    /// Stands for the settings in log lines and metrics.
    pub digest: String,
    /// Where the plugin will log, if anywhere.
    pub log_file: Option<PathBuf>,
    /// What is odd in the settings.
    pub warnings: Vec<String>,
}

impl Wanted {
    /// Checks the text of a settings file; none means all defaults.
    ///
    /// # Errors
    /// What is wrong in it, without the file's name.
    pub fn new(text: Option<&str>) -> Result<Self, String> {
        let entry = match text {
            None => Entry::default(),
            Some(text) => Entry::from_config_text(text).map_err(|error| error.to_string())?,
        };
        let checked = entry.check().map_err(|error| error.to_string())?;
        let raw = entry.raw().map_err(|error| error.to_string())?;
        Ok(Wanted {
            entry: entry.to_plugin_json(),
            digest: entry.digest(),
            log_file: raw.log().file,
            warnings: checked.warnings,
        })
    }

    fn load(config: Option<&Path>) -> Result<Self, NodeError> {
        let Some(path) = config else {
            return Self::new(None).map_err(|reason| NodeError::settings("the defaults", reason));
        };
        let text = files::settings_text(path)?;
        Self::new(Some(&text)).map_err(|reason| NodeError::settings(path, reason))
    }
}

/// What is in place, for the operator.
#[derive(Debug, Clone)]
pub struct Report {
    /// Whether anything had to be written.
    pub changed: bool,
    /// The primary's file name.
    pub primary: String,
    /// The file with our entry.
    pub file: PathBuf,
    /// The settings' digest.
    pub digest: String,
    /// What is odd in the settings.
    pub warnings: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { primary, file, digest, .. } = self;
        let word = if self.changed { "installed" } else { "in place and current" };
        write!(f, "{word}: {} over {primary}, settings {digest}", file.display())
    }
}

/// Brings binary and configuration in place, once.
///
/// # Errors
/// What is in the way; then nothing, or nothing but the binary, was changed.
pub fn once(options: &Options) -> Result<Report, NodeError> {
    let wanted = Wanted::load(options.config.as_deref())?;
    files::sweep(&options.conf_dir)?;
    let (_, plan) = look(options, &wanted)?;
    let binary = Binary::new(&options.bin_dir).install()?;
    files::apply(&options.conf_dir, &plan.steps)?;
    let changed = binary.is_some() || !plan.steps.is_empty();
    Ok(report(options, &wanted, plan, changed))
}

/// Whether binary and configuration are in place and current. Changes nothing.
///
/// # Errors
/// What is missing or out of date.
pub fn check(options: &Options) -> Result<Report, NodeError> {
    let wanted = Wanted::load(options.config.as_deref())?;
    let (snapshot, plan) = look(options, &wanted)?;
    let mut binary = Binary::new(&options.bin_dir);
    if let Some(what) = binary.flaw()? {
        return Err(NodeError::Binary { path: binary.path().to_owned(), what });
    }
    if !plan.steps.is_empty() {
        return Err(NodeError::NotCurrent {
            path: options.conf_dir.join(&plan.file),
            what: found(&snapshot, &plan),
            hint: rival(&snapshot),
        });
    }
    Ok(report(options, &wanted, plan, false))
}

/// Takes our entry out of the directory, and the binary away if asked to.
/// Answers what was done, a line each.
///
/// # Errors
/// The first file that could not be changed.
pub fn uninstall(
    bin_dir: &Path,
    conf_dir: &Path,
    conf_name: &str,
    remove_binary: bool,
) -> Result<Vec<String>, NodeError> {
    files::sweep(conf_dir)?;
    let steps = plan::uninstall(&files::snapshot(conf_dir)?, conf_name);
    files::apply(conf_dir, &steps)?;
    let mut done: Vec<String> = steps.iter().map(Step::to_string).collect();
    if remove_binary {
        let binary = Binary::new(bin_dir);
        if binary.remove()? {
            done.push(format!("removed {}", binary.path().display()));
        }
    }
    Ok(done)
}

fn look(options: &Options, wanted: &Wanted) -> Result<(Snapshot, Plan), NodeError> {
    let snapshot = files::snapshot(&options.conf_dir)?;
    let plan = planned(options, wanted, &snapshot)
        .map_err(|obstacle| NodeError::Obstacle { dir: options.conf_dir.clone(), obstacle })?;
    Ok((snapshot, plan))
}

fn planned(options: &Options, wanted: &Wanted, snapshot: &Snapshot) -> Result<Plan, Obstacle> {
    let target = Target {
        mode: options.mode,
        conf_name: options.conf_name.clone(),
        entry: wanted.entry.clone(),
    };
    plan::install(snapshot, &target)
}

fn report(options: &Options, wanted: &Wanted, plan: Plan, changed: bool) -> Report {
    Report {
        changed,
        primary: plan.primary,
        file: options.conf_dir.join(plan.file),
        digest: wanted.digest.clone(),
        warnings: wanted.warnings.clone(),
    }
}

/// What was found where our entry should be.
fn found(snapshot: &Snapshot, plan: &Plan) -> &'static str {
    match snapshot.get(&plan.file) {
        None => "is missing",
        Some(file) if file.text.as_deref() == Ok(&plan.text) => "is in place, but others are not",
        Some(file) if file.text.as_deref() == Ok("") => "is empty",
        Some(_) => "is not what it should be",
    }
}

/// Who is known to undo our work, with the setting that ends it.
fn rival(snapshot: &Snapshot) -> String {
    let renamed = snapshot.files().iter().find(|file| file.name.ends_with(CILIUM));
    renamed.map_or_else(String::new, |file| {
        format!(
            "; {} shows that Cilium renames what is not its own: set cni.exclusive=false in its Helm values (cni-exclusive: \"false\" in its ConfigMap)",
            file.name
        )
    })
}
