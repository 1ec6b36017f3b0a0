//! Replaces files so that a reader, a crash or a second installer at any
//! instant finds the old file or the new one.
//!
//! I/O: writes temporary files, and renames them over the file in the same
//! directory: runtimes do not notice a rename from another one. A temporary
//! name has an ending that no runtime reads.
#![expect(clippy::disallowed_methods, reason = "the module that replaces the node's files")]

use std::fs::{self, File, OpenOptions, Permissions};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::libc::{O_CLOEXEC, O_NOFOLLOW, O_NONBLOCK};

use super::error::NodeError;

/// The ending of each temporary file's name.
const TEMPORARY: &str = ".osm-cni-tmp";
/// So many names are tried before the directory is given up.
const ATTEMPTS: u32 = 16;

/// A temporary file, which is removed unless it was put in place.
pub(crate) struct Temporary {
    path: Option<PathBuf>,
    /// A shared lock tells others that this file is in use. It is held on a
    /// descriptor that cannot write: a program that is open for writing cannot
    /// be executed.
    _lock: Option<Flock<File>>,
}

impl Temporary {
    /// Writes a new file beside `path`, which is brought to disk.
    pub(crate) fn make(
        path: &Path,
        mode: u32,
        fill: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> Result<Self, NodeError> {
        let fail = |error| NodeError::io("write", path, error);
        let (file, mut temporary) = Self::create(path).map_err(fail)?;
        let mut file = file;
        fill(&mut file).map_err(fail)?;
        // Not by the mode at creation, which the umask cuts.
        file.set_permissions(Permissions::from_mode(mode)).map_err(fail)?;
        file.sync_all().map_err(fail)?;
        let again = temporary.path.as_deref().map(open_to_lock).transpose().map_err(fail)?;
        temporary._lock = again.and_then(|file| Flock::lock(file, FlockArg::LockShared).ok());
        Ok(temporary)
    }

    /// A name that no other process uses: process ids are the same in every
    /// container.
    fn create(path: &Path) -> io::Result<(Flockable, Self)> {
        for _ in 0..ATTEMPTS {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let random = RandomState::new().hash_one(std::process::id());
            let temporary = path.with_file_name(format!(".{name:.64}.{random:016x}{TEMPORARY}"));
            let file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .custom_flags(O_NOFOLLOW | O_CLOEXEC)
                .open(&temporary);
            match file {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
                Ok(file) => match Flock::lock(file, FlockArg::LockSharedNonblock) {
                    Ok(lock) => {
                        let made = Self { path: Some(temporary), _lock: None };
                        return Ok((Flockable::Locked(lock), made));
                    }
                    // Another process takes it for a leftover and removes it.
                    Err((_, Errno::EWOULDBLOCK)) => {}
                    // A file system without locks.
                    Err((file, _)) => {
                        let made = Self { path: Some(temporary), _lock: None };
                        return Ok((Flockable::Plain(file), made));
                    }
                },
            }
        }
        Err(io::Error::other("no free temporary name"))
    }

    /// Gives the file the owner of another one. Without the capability CHOWN it
    /// stays ours, and runtimes can read it all the same.
    pub(crate) fn give_to_owner_of(&self, path: &Path) {
        use std::os::unix::fs::MetadataExt;
        if let (Some(temporary), Ok(old)) = (&self.path, fs::metadata(path)) {
            let _ = std::os::unix::fs::lchown(temporary, Some(old.uid()), Some(old.gid()));
        }
    }

    /// Gives the file its final name.
    pub(crate) fn put(mut self, path: &Path) -> Result<(), NodeError> {
        if let Some(temporary) = &self.path {
            fs::rename(temporary, path).map_err(|error| NodeError::io("replace", path, error))?;
        }
        self.path = None;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            let _ = fs::remove_file(path);
        }
    }
}

/// A file with a lock, where the file system has locks.
enum Flockable {
    Locked(Flock<File>),
    Plain(File),
}

impl std::ops::Deref for Flockable {
    type Target = File;

    fn deref(&self) -> &File {
        match self {
            Flockable::Locked(lock) => lock,
            Flockable::Plain(file) => file,
        }
    }
}

impl std::ops::DerefMut for Flockable {
    fn deref_mut(&mut self) -> &mut File {
        match self {
            Flockable::Locked(lock) => lock,
            Flockable::Plain(file) => file,
        }
    }
}

/// Gives a file a second name, so that its bytes, owner, mode and times can
/// come back; where the file system has no second names, a copy.
pub(crate) fn keep(path: &Path, copy: &Path) -> Result<(), NodeError> {
    use std::os::unix::fs::MetadataExt;
    let id = |path: &Path| fs::symlink_metadata(path).ok().map(|meta| (meta.dev(), meta.ino()));
    if id(path).is_some() && id(path) == id(copy) {
        return Ok(());
    }
    let second = Temporary::make(copy, 0o600, |_| Ok(()))?;
    if let Some(temporary) = &second.path {
        // The name must be free for a link.
        let _ = fs::remove_file(temporary);
        if fs::hard_link(path, temporary).is_ok() {
            return second.put(copy);
        }
    }
    let fail = |error| NodeError::io("keep the original of", path, error);
    let bytes = fs::read(path).map_err(fail)?;
    let mode = fs::metadata(path).map_err(fail)?.permissions().mode() & 0o777;
    Temporary::make(copy, mode, |file| io::Write::write_all(file, &bytes))?.put(copy)
}

pub(crate) fn rename(from: &Path, to: &Path) -> Result<(), NodeError> {
    fs::rename(from, to).map_err(|error| NodeError::io("rename", from, error))
}

/// Removes a file that may be gone already.
pub(crate) fn remove(path: &Path) -> Result<(), NodeError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(NodeError::io("remove", path, error))
        }
        _ => Ok(()),
    }
}

/// Removes temporary files that a killed process has left. Those of a process
/// that is at work are locked.
pub(crate) fn sweep(dir: &Path) -> Result<(), NodeError> {
    let fail = |error| NodeError::io("read the directory", dir, error);
    for item in fs::read_dir(dir).map_err(fail)? {
        let item = item.map_err(fail)?;
        let name = item.file_name();
        let name = name.to_string_lossy();
        if !name.starts_with('.') || !name.ends_with(TEMPORARY) {
            continue;
        }
        let lock = match open_to_lock(&item.path()) {
            Ok(file) => match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Err((_, Errno::EWOULDBLOCK)) => continue,
                lock => lock.ok(),
            },
            Err(_) => None,
        };
        remove(&item.path())?;
        drop(lock);
    }
    Ok(())
}

fn open_to_lock(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC).open(path)
}

/// Brings a directory's names to disk.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), NodeError> {
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(|error| NodeError::io("sync the directory", dir, error))
}
