//! The configuration directory on disk.
//!
//! I/O: reads the directory into a [`Snapshot`] through `content.rs`, and carries
//! out [`Step`]s through `replace.rs` and `displace.rs`. What is read is bounded,
//! whatever others write there.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::conflist::{self, Kind, Network};
use super::content::{self, MAX_TEXT, Mark, Seen};
use super::displace;
use super::error::NodeError;
use super::name::{DISPLACED, FileName, Role};
use super::replace::{self, Temporary};
use super::snapshot::{RawFile, Snapshot};
use super::step::Step;

/// How many bytes are read of all files together. The first files are read first,
/// and they decide.
const MAX_ALL: u64 = 4 << 20;
/// How many files are read at most.
const MAX_FILES: usize = 1000;

/// How often a directory is read again because it changed meanwhile.
const ATTEMPTS: u32 = 5;

type Result<T> = std::result::Result<T, NodeError>;

/// Reads the files of a configuration directory that concern us.
///
/// # Errors
/// The directory cannot be read. A file that cannot is part of the answer.
pub(crate) fn snapshot(dir: &Path) -> Result<Snapshot> {
    let mut budget = MAX_ALL;
    let mut files = Vec::new();
    for (name, path) in listed(dir)? {
        let content = match content::read(&path, MAX_TEXT.min(budget)) {
            // It was removed after it was listed.
            Err(_) if fs::symlink_metadata(&path).is_err() => continue,
            content => content.map_err(|error| error.to_string()),
        };
        budget -= content.as_ref().map_or(0, |content| content.bytes.len() as u64);
        let folder = match (&content, name.role()) {
            (Ok(content), Some((Role::Configuration, Kind::List))) => {
                let folder = std::str::from_utf8(&content.bytes).ok().and_then(conflist::folder_of);
                folder.map(|name| folder_texts(&dir.join(name), &mut budget)).unwrap_or_default()
            }
            _ => Vec::new(),
        };
        files.push(RawFile { name, content, folder });
    }
    Ok(Snapshot::new(files))
}

/// The files of the directory that concern us, by name.
fn listed(dir: &Path) -> Result<BTreeMap<FileName, PathBuf>> {
    let fail = |error| NodeError::io("read the directory", dir, error);
    let mut files = BTreeMap::new();
    for item in fs::read_dir(dir).map_err(fail)? {
        let item = item.map_err(fail)?;
        let name = FileName::new(&item.file_name());
        let is_dir = item.file_type().is_ok_and(|kind| kind.is_dir());
        if is_dir || name.role().is_none() {
            continue;
        }
        files.insert(name, item.path());
        if files.len() > MAX_FILES {
            files.pop_last();
        }
    }
    Ok(files)
}

/// The texts of the plugins in a folder, in the order of their names.
fn folder_texts(folder: &Path, budget: &mut u64) -> Vec<String> {
    let mut texts = Vec::new();
    for (name, path) in listed(folder).unwrap_or_default() {
        if name.without_suffix(".conf").is_none() {
            continue;
        }
        // A file that cannot be read makes the list unusable, as it does for runtimes.
        let content = content::read(&path, MAX_TEXT.min(*budget));
        let bytes = content.map(|content| content.bytes).unwrap_or_default();
        *budget -= bytes.len() as u64;
        texts.push(String::from_utf8_lossy(&bytes).into_owned());
    }
    texts
}

/// When a file was last changed.
pub(crate) fn changed_at(path: &Path) -> Option<std::time::SystemTime> {
    fs::metadata(path).and_then(|meta| meta.modified()).ok()
}

/// Carries out the steps in their order.
///
/// # Errors
/// The first step that failed. What was done before it is a valid state.
pub(crate) fn apply(dir: &Path, steps: &[Step]) -> Result<()> {
    let mut made: Option<(PathBuf, Seen)> = None;
    for step in steps {
        let done = carry_out(dir, step);
        if let (Err(NodeError::Changed(_)), Step::Keep { .. }, Some((path, seen))) =
            (&done, step, &made)
        {
            // The agent has rewritten the single plugin that this list was made of.
            displace::remove(path, *seen)?;
        }
        done?;
        if let Step::Write { name, text, replaced: None, .. } = step {
            made = Some((name.in_dir(dir), Seen::of(text.as_bytes())));
        }
        replace::sync_dir(dir)?;
    }
    Ok(())
}

