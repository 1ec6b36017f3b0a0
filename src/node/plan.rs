//! What has to be done to a configuration directory, given what is in it: the
//! steps that bring our entry in, or take it out. Pure: it looks at a
//! [`Snapshot`] and answers with [`Step`]s; `files.rs` does them.
//!
//! The steps are ordered so that a runtime that reads between any two of them
//! finds the old configuration or the new one.

use std::fmt;

use serde_json::{Map, Value};

use super::conflist::{Kind, Network};
use super::error::Obstacle;
use super::snapshot::{ConfFile, Snapshot};

/// The name of our own list, unless the operator says otherwise. It sorts
/// before what primaries are usually called.
pub const CONF_NAME: &str = "00-osm-cni.conflist";
/// Appended to the name of a primary's file that `insert` replaced.
pub const ORIGINAL: &str = ".osm-cni-orig";
/// Appended by Cilium to what it finds beside its own file.
pub const CILIUM: &str = ".cilium_bak";
/// The mode of a file that is new.
pub const NEW_MODE: u32 = 0o600;

/// How redirection gets into the node's configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A list of our own, a copy of the primary's with our entry, before it.
    Own,
    /// Our entry in the primary's own file.
    Insert,
}

/// What is wanted in the directory.
#[derive(Debug, Clone)]
pub struct Target {
    /// Where the entry goes.
    pub mode: Mode,
    /// The name of our own list.
    pub conf_name: String,
    /// Our entry, whole.
    pub entry: Map<String, Value>,
}

/// One change of the directory, atomic in itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Replace a file, or make it. `expect` is the text it must still have.
    Write {
        /// The file's name.
        name: String,
        /// Its new text.
        text: String,
        /// Its permission bits.
        mode: u32,
        /// The text that was the base of the new one.
        expect: Option<String>,
        /// A second name, under which what is replaced is kept.
        keep: Option<String>,
    },
    /// Give a file another name.
    Rename {
        /// Its name until now.
        from: String,
        /// Its new name.
        to: String,
    },
    /// Remove a file.
    Remove {
        /// The file's name.
        name: String,
    },
    /// Set a file's permission bits.
    SetMode {
        /// The file's name.
        name: String,
        /// The bits.
        mode: u32,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Write { name, keep: None, .. } => write!(f, "wrote {name}"),
            Step::Write { name, keep: Some(copy), .. } => {
                write!(f, "wrote {name}, its original is {copy}")
            }
            Step::Rename { from, to } => write!(f, "renamed {from} to {to}"),
            Step::Remove { name } => write!(f, "removed {name}"),
            Step::SetMode { name, mode } => write!(f, "set the mode of {name} to {mode:04o}"),
        }
    }
}

/// What [`install`] found and wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The primary configuration's file.
    pub primary: String,
    /// The file that has our entry when the steps are done.
    pub file: String,
    /// That file's text then.
    pub text: String,
    /// What to do; nothing when all is in place and current.
    pub steps: Vec<Step>,
}

/// What to do so that our entry is in place.
///
/// # Errors
/// Why the directory must be left as it is.
pub fn install(snapshot: &Snapshot, target: &Target) -> Result<Plan, Obstacle> {
    let (file, network) = snapshot.primary(&target.conf_name)?;
    if !network.is_spoken() {
        return Err(Obstacle::Version {
            primary: file.name.clone(),
            version: network.version().to_string(),
        });
    }
    let mut plan = match target.mode {
        Mode::Own => own(snapshot, target, file, &network)?,
        Mode::Insert => insert(snapshot, target, file, &network)?,
    };
    for (other, network) in snapshot.ours() {
        if other.name != plan.file {
            withdraw(snapshot, &target.conf_name, other, &network, &mut plan.steps);
        }
    }
    if target.mode == Mode::Insert && plan.file != target.conf_name {
        remove_unless_done(snapshot, &target.conf_name, &mut plan.steps);
    }
    Ok(plan)
}

fn own(
    snapshot: &Snapshot,
    target: &Target,
    file: &ConfFile,
    network: &Network,
) -> Result<Plan, Obstacle> {
    let (primary, conf_name) = (file.name.clone(), target.conf_name.clone());
    if network.is_multus() {
        return Err(Obstacle::Multus { primary, conf_name });
    }
    if primary.as_bytes() < conf_name.as_bytes() {
        return Err(Obstacle::Order { primary, conf_name });
    }
    let text = network.with_entry(&target.entry);
    let mut steps = Vec::new();
    let current = snapshot.get(&conf_name);
    // Group and others must not write what a runtime runs as root, and the
    // owner must be able to; any other choice of the operator's is kept.
    // What is no list of ours any more is replaced like a file that is new.
    let ours = snapshot.network(&conf_name).is_some_and(|list| list.has_ours());
    let odd = current.is_some_and(|file| file.mode & 0o600 != 0o600 || file.mode & 0o022 != 0);
    let mode = current.filter(|_| ours && !odd).map_or(NEW_MODE, |file| file.mode & 0o777);
    if snapshot.text(&conf_name) != Some(&text) {
        steps.push(Step::Write {
            name: conf_name.clone(),
            text: text.clone(),
            mode,
            expect: None,
            keep: None,
        });
    } else if odd {
        steps.push(Step::SetMode { name: conf_name.clone(), mode });
    }
    Ok(Plan { primary, file: conf_name, text, steps })
}

