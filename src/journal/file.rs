//! The log file: opened, made and rotated. Its path is a setting, so whoever
//! may write the settings chooses it; therefore only a file that is a log of
//! ours already, or is made now, is ever written.
//!
//! I/O: makes and renames the log file.

use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
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
    /// It may be something else than a log of ours.
    #[error("{} {problem}", path.display())]
    NotOurs {
        /// The path as given.
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
    let file = open_or_make(path).map_err(failed)?;
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

/// Whoever could make a link on the way would choose the file.
fn open_or_make(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDWR
        | OFlags::APPEND
        | OFlags::CREATE
        | OFlags::NONBLOCK
        | OFlags::NOCTTY
        | OFlags::CLOEXEC;
    let open = || {
        openat2(CWD, path, flags, Mode::RUSR | Mode::WUSR, ResolveFlags::NO_SYMLINKS)
            .map(File::from)
    };
    Ok(match (open(), path.parent()) {
        (Err(Errno::NOENT), Some(directory)) => {
            use std::os::unix::fs::DirBuilderExt as _;
            std::fs::DirBuilder::new().recursive(true).mode(0o755).create(directory)?;
            open()?
        }
        (opened, _) => opened?,
    })
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
    use super::is_line_of_ours;

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
}
