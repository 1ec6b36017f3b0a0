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
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::libc::{O_CLOEXEC, O_NOFOLLOW, O_NONBLOCK};

use super::content::{self, Seen};
use super::error::NodeError;

/// The ending of each temporary file's name.
const TEMPORARY: &str = ".osm-cni-tmp";
/// How many temporary names are tried at most.
const ATTEMPTS: u32 = 16;

/// A temporary file, which is removed unless it was put in place.
pub(crate) struct Temporary {
    path: PathBuf,
    is_placed: bool,
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
        let (mut file, _lock, mut temporary) = Self::create(path).map_err(fail)?;
        fill(&mut file).map_err(fail)?;
        // Not by the mode at creation, which the umask cuts.
        file.set_permissions(Permissions::from_mode(mode)).map_err(fail)?;
        file.sync_all().map_err(fail)?;
        temporary._lock = lock_shared(&temporary.path);
        Ok(temporary)
    }

    /// A name that no other process uses: process ids are the same in every
    /// container.
    fn create(path: &Path) -> io::Result<(File, Option<Flock<File>>, Self)> {
        for _ in 0..ATTEMPTS {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let random = RandomState::new().hash_one(std::process::id());
            let path = path.with_file_name(format!(".{name:.64}.{random:016x}{TEMPORARY}"));
            let file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .custom_flags(O_NOFOLLOW | O_CLOEXEC)
                .open(&path);
            let file = match file {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
                file => file?,
            };
            let lock = match Flock::lock(file.try_clone()?, FlockArg::LockSharedNonblock) {
                // Another process takes it for a leftover and removes it.
                Err((_, Errno::EWOULDBLOCK)) => continue,
                // Without one where the file system has no locks.
                lock => lock.ok(),
            };
            if file.metadata()?.nlink() == 0 {
                // Another process took it for a leftover before the lock was there.
                continue;
            }
            return Ok((file, lock, Self { path, is_placed: false, _lock: None }));
        }
        Err(io::Error::other("no free temporary name"))
    }

    /// Its name at present.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the file the owner of another one. Without the capability CHOWN it
    /// stays ours, and runtimes can read it all the same.
    pub(crate) fn give_to_owner_of(&self, path: &Path) {
        if let Ok(old) = fs::metadata(path) {
            let _ = std::os::unix::fs::lchown(&self.path, Some(old.uid()), Some(old.gid()));
        }
    }

    /// Gives the file another temporary name.
    pub(crate) fn rename(&mut self, path: PathBuf) -> io::Result<()> {
        fs::rename(&self.path, &path)?;
        self.path = path;
        Ok(())
    }

    /// Gives the file its final name, whatever has that name.
    pub(crate) fn put(self, path: &Path) -> Result<(), NodeError> {
        fs::rename(&self.path, path).map_err(|error| NodeError::io("replace", path, error))?;
        self.leave();
        Ok(())
    }

    /// The file under the temporary name stays, if there still is one.
    pub(crate) fn leave(mut self) {
        self.is_placed = true;
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.is_placed {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Gives a file a second name, so that its bytes, owner, mode and times can
/// come back; where the file system has no second names, a copy.
///
/// # Errors
/// [`NodeError::Changed`] if the file holds something else than what was seen.
pub(crate) fn keep(path: &Path, copy: &Path, expected: Seen) -> Result<(), NodeError> {
    let id = |path: &Path| fs::symlink_metadata(path).ok().map(|meta| (meta.dev(), meta.ino()));
    if id(path).is_some() && id(path) == id(copy) {
        return Ok(());
    }
    // Until the second name is a final one, it looks like a leftover.
    let _lock = lock_shared(path);
    let second = Temporary::make(copy, 0o600, |_| Ok(()))?;
    // The name must be free for a link.
    let _ = fs::remove_file(second.path());
    if fs::hard_link(path, second.path()).is_ok() {
        let link = second.path().to_owned();
        if content::seen(&link) != expected {
            return Err(NodeError::Changed(path.to_owned()));
        }
        second.put(copy)?;
        // A rename to another name of the same file leaves both.
        return remove(&link);
    }
    let fail = |error: io::Error| match error.kind() {
        ErrorKind::NotFound => NodeError::Changed(path.to_owned()),
        _ => NodeError::io("keep the original of", path, error),
    };
    let bytes = fs::read(path).map_err(fail)?;
    if Seen::of(&bytes) != expected {
        return Err(NodeError::Changed(path.to_owned()));
    }
    let mode = fs::metadata(path).map_err(fail)?.permissions().mode() & 0o777;
    Temporary::make(copy, mode, |file| io::Write::write_all(file, &bytes))?.put(copy)
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

/// Removes temporary files that a killed process has left.
pub(crate) fn sweep(dir: &Path) -> Result<(), NodeError> {
    for path in left_over(dir, TEMPORARY)? {
        if let Some(_lock) = lock_unused(&path) {
            remove(&path)?;
        }
    }
    Ok(())
}

/// The hidden files of a directory with this ending.
pub(crate) fn left_over(dir: &Path, ending: &str) -> Result<Vec<PathBuf>, NodeError> {
    let fail = |error| NodeError::io("read the directory", dir, error);
    let mut paths = Vec::new();
    for item in fs::read_dir(dir).map_err(fail)? {
        let item = item.map_err(fail)?;
        let name = item.file_name();
        let name = name.as_bytes();
        if name.starts_with(b".") && name.ends_with(ending.as_bytes()) {
            paths.push(item.path());
        }
    }
    Ok(paths)
}

/// An exclusive lock on a file that a killed process has left, where the file
/// has locks at all. `None` if a process is at work on it, or it is gone.
pub(crate) fn lock_unused(path: &Path) -> Option<Option<Flock<File>>> {
    let file = match open_to_lock(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        Err(_) => return Some(None),
        Ok(file) => file,
    };
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Err((_, Errno::EWOULDBLOCK)) => None,
        lock => Some(lock.ok()),
    }
}

/// A shared lock on a file, for as long as it is in use.
pub(crate) fn lock_shared(path: &Path) -> Option<Flock<File>> {
    open_to_lock(path).ok().and_then(|file| Flock::lock(file, FlockArg::LockShared).ok())
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn a_file_that_changed_is_not_kept_in_place_of_its_original() {
        let dir = tempfile::tempdir().expect("a directory");
        let (path, copy) = (dir.path().join("a"), dir.path().join("a.osm-cni-orig"));
        fs::write(&path, "new").expect("written");
        fs::write(&copy, "original").expect("written");
        let kept = keep(&path, &copy, Seen::of(b"original"));
        assert!(matches!(kept, Err(NodeError::Changed(_))), "{kept:?}");
        assert_eq!(fs::read_to_string(&copy).expect("there"), "original");
        keep(&path, &copy, Seen::of(b"new")).expect("kept");
        assert_eq!(fs::read_to_string(&copy).expect("there"), "new");
        assert_eq!(fs::read_dir(dir.path()).expect("the directory").count(), 2);
    }

    #[test]
    fn who_cleans_up_takes_no_file_that_is_being_made() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a");
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let clean = || {
                while !is_over.load(Ordering::Relaxed) {
                    sweep(dir.path()).expect("swept");
                }
            };
            (0..4).for_each(|_| drop(scope.spawn(clean)));
            let (agents, copy) = (dir.path().join("b"), dir.path().join("b.osm-cni-orig"));
            let round = |_| {
                Temporary::make(&path, 0o600, |_| Ok(()))?.put(&path)?;
                fs::write(&agents, "x").map_err(|error| NodeError::io("write", &agents, error))?;
                keep(&agents, &copy, Seen::of(b"x"))?;
                remove(&agents)
            };
            let made: Result<Vec<()>, NodeError> = (0..500).map(round).collect();
            is_over.store(true, Ordering::Relaxed);
            made.expect("each is put in place");
        });
    }
}