fn insert(
    snapshot: &Snapshot,
    target: &Target,
    file: &ConfFile,
    network: &Network,
) -> Result<Plan, Obstacle> {
    let primary = file.name.clone();
    let name = list_name(&primary);
    let mut steps = Vec::new();
    let mode = file.mode & 0o777;
    let mut text = network.with_entry(&target.entry);
    if name == primary {
        if network.holds(&target.entry) {
            network.text().clone_into(&mut text);
        } else {
            steps.push(Step::Write {
                name: name.clone(),
                text: text.clone(),
                mode,
                expect: Some(network.text().to_owned()),
                keep: (!network.has_ours()).then(|| original(&primary)),
            });
        }
    } else {
        let foreign = snapshot.get(&name).is_some()
            && !snapshot.network(&name).is_some_and(|list| list.has_ours());
        if foreign {
            return Err(Obstacle::Taken { primary, taken: name });
        }
        if snapshot.text(&name) != Some(&text) {
            steps.push(Step::Write {
                name: name.clone(),
                text: text.clone(),
                mode,
                expect: None,
                keep: None,
            });
        }
        steps.push(Step::Rename { from: primary.clone(), to: original(&primary) });
    }
    Ok(Plan { primary, file: name, text, steps })
}

/// What to do so that nothing of ours is left in the directory.
#[must_use]
pub fn uninstall(snapshot: &Snapshot, conf_name: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    for (file, network) in snapshot.ours() {
        withdraw(snapshot, conf_name, file, &network, &mut steps);
    }
    // Our own list goes also when it was damaged, or renamed by Cilium.
    remove_unless_done(snapshot, conf_name, &mut steps);
    remove_unless_done(snapshot, &format!("{conf_name}{CILIUM}"), &mut steps);
    // An original whose file was rewritten since is of no more use; one whose
    // file is gone is the only copy, and stays.
    for file in snapshot.files() {
        let Some(base) = file.name.strip_suffix(ORIGINAL) else {
            continue;
        };
        let replaced =
            [base.to_owned(), list_name(base)].iter().any(|name| snapshot.get(name).is_some());
        if replaced {
            remove_unless_done(snapshot, &file.name, &mut steps);
        }
    }
    steps
}

/// Takes our entry out of one file, or the file away when it is our own.
fn withdraw(
    snapshot: &Snapshot,
    conf_name: &str,
    file: &ConfFile,
    network: &Network,
    steps: &mut Vec<Step>,
) {
    let name = &file.name;
    if name == conf_name || network.is_ours_alone() || snapshot.is_copy(name, network) {
        remove_unless_done(snapshot, name, steps);
        return;
    }
    for base in snapshot.originals(name) {
        if !made_of(snapshot, &base, network) {
            continue;
        }
        if base != *name && snapshot.get(&base).is_some() {
            // The agent has written its single plugin anew: that one is in force.
            remove_unless_done(snapshot, name, steps);
            remove_unless_done(snapshot, &original(&base), steps);
            return;
        }
        steps.push(Step::Rename { from: original(&base), to: base.clone() });
        if base != *name {
            remove_unless_done(snapshot, name, steps);
        }
        return;
    }
    steps.push(Step::Write {
        name: name.clone(),
        text: network.without_ours(),
        mode: file.mode & 0o777,
        expect: Some(network.text().to_owned()),
        keep: None,
    });
    for base in snapshot.originals(name) {
        remove_unless_done(snapshot, &original(&base), steps);
    }
}

/// Whether a list is exactly what we make of this kept original.
fn made_of(snapshot: &Snapshot, base: &str, list: &Network) -> bool {
    let made = || {
        let text = snapshot.text(&original(base))?;
        let network = Network::parse(Kind::of(base)?, text).ok()?;
        Some(network.with_entry(&list.entry()?))
    };
    made().is_some_and(|made| made == list.text())
}

fn remove_unless_done(snapshot: &Snapshot, name: &str, steps: &mut Vec<Step>) {
    let done = steps.iter().any(|step| match step {
        Step::Remove { name: gone } | Step::Rename { from: gone, .. } => gone == name,
        _ => false,
    });
    if !done && snapshot.get(name).is_some() {
        steps.push(Step::Remove { name: name.to_owned() });
    }
}

/// The name under which the original of a file is kept.
#[must_use]
pub fn original(name: &str) -> String {
    format!("{name}{ORIGINAL}")
}

/// The name of the list that a file's configuration becomes.
fn list_name(name: &str) -> String {
    match name.rsplit_once('.') {
        Some((stem, "conf" | "json")) => format!("{stem}.conflist"),
        _ => name.to_owned(),
    }
}
