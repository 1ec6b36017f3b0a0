//! The steps that bring our entry into a configuration directory. Pure: a
//! [`Snapshot`] in, [`Step`]s out.
//!
//! The steps are ordered so that a runtime that reads the directory between any
//! two of them finds the old configuration or the new one.

use std::ffi::OsString;
use std::path::Path;

use serde_json::{Map, Value};

use super::conflist::Network;
use super::content::{Content, Mark};
use super::error::Obstacle;
use super::multus;
use super::name::{CONF_NAME, FileName};
use super::snapshot::{ConfFile, OwnList, RawFile, Snapshot};
use super::step::Step;
use super::withdraw;
use crate::config::Entry;

/// The mode of a new file.
const NEW_MODE: u32 = 0o600;

/// How redirection gets into the node's configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// A list of our own before the primary's: a copy of it with our entry.
    Own,
    /// Our entry in the primary's own file.
    Insert,
}

/// The wanted state of the directory.
#[derive(Debug)]
pub(crate) struct Target<'t> {
    pub(crate) mode: Mode,
    pub(crate) own: &'t OwnList,
    /// Our entry, whole.
    pub(crate) entry: &'t Map<String, Value>,
}

/// The primary, and the steps to the wanted state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The primary's file.
    pub(crate) primary: FileName,
    /// The file that has our entry when the steps are done.
    pub(crate) file: FileName,
    /// That file's text then.
    pub(crate) text: String,
    /// The programs that this list calls.
    pub(crate) programs: Vec<String>,
    /// Nothing, if all is in place and current.
    pub(crate) steps: Vec<Step>,
}

/// The steps that bring our entry in.
///
/// # Errors
/// Why the directory must be left as it is.
pub(crate) fn install(snapshot: &Snapshot, target: &Target<'_>) -> Result<Plan, Obstacle> {
    let (file, network) = snapshot.primary(target.own)?;
    if !network.is_supported() {
        let (primary, version) = (file.name.clone(), network.version().to_string());
        return Err(Obstacle::Version { primary, version });
    }
    let mut plan = match target.mode {
        Mode::Own => own(snapshot, target, file, network)?,
        Mode::Insert => insert(snapshot, target, file, network)?,
    };
    for (other, ours) in snapshot.ours(target.own) {
        if other.name != plan.file {
            withdraw::file(snapshot, other, ours, &mut plan.steps);
        }
    }
    Ok(plan)
}

/// The names of the files that `install` would make, write, rename or remove in
/// a directory with these files, or why it leaves the directory alone. For fuzz
/// targets, which have no directory.
///
/// # Errors
/// The message of `install`.
pub fn names_touched(
    files: Vec<(OsString, Vec<u8>)>,
    insert: bool,
) -> Result<Vec<OsString>, String> {
    let raw = |(name, bytes): (OsString, Vec<u8>)| RawFile {
        name: FileName::new(&name),
        content: Ok(Content { bytes, mode: NEW_MODE, mark: None }),
        folder: Vec::new(),
    };
    let snapshot = Snapshot::new(files.into_iter().map(raw).collect());
    let own = OwnList { name: FileName::from(CONF_NAME), written: None };
    let mode = if insert { Mode::Insert } else { Mode::Own };
    let entry = Entry::default().to_plugin_json();
    let plan = install(&snapshot, &Target { mode, own: &own, entry: &entry });
    let plan = plan.map_err(|obstacle| obstacle.to_string())?;
    let name = |step: &Step| step.name().in_dir(Path::new("")).into_os_string();
    Ok(plan.steps.iter().map(name).collect())
}

fn own(
    snapshot: &Snapshot,
    target: &Target<'_>,
    file: &ConfFile,
    network: &Network,
) -> Result<Plan, Obstacle> {
    let (primary, conf_name) = (file.name.clone(), target.own.name.clone());
    if primary == conf_name {
        return Err(Obstacle::NotOurs { conf_name });
    }
    if network.is_multus() {
        return Err(Obstacle::Multus { primary, conf_name });
    }
    if primary < conf_name {
        return Err(Obstacle::Order { primary, conf_name });
    }
    let text = network.own_list(target.entry);
    let mut steps = Vec::new();
    let current = snapshot.get(&conf_name);
    // A runtime runs what this file says as root, so group and others must not
    // write it. Another mode is the operator's choice and is kept, as long as
    // the file is a list of ours.
    let is_odd = |mode: u32| mode & 0o600 != 0o600 || mode & 0o022 != 0;
    let is_list = current.is_some_and(|file| file.network.as_ref().is_ok_and(Network::has_ours));
    let kept = current.filter(|file| is_list && !is_odd(file.mode));
    let mode = kept.map_or(NEW_MODE, |file| file.mode & 0o777);
    let is_current = snapshot.network(&conf_name).map(Network::text) == Some(&text);
    if !is_current || current.is_some_and(|file| is_odd(file.mode)) {
        let (name, text) = (conf_name.clone(), text.clone());
        let replaced = current.map(|file| file.seen);
        steps.push(Step::Write { name, text, mode, replaced, keep: None, mark: Some(Mark::Own) });
    }
    Ok(Plan { primary, file: conf_name, text, programs: programs(network), steps })
}

fn insert(
    snapshot: &Snapshot,
    target: &Target<'_>,
    file: &ConfFile,
    network: &Network,
) -> Result<Plan, Obstacle> {
    let primary = file.name.clone();
    if network.is_in_folder() {
        return Err(Obstacle::Folder { primary });
    }
    if !network.is_supported_before_1_1() {
        return Err(Obstacle::Unversioned { primary });
    }
    let name = primary.list();
    let mode = file.mode & 0o777;
    let mut text = network.with_entry(target.entry);
    let mut steps = Vec::new();
    if name == primary {
        if network.holds(target.entry) {
            network.text().clone_into(&mut text);
        } else {
            let (name, text) = (name.clone(), text.clone());
            let keep = (!network.has_ours()).then(|| primary.original());
            let replaced = Some(file.seen);
            steps.push(Step::Write { name, text, mode, replaced, keep, mark: None });
        }
    } else {
        if let Some(multus) = multus::who_names(snapshot, &primary) {
            return Err(Obstacle::Named { primary, multus });
        }
        if let Some(there) = snapshot.get(&name) {
            let made = there.network.as_ref().is_ok_and(|list| {
                let kept = snapshot.network(&primary.original());
                list.has_ours()
                    && [kept, Some(network)].iter().any(|base| Snapshot::is_made_of(list, *base))
            });
            if !made && there.mark != Some(Mark::Made) {
                return Err(Obstacle::Taken { primary, taken: name });
            }
        }
        if snapshot.network(&name).map(Network::text) != Some(&text) {
            let replaced = snapshot.get(&name).map(|file| file.seen);
            let (name, text, mark) = (name.clone(), text.clone(), Some(Mark::Made));
            steps.push(Step::Write { name, text, mode, replaced, keep: None, mark });
        }
        steps.push(Step::Keep { name: primary.clone(), seen: file.seen });
    }
    Ok(Plan { primary, file: name, text, programs: programs(network), steps })
}

/// The names of the programs that a list with our entry calls.
fn programs(network: &Network) -> Vec<String> {
    let ours = crate::config::PLUGIN_TYPE;
    let all = network.kinds().chain(network.kinds_beside());
    all.filter(|kind| *kind != ours).map(str::to_owned).collect()
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
