//! The steps that take our entry out of a configuration directory. Pure: a
//! [`Snapshot`] in, [`Step`]s out.

use super::name::{CILIUM, FileName, ORIGINAL};
use super::snapshot::{ConfFile, Ours, OwnList, Snapshot};
use super::step::Step;

/// The steps after which nothing of ours is in the directory.
pub(crate) fn all(snapshot: &Snapshot, own: &OwnList) -> Vec<Step> {
    let mut steps = Vec::new();
    for (conf_file, ours) in snapshot.ours(own) {
        file(snapshot, conf_file, ours, &mut steps);
    }
    // Our own list that Cilium renamed.
    if let Some(backup) = snapshot.get(&own.name.with_suffix(CILIUM)) {
        let is_ours = match &backup.network {
            Ok(network) => network.has_ours(),
            Err(broken) => !broken.is_json,
        };
        if is_ours {
            remove(snapshot, &backup.name, &mut steps);
        }
    }
    // The original of a file that was rewritten since is of no more use. One
    // whose file is gone is the only copy, and stays.
    for kept in snapshot.files() {
        let Some(base) = kept.name.without_suffix(ORIGINAL) else {
            continue;
        };
        if [&base, &base.list()].iter().any(|name| snapshot.get(name).is_some()) {
            remove(snapshot, &kept.name, &mut steps);
        }
    }
    steps
}

/// Takes our entry out of one file, or removes the file if it is our own list.
pub(crate) fn file(snapshot: &Snapshot, file: &ConfFile, ours: Ours, steps: &mut Vec<Step>) {
    let name = &file.name;
    let network = match (ours, &file.network) {
        (Ours::Inserted, Ok(network)) => network,
        _ => return remove(snapshot, name, steps),
    };
    for base in snapshot.originals(name) {
        if !Snapshot::is_made_of(network, snapshot.network(&base.original())) {
            continue;
        }
        if base != *name && snapshot.get(&base).is_some() {
            // The agent has rewritten its single plugin, which is in force.
            remove(snapshot, name, steps);
            remove(snapshot, &base.original(), steps);
            return;
        }
        let replaced = (base == *name).then_some(file.seen);
        steps.push(Step::Restore { name: base.clone(), replaced });
        if base != *name {
            remove(snapshot, name, steps);
        }
        return;
    }
    steps.push(Step::Write {
        name: name.clone(),
        text: network.without_ours(),
        mode: file.mode & 0o777,
        replaced: Some(file.seen),
        keep: None,
        mark: None,
    });
    for base in snapshot.originals(name) {
        remove(snapshot, &base.original(), steps);
    }
}

/// Removes a file, unless it is not there or an earlier step takes it away.
fn remove(snapshot: &Snapshot, name: &FileName, steps: &mut Vec<Step>) {
    let is_done = steps.iter().any(|step| match step {
        Step::Remove { name: gone, .. } | Step::Keep { name: gone, .. } => gone == name,
        Step::Restore { name: base, .. } => base.original() == *name,
        Step::Write { .. } => false,
    });
    if let (false, Some(file)) = (is_done, snapshot.get(name)) {
        steps.push(Step::Remove { name: name.clone(), seen: file.seen });
    }
}