fn carry_out(dir: &Path, step: &Step) -> Result<()> {
    match step {
        Step::Write { name, text, mode, replaced, keep, mark } => {
            let path = name.in_dir(dir);
            let new = Temporary::make(&path, *mode, |file| {
                if let Some(mark) = mark {
                    mark.put(file, text.as_bytes());
                }
                file.write_all(text.as_bytes())
            })?;
            let Some(seen) = replaced else { return displace::put_new(new, &path) };
            if *mark != Some(Mark::Own) {
                new.give_to_owner_of(&path);
            }
            if let Some(copy) = keep {
                // It stays if the next step fails: another installer may have done
                // that step, and an older copy is replaced by the next attempt.
                replace::keep(&path, &copy.in_dir(dir), *seen)?;
            }
            displace::put_over(new, &path, *seen)
        }
        Step::Keep { name, seen } => {
            displace::rename(&name.in_dir(dir), &name.original().in_dir(dir), *seen)
        }
        Step::Restore { name, replaced } => {
            let (original, path) = (name.original().in_dir(dir), name.in_dir(dir));
            let Some(seen) = replaced else { return displace::restore_new(&original, &path) };
            displace::exchange(&original, &path, *seen)?;
            replace::remove(&original)
        }
        Step::Remove { name, seen } => displace::remove(&name.in_dir(dir), *seen),
    }
}

/// Looks at the directory and changes it, and does so again if an agent or
/// another installer was at work at the same time.
///
/// # Errors
/// Those of the last attempt.
pub(crate) fn try_again<T>(attempt: impl Fn() -> Result<T>) -> Result<T> {
    for _ in 1..ATTEMPTS {
        match attempt() {
            Err(NodeError::Changed(_)) => {}
            result => return result,
        }
    }
    attempt()
}

/// Removes what a killed process has left in the directory, and brings back
/// what it had moved aside.
pub(crate) fn clean_up(dir: &Path) -> Result<()> {
    replace::sweep(dir)?;
    for aside in replace::left_over(dir, DISPLACED)? {
        let name = aside.file_name().and_then(|name| FileName::new(name).of_displaced());
        let (Some(name), Some(_lock)) = (name, replace::lock_unused(&aside)) else { continue };
        bring_back(&aside, &name, dir)?;
    }
    // An original has no entry of ours. This one was exchanged with our list.
    for kept in snapshot(dir)?.files().iter().filter(|file| file.role == Role::Original) {
        if kept.network.as_ref().is_ok_and(Network::has_ours) {
            displace::remove(&kept.name.in_dir(dir), kept.seen)?;
        }
    }
    Ok(())
}

/// Brings back a file that was moved aside. If it has our entry, it was about to be
/// removed or replaced, and is removed. Any other file returns, also in place of a
/// list of ours that was made from an older text.
fn bring_back(aside: &Path, name: &FileName, dir: &Path) -> Result<()> {
    let path = name.in_dir(dir);
    let network = |path: &Path| {
        let bytes = content::read(path, content::MAX_TEXT).ok()?.bytes;
        Network::parse(name.role()?.1, std::str::from_utf8(&bytes).ok()?).ok()
    };
    let old = network(aside);
    if old.as_ref().is_some_and(Network::has_ours) {
        return replace::remove(aside);
    }
    match displace::restore_new(aside, &path) {
        Err(NodeError::Changed(_)) => {}
        done => return done,
    }
    let is_newer = network(&path)
        .zip(old)
        .is_some_and(|(now, old)| now.has_ours() && !now.same_but_ours(&old));
    if is_newer {
        displace::exchange(aside, &path, content::seen(&path))?;
    }
    replace::remove(aside)
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
