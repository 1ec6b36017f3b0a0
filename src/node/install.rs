//! `install --once` and `install --check`, and what they have in common with
//! the loop of `reconcile.rs`.
//!
//! I/O: none of its own; through `files.rs`, `binary.rs` and `settings.rs`.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::audit::{self, Scope, State};
use super::binary::{self, Binary};
use super::cache;
use super::conflist::Network;
use super::error::{NodeError, Obstacle};
use super::files;
use super::host_root::HostRoot;
use super::kubelet_dir::Severity;
use super::name::{CILIUM, CONF_NAME, FileName};
use super::plan::{self, Mode, Plan, Target};
use super::settings::{Sources, Wanted};
use super::snapshot::{OwnList, Snapshot};
use crate::config::{LogFormat, Settings};

/// The options of `install`.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// Where the runtime looks for plugins.
    pub(crate) bin_dir: PathBuf,
    /// Where the runtime looks for network configurations.
    pub(crate) conf_dir: PathBuf,
    /// Where the settings are.
    pub(crate) sources: Sources,
    /// How the entry gets in.
    pub(crate) mode: Mode,
    /// The name of our own list.
    pub(crate) conf_name: String,
    /// Where metrics are served.
    pub(crate) metrics: Option<SocketAddr>,
    /// libcni's cache.
    pub(crate) cache_dir: PathBuf,
    /// Whether pods around the mesh get their rules.
    pub(crate) repair: bool,
    /// The format of the lines while it stays; without one that of the settings.
    pub(crate) log_format: Option<LogFormat>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            bin_dir: PathBuf::from("/opt/cni/bin"),
            conf_dir: PathBuf::from("/etc/cni/net.d"),
            sources: Sources::default(),
            mode: Mode::Own,
            conf_name: CONF_NAME.to_owned(),
            metrics: None,
            cache_dir: PathBuf::from(cache::RESULTS),
            repair: false,
            log_format: None,
        }
    }
}

/// What is in place, for the operator.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    /// Whether anything had to be written.
    changed: bool,
    primary: FileName,
    /// The file with our entry.
    file: PathBuf,
    /// The rulesets and the digest of the settings.
    in_force: String,
    /// What is odd, a sentence each.
    pub(crate) warnings: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { primary, file, in_force, .. } = self;
        let what = if self.changed { "installed" } else { "in place and current" };
        write!(f, "{what}: {} over {primary}, {in_force}", file.display())
    }
}

/// Brings binary and configuration in place, once.
///
/// # Errors
/// What prevents it. Then nothing was changed, except perhaps the binary.
pub(crate) fn once(options: &Options) -> Result<Report, NodeError> {
    files::clean_up(&options.conf_dir)?;
    files::try_again(|| attempt(options))
}

fn attempt(options: &Options) -> Result<Report, NodeError> {
    let wanted = options.sources.check(&options.sources.read())?;
    let snapshot = files::snapshot(&options.conf_dir)?;
    let plan = planned(options, &options.own_list(None), &wanted.entry, &snapshot)?;
    let binary = Binary::new(&options.bin_dir).install()?;
    files::apply(&options.conf_dir, &plan.steps)?;
    let changed = binary.is_some() || !plan.steps.is_empty();
    let mut report = report(options, &wanted, &plan, changed);
    report.warnings.extend(missing_program(options, &plan).map(|error| error.to_string()));
    report.warnings.extend(wanted.kubelet_problem().map(|(error, _)| error.to_string()));
    Ok(report)
}

/// Whether binary and configuration are in place and current. Changes nothing.
///
/// # Errors
/// What is missing or out of date.
pub(crate) fn check(options: &Options) -> Result<Report, NodeError> {
    let wanted = options.sources.check(&options.sources.read())?;
    let snapshot = files::snapshot(&options.conf_dir)?;
    let plan = planned(options, &options.own_list(None), &wanted.entry, &snapshot)?;
    verdict(options, &wanted, &snapshot, &plan, &mut Binary::new(&options.bin_dir))?;
    let mut report = report(options, &wanted, &plan, false);
    report.warnings.extend(wanted.kubelet_problem().map(|(error, _)| error.to_string()));
    Ok(report)
}

