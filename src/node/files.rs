//! The configuration directory on disk.
//!
//! I/O: reads the directory into a [`Snapshot`], and carries out [`Step`]s
//! through `replace.rs`. What is read is bounded, whatever others write there.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::libc::{O_CLOEXEC, O_NONBLOCK};

use super::conflist::{self, Kind};
use super::error::NodeError;
use super::name::{FileName, Role};
use super::replace::{self, Temporary};
use super::snapshot::{RawFile, Snapshot};
use super::step::{Expect, Step};

/// A larger file is no network configuration (in bytes). A list with 10,000
/// ranges has 400 KiB.
const MAX_TEXT: u64 = 2 << 20;
/// So much is read of all files together (in bytes). The files that decide are
/// the first ones.
const MAX_ALL: u64 = 4 << 20;
/// So many files are looked at.
const MAX_FILES: usize = 1000;

type Result<T> = std::result::Result<T, NodeError>;

/// Reads the files of a configuration directory that concern us.
///
/// # Errors
/// The directory cannot be read. A file that cannot is part of the answer.
pub(crate) fn snapshot(dir: &Path) -> Result<Snapshot> {
    let mut budget = MAX_ALL;
    let mut files = Vec::new();
    for (name, path) in listed(dir)? {
        let (bytes, mode) = match read(&path, MAX_TEXT.min(budget)) {
            Ok((bytes, mode)) => (Ok(bytes), mode),
            // It went away after it was listed.
            Err(_) if fs::symlink_metadata(&path).is_err() => continue,
            Err(error) => (Err(error.to_string()), 0),
        };
        budget -= bytes.as_ref().map_or(0, |bytes| bytes.len() as u64);
        let folder = match (&bytes, name.role()) {
            (Ok(bytes), Some((Role::Configuration, Kind::List))) => {
                let folder = std::str::from_utf8(bytes).ok().and_then(conflist::folder_of);
                folder.map(|name| folder_texts(&dir.join(name), &mut budget)).unwrap_or_default()
            }
            _ => Vec::new(),
        };
        files.push(RawFile { name, bytes, mode, folder });
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
        // What cannot be read makes the list unusable, as it does for runtimes.
        let bytes = read(&path, MAX_TEXT.min(*budget)).map(|(bytes, _)| bytes).unwrap_or_default();
        *budget -= bytes.len() as u64;
        texts.push(String::from_utf8_lossy(&bytes).into_owned());
    }
    texts
}

/// A file's bytes and permission bits. Links are followed, as runtimes do. What
/// is no regular file is not waited for.
fn read(path: &Path, most: u64) -> io::Result<(Vec<u8>, u32)> {
    let file = OpenOptions::new().read(true).custom_flags(O_NONBLOCK | O_CLOEXEC).open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(io::Error::other("is no regular file"));
    }
    if meta.len() > most {
        return Err(io::Error::other("it and the files before it are larger than 2 MiB or 4 MiB"));
    }
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::Error::other("it grows while it is read"));
    }
    Ok((bytes, meta.permissions().mode() & 0o7777))
}

/// The text of a settings file.
///
/// # Errors
/// It cannot be read, or is not UTF-8.
pub(crate) fn settings_text(path: &Path) -> io::Result<String> {
    let (bytes, _) = read(path, MAX_TEXT)?;
    String::from_utf8(bytes).map_err(|_| io::Error::other("is not UTF-8"))
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
    for step in steps {
        match step {
            Step::Write { name, text, mode, expect, keep } => {
                let copy = keep.as_ref().map(|copy| copy.in_dir(dir));
                write(&name.in_dir(dir), text, *mode, expect, copy.as_deref())?;
            }
            Step::Rename { from, to } => replace::rename(&from.in_dir(dir), &to.in_dir(dir))?,
            Step::Remove { name } => replace::remove(&name.in_dir(dir))?,
            Step::SetMode { name, mode } => {
                let path = name.in_dir(dir);
                fs::set_permissions(&path, Permissions::from_mode(*mode))
                    .map_err(|error| NodeError::io("set the mode of", &path, error))?;
            }
        }
        replace::sync_dir(dir)?;
    }
    Ok(())
}

fn write(path: &Path, text: &str, mode: u32, expect: &Expect, copy: Option<&Path>) -> Result<()> {
    let temporary = Temporary::make(path, mode, |file| file.write_all(text.as_bytes()))?;
    if let Some(copy) = copy {
        replace::keep(path, copy)?;
    }
    // An agent may have written meanwhile. Its file stays.
    let is_as_expected = match expect {
        Expect::Ours => true,
        Expect::Absent => fs::symlink_metadata(path).is_err(),
        Expect::Text(text) => read(path, MAX_TEXT).is_ok_and(|(now, _)| now == text.as_bytes()),
    };
    if !is_as_expected {
        copy.map_or(Ok(()), replace::remove)?;
        return Err(NodeError::Changed(path.to_owned()));
    }
    if matches!(expect, Expect::Text(_)) {
        temporary.give_to_owner_of(path);
    }
    temporary.put(path)
}
