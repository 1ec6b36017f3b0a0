//! The log file: opened, made and rotated. Its path is a setting, so whoever
//! may write the settings chooses it; therefore only a file that is a log of
//! ours already, or is made now, is ever written.
//!
//! I/O: makes and renames the log file.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, mkdirat, openat, openat2, statat,
};
use rustix::io::Errno;

/// A log file of this size (in bytes) becomes `FILE.1` at the next call.
pub const ROTATE_AT: u64 = 10 << 20;

/// Why a log file is not used.
#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    /// It cannot be opened or made.
    #[error("cannot open {}", path.display())]
    Open {
        /// The path as given.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A directory on its way cannot be opened or made.
    #[error("cannot make directory {}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It may be something else than a log of ours.
    #[error("{} {problem}", path.display())]
    NotOurs {
        /// The path as given, or the part of it that is at fault.
        path: PathBuf,
        /// What it is.
        problem: &'static str,
    },
}

/// Opens the file for appending; makes it and its directory, and puts a file
/// that has grown too large out of the way.
pub(super) fn open(path: &Path) -> Result<File, FileError> {
    let file = open_checked(path)?;
    if file.metadata().map_or(0, |metadata| metadata.len()) < ROTATE_AT {
        return Ok(file);
    }
    rotate(path, file);
    open_checked(path)
}

fn open_checked(path: &Path) -> Result<File, FileError> {
    let failed = |source| FileError::Open { path: path.to_owned(), source };
    let file = open_or_make(path)?;
    let metadata = file.metadata().map_err(failed)?;
    let problem = problem(&file, &metadata).map_err(failed)?;
    if let Some(problem) = problem {
        return Err(FileError::NotOurs { path: path.to_owned(), problem });
    }
    if metadata.mode() & 0o7777 != 0o600 {
        file.set_permissions(PermissionsExt::from_mode(0o600)).map_err(failed)?;
    }
    Ok(file)
}

/// Whoever could make a link on the way would choose the file, and so no link
/// is followed.
fn open_or_make(path: &Path) -> Result<File, FileError> {
    let flags = OFlags::RDWR
        | OFlags::APPEND
        | OFlags::CREATE
        | OFlags::NONBLOCK
        | OFlags::NOCTTY
        | OFlags::CLOEXEC;
    let open = || openat2(CWD, path, flags, Mode::RUSR | Mode::WUSR, ResolveFlags::NO_SYMLINKS);
    let opened = match (open(), path.parent()) {
        // With a link on the way nothing is missing before it, and it is named.
        (Err(Errno::NOENT | Errno::LOOP), Some(directory)) => {
            make_directory(directory)?;
            open()
        }
        (opened, _) => opened,
    };
    opened.map(File::from).map_err(|errno| match errno {
        Errno::LOOP => FileError::NotOurs { path: path.to_owned(), problem: A_LINK },
        _ => FileError::Open { path: path.to_owned(), source: errno.into() },
    })
}

/// What is wrong with a symbolic link.
const A_LINK: &str = "is a symbolic link";

/// Makes the directories that are missing, each below the one that was opened
/// before: a path could be led elsewhere by a link that is planted meanwhile.
fn make_directory(directory: &Path) -> Result<(), FileError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let open = |of: BorrowedFd<'_>, name: &OsStr| openat(of, name, flags, Mode::empty());
    let mut path = PathBuf::new();
    let mut parent: Option<OwnedFd> = None;
    for component in directory.components() {
        path.push(component);
        let of = parent.as_ref().map_or(CWD, AsFd::as_fd);
        let name = component.as_os_str();
        let opened = match (open(of, name), component) {
            (Err(Errno::NOENT), Component::Normal(_)) => {
                match mkdirat(of, name, Mode::from_raw_mode(0o755)) {
                    // Perhaps another call was faster.
                    Ok(()) | Err(Errno::EXIST) => open(of, name),
                    Err(errno) => Err(errno),
                }
            }
            (opened, _) => opened,
        };
        let failed = |errno: Errno| match statat(of, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) if FileType::from_raw_mode(found.st_mode) == FileType::Symlink => {
                FileError::NotOurs { path: path.clone(), problem: A_LINK }
            }
            _ => FileError::Directory { path: path.clone(), source: errno.into() },
        };
        parent = Some(opened.map_err(failed)?);
    }
    Ok(())
}