/// Whether no pod of the node goes around the mesh.
///
/// # Errors
/// The pods that do, or why they cannot be looked at.
pub(crate) fn check_pods(options: &Options) -> Result<(), NodeError> {
    let wanted = options.sources.check(&options.sources.read())?;
    let scope = options.scope(Some(wanted.settings));
    let findings = audit::run(&scope)
        .map_err(|error| NodeError::io("read libcni's cache", &options.cache_dir, error))?;
    let around = findings.iter().filter(|finding| finding.state == State::Around);
    let around: Vec<String> = around.map(ToString::to_string).collect();
    if around.is_empty() { Ok(()) } else { Err(NodeError::Around(around)) }
}

/// What `--check` and `/readyz` say of a directory in which the entry can be
/// put.
pub(crate) fn verdict(
    options: &Options,
    wanted: &Wanted,
    snapshot: &Snapshot,
    plan: &Plan,
    binary: &mut Binary,
) -> Result<(), NodeError> {
    if let Some(what) = binary.flaw()? {
        return Err(NodeError::Binary { path: binary.path().to_owned(), what });
    }
    if !plan.steps.is_empty() {
        let path = plan.file.in_dir(&options.conf_dir);
        let (what, hint) = (found(snapshot, plan), rival(snapshot));
        return Err(NodeError::NotCurrent { path, what, hint });
    }
    missing_program(options, plan).map_or(Ok(()), Err)?;
    match wanted.kubelet_problem() {
        Some((error, Severity::Failure)) => Err(error),
        _ => Ok(()),
    }
}

/// CRI-O skips a list of which a program is missing.
pub(crate) fn missing_program(options: &Options, plan: &Plan) -> Option<NodeError> {
    let program = binary::missing(&options.bin_dir, &plan.programs)?;
    Some(NodeError::Program {
        path: plan.file.in_dir(&options.conf_dir),
        program: crate::sanitize::value(program),
        dir: options.bin_dir.clone(),
        primary: plan.primary.clone(),
    })
}

pub(crate) fn planned(
    options: &Options,
    own: &OwnList,
    entry: &Map<String, Value>,
    snapshot: &Snapshot,
) -> Result<Plan, NodeError> {
    let obstacle =
        |obstacle: Obstacle| NodeError::Obstacle { dir: options.conf_dir.clone(), obstacle };
    plan::install(snapshot, &Target { mode: options.mode, own, entry }).map_err(obstacle)
}

impl Options {
    /// What an audit looks at.
    pub(crate) fn scope(&self, settings: Option<Settings>) -> Scope {
        let root = HostRoot::new(PathBuf::from("/"));
        Scope { root, cache_dir: self.cache_dir.clone(), kubelet_dir: None, settings }
    }

    pub(crate) fn own_list(&self, written: Option<Network>) -> OwnList {
        OwnList { name: FileName::from(self.conf_name.as_str()), written }
    }
}

fn report(options: &Options, wanted: &Wanted, plan: &Plan, changed: bool) -> Report {
    Report {
        changed,
        primary: plan.primary.clone(),
        file: plan.file.in_dir(&options.conf_dir),
        in_force: wanted.in_force(),
        warnings: wanted.notes.iter().chain(&wanted.settings.warnings).cloned().collect(),
    }
}

/// What was found where our entry should be.
pub(crate) fn found(snapshot: &Snapshot, plan: &Plan) -> &'static str {
    let Some(file) = snapshot.get(&plan.file) else { return "is missing" };
    match &file.network {
        Ok(network) if network.text() == plan.text => "is in place, but others are not",
        _ if file.is_empty => "is empty",
        _ => "differs from what the options and settings give",
    }
}

/// A program that is known to undo our work, with the setting that ends it.
pub(crate) fn rival(snapshot: &Snapshot) -> String {
    let renamed = snapshot.files().iter().find(|file| file.name.without_suffix(CILIUM).is_some());
    renamed.map_or_else(String::new, |file| {
        format!(
            "; {} shows that Cilium renames what is not its own: set cni.exclusive=false in its Helm values (cni-exclusive: \"false\" in its ConfigMap)",
            file.name
        )
    })
}

/// The directory of a file, for watching it.
pub(crate) fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir.to_owned(),
        _ => PathBuf::from("."),
    }
}
