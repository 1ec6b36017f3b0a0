//! Removes or replaces a file only if it still has the expected content. Agents
//! write in the same directory at the same time, and a comparison before the change
//! would miss a write between the two. So the file is moved aside first, then
//! compared, and moved back if it has changed.
//!
//! I/O: renames files within a directory. While a file is compared, it has a
//! name from which `files::clean_up` brings it back after a kill.
#![expect(clippy::disallowed_methods, reason = "replaces the node's files, with replace.rs")]

use std::ffi::OsString;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::content::{self, Seen};
use super::error::NodeError;
use super::name::DISPLACED;
use super::replace::{self, Temporary};

/// How often the exchange is repeated while another program writes the same file.
const ATTEMPTS: u32 = 16;

/// Removes a file, if it holds what was seen. It may be gone already.
///
/// # Errors
/// [`NodeError::Changed`] if it holds something else; it is left as it is.
pub(crate) fn remove(path: &Path, expected: Seen) -> Result<(), NodeError> {
    match take(path, expected)? {
        Some(taken) => replace::remove(&taken),
        None => Ok(()),
    }
}

/// Renames a file, if it holds what was seen. A file with the new name is
/// replaced.
///
/// # Errors
/// [`NodeError::Changed`] if it holds something else. After any error it has its
/// name still.
pub(crate) fn rename(path: &Path, to: &Path, expected: Seen) -> Result<(), NodeError> {
    let taken = take(path, expected)?.ok_or_else(|| NodeError::Changed(path.to_owned()))?;
    fs::rename(&taken, to).or_else(|error| {
        put_back(&taken, path)?;
        Err(NodeError::io("make", to, error))
    })
}

/// Gives a new file its final name, which must be free.
///
/// # Errors
/// [`NodeError::Changed`] if there is a file of that name.
pub(crate) fn put_new(new: Temporary, path: &Path) -> Result<(), NodeError> {
    restore_new(new.path(), path)?;
    new.leave();
    Ok(())
}

/// Renames a file to a name that must be free.
///
/// # Errors
/// [`NodeError::Changed`] if there is a file of that name.
pub(crate) fn restore_new(from: &Path, path: &Path) -> Result<(), NodeError> {
    rename_to_free(from, path).map_err(|errno| match errno {
        Errno::EXIST => NodeError::Changed(path.to_owned()),
        errno => NodeError::io("make", path, errno),
    })
}

/// Puts a new file in the place of one that holds what was seen.
///
/// # Errors
/// [`NodeError::Changed`] if it holds something else; it is left as it is.
pub(crate) fn put_over(mut new: Temporary, path: &Path, seen: Seen) -> Result<(), NodeError> {
    // After the exchange the old file has this name. `files::clean_up` brings it back
    // from there if this process is killed, and leaves a locked file alone.
    let _lock = replace::lock_shared(path);
    new.rename(aside(path)).map_err(|error| NodeError::io("replace", path, error))?;
    let done = exchange(new.path(), path, seen);
    if let Err(NodeError::Io { .. }) = done {
        new.leave();
    }
    done
}

/// Exchanges two files, if the second one holds what was seen.
///
/// # Errors
/// [`NodeError::Changed`] if it holds something else; it is left as it is.
pub(crate) fn exchange(new: &Path, path: &Path, expected: Seen) -> Result<(), NodeError> {
    let changed = || NodeError::Changed(path.to_owned());
    let fail = |errno| match errno {
        Errno::NOENT => changed(),
        errno => NodeError::io("replace", path, errno),
    };
    let swap = || renameat_with(CWD, new, CWD, path, RenameFlags::EXCHANGE);
    let mut put = content::seen(new);
    match swap() {
        // A file system without this call: the comparison comes before the change.
        Err(Errno::INVAL | Errno::NOSYS) => {
            if content::seen(path) != expected {
                return Err(changed());
            }
            return fs::rename(new, path).map_err(|error| NodeError::io("replace", path, error));
        }
        swapped => swapped.map_err(fail)?,
    }
    let mut displaced = content::seen(new);
    if displaced == expected {
        return Ok(());
    }
    // The displaced file is put back. If that displaces a newer file, the newer one
    // is put back instead.
    for _ in 0..ATTEMPTS {
        swap().map_err(fail)?;
        let back = content::seen(new);
        if back == put {
            break;
        }
        (put, displaced) = (displaced, back);
    }
    Err(changed())
}

/// Moves a file aside, if it has the expected content. `None` if there is no file.
fn take(path: &Path, expected: Seen) -> Result<Option<PathBuf>, NodeError> {
    // Another process that cleans up leaves a locked file alone.
    let _lock = replace::lock_shared(path);
    let aside = aside(path);
    match fs::rename(path, &aside) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        renamed => renamed.map_err(|error| NodeError::io("rename", path, error))?,
    }
    if content::seen(&aside) == expected {
        return Ok(Some(aside));
    }
    put_back(&aside, path)?;
    Err(NodeError::Changed(path.to_owned()))
}

/// Gives a file that was moved aside its name again, unless a newer one has it.
fn put_back(aside: &Path, path: &Path) -> Result<(), NodeError> {
    match rename_to_free(aside, path) {
        Err(Errno::EXIST) => replace::remove(aside),
        Err(Errno::NOENT) | Ok(()) => Ok(()),
        Err(errno) => Err(NodeError::io("rename back", path, errno)),
    }
}

fn rename_to_free(from: &Path, to: &Path) -> Result<(), Errno> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // A file system without this call.
        Err(Errno::INVAL | Errno::NOSYS) if fs::symlink_metadata(to).is_err() => {
            fs::rename(from, to).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
        }
        Err(Errno::INVAL | Errno::NOSYS) => Err(Errno::EXIST),
        renamed => renamed,
    }
}

/// A name beside the file's that no other process uses.
fn aside(path: &Path) -> PathBuf {
    let random = RandomState::new().hash_one(std::process::id());
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{random:016x}{DISPLACED}"));
    path.with_file_name(name)
}