/// What shows that this is something else than a log of ours.
fn problem(file: &File, metadata: &Metadata) -> io::Result<Option<&'static str>> {
    if !metadata.is_file() {
        return Ok(Some("is no file"));
    }
    if metadata.uid() != 0 {
        return Ok(Some("is not root's"));
    }
    if metadata.nlink() != 1 {
        return Ok(Some("has several names (hard links)"));
    }
    let mut start = [0; 64];
    let read = file.read_at(&mut start, 0)?;
    Ok((read > 0 && !is_line_of_ours(&start[..read])).then_some("is not a log of osm-cni"))
}

/// Whether a log of ours begins like this: `2026-01-02T03:04:05Z [INFO] `, or
/// the same as JSON.
fn is_line_of_ours(start: &[u8]) -> bool {
    let start = start.strip_prefix(b"{\"time\":\"".as_slice()).unwrap_or(start);
    let form = b"0000-00-00T00:00:00";
    start.len() > form.len()
        && start.iter().zip(form).all(|(byte, form)| match form {
            b'0' => byte.is_ascii_digit(),
            other => byte == other,
        })
}

/// Renames the file to `FILE.1`, unless another call has done so already.
fn rotate(path: &Path, file: File) {
    let Ok(file) = Flock::lock(file, FlockArg::LockExclusiveNonblock) else { return };
    let inode = |metadata: io::Result<Metadata>| metadata.ok().map(|it| (it.dev(), it.ino()));
    if inode(file.metadata()) == inode(path.symlink_metadata()) {
        let mut old = OsString::from(path);
        old.push(".1");
        #[expect(clippy::disallowed_methods, reason = "the log rotates itself")]
        let _ = std::fs::rename(path, old);
    }
}

#[cfg(test)]
mod tests {
    use super::{File, FileError, is_line_of_ours, make_directory};

    #[test]
    fn a_log_of_ours_is_recognised_by_its_first_line() {
        for ours in [
            "2026-01-02T03:04:05Z [INFO] verb=ADD",
            "2026-01-02T03:04:05.123Z [WARN] unknown field x is ignored",
            "{\"time\":\"2026-01-02T03:04:05Z\",\"level\":\"info\"}",
        ] {
            assert!(is_line_of_ours(ours.as_bytes()), "{ours}");
        }
        for other in ["root:x:0:0:root:/root:/bin/bash", "2026-01-02", "{\"time\":5}", "\u{7f}ELF"]
        {
            assert!(!is_line_of_ours(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn directories_are_made_and_none_below_a_link() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = |name: &str| dir.path().join(name);
        for made in ["a/b/c", "a/b/c", "a/./d", "a/../e"] {
            make_directory(&path(made)).expect(made);
            assert!(path(made).is_dir(), "{made}");
        }
        std::os::unix::fs::symlink("a", path("link")).expect("linked");
        for (refused, named) in [("link/x", "link"), ("e/../link", "link")] {
            let error = make_directory(&path(refused)).expect_err(refused);
            assert!(matches!(error, FileError::NotOurs { .. }), "{error:?}");
            assert!(error.to_string().ends_with(&format!("{named} is a symbolic link")), "{error}");
        }
        assert!(!path("a/x").exists());
        File::create(path("file")).expect("written");
        let error = make_directory(&path("file/x")).expect_err("no directory");
        assert!(matches!(error, FileError::Directory { .. }), "{error:?}");
    }
}
