//! The node's file system, which may be mounted below another directory: a debug
//! container sees it at `/host`.
//!
//! I/O: reads files and directories. Links are followed as the node follows them,
//! inside its own root, and only regular files of limited size are read: what
//! lies there may be a FIFO, a device, or a link to either.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, ErrorKind, Read as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::kubelet::{self, KubeletError, VolumeQuery, Volumes};
use crate::netns::{Netns, NetnsError};
use rustix::fs::{CWD, Dir, Mode, OFlags, ResolveFlags, openat, openat2};

/// Bytes of the largest file that is read.
const FILE_MAX: u64 = 8 << 20;

const READ: OFlags =
    OFlags::CLOEXEC.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::RDONLY);

/// The root of the node's file system, seen from here.
#[derive(Debug, Clone)]
pub(crate) struct HostRoot(PathBuf);

impl HostRoot {
    /// The node's root is mounted at this directory.
    pub(crate) fn new(root: PathBuf) -> Self {
        HostRoot(root)
    }

    fn is_ours(&self) -> bool {
        self.0 == Path::new("/")
    }

    /// The path in this container of a path of the node.
    pub(crate) fn shown(&self, of_node: &Path) -> PathBuf {
        match of_node.strip_prefix("/") {
            Ok(below) if !self.is_ours() => self.0.join(below),
            _ => of_node.to_owned(),
        }
    }

    /// Opens a path of the node for reading.
    pub(crate) fn open(&self, of_node: &Path) -> io::Result<OwnedFd> {
        self.open_with(of_node, READ)
    }

    fn open_with(&self, of_node: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        if self.is_ours() {
            return Ok(openat(CWD, of_node, flags, Mode::empty())?);
        }
        let root = openat(CWD, &self.0, OFlags::PATH | OFlags::DIRECTORY, Mode::empty())?;
        Ok(openat2(root, of_node, flags, Mode::empty(), ResolveFlags::IN_ROOT)?)
    }

    /// Opens a network namespace. That of a process (`/proc/PID/ns/net`) is a
    /// link of the kernel's own, which cannot be followed inside of a root.
    pub(crate) fn open_netns(&self, of_node: &Path) -> io::Result<OwnedFd> {
        let parts: Vec<_> = of_node.iter().filter_map(|part| part.to_str()).collect();
        let of_process = matches!(parts[..], ["/", "proc", _, "ns", "net"]);
        match of_node.parent() {
            Some(directory) if of_process && !self.is_ours() => {
                let directory = self.open_directory(directory)?;
                Ok(openat(directory, "net", READ, Mode::empty())?)
            }
            _ => self.open(of_node),
        }
    }

    /// A network namespace of the node.
    ///
    /// # Errors
    /// As [`Netns::open`].
    pub(crate) fn netns(&self, of_node: &Path) -> Result<Netns, NetnsError> {
        let failed = |source| NetnsError::Open { path: of_node.to_owned(), source };
        Netns::of(File::from(self.open_netns(of_node).map_err(failed)?), of_node)
    }

    /// The volumes of a pod. The kubelet's directory is opened inside of this
    /// root.
    pub(crate) fn volumes(&self, query: &VolumeQuery<'_>) -> Result<Volumes, KubeletError> {
        match self.open_directory(query.kubelet_dir) {
            Ok(directory) => {
                let path = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd()));
                kubelet::volumes(&VolumeQuery { kubelet_dir: &path, ..*query })
            }
            Err(error) => match error.kind() {
                ErrorKind::NotFound | ErrorKind::NotADirectory => Ok(Volumes::NoPodsDirectory),
                _ => Err(KubeletError { path: query.kubelet_dir.to_owned(), source: error }),
            },
        }
    }

    /// Reads a regular file.
    ///
    /// # Errors
    /// It is no regular file, is too large, is not UTF-8, or cannot be read.
    pub(crate) fn read(&self, of_node: &Path) -> io::Result<(String, Option<SystemTime>)> {
        let file = File::from(self.open(of_node)?);
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::other("it is no regular file"));
        }
        let mut text = String::new();
        file.take(FILE_MAX + 1).read_to_string(&mut text)?;
        match text.len() as u64 > FILE_MAX {
            true => Err(io::Error::other(format!("it is larger than {} MiB", FILE_MAX >> 20))),
            false => Ok((text, metadata.modified().ok())),
        }
    }

    /// The names in a directory, sorted by their bytes.
    pub(crate) fn list(&self, of_node: &Path) -> io::Result<Vec<OsString>> {
        let directory = self.open_with(of_node, READ | OFlags::DIRECTORY)?;
        let mut names = Vec::new();
        for entry in Dir::read_from(&directory)? {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name != "." && name != ".." {
                names.push(name.to_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    /// Opens a directory of the node, for looking below it.
    pub(crate) fn open_directory(&self, of_node: &Path) -> io::Result<OwnedFd> {
        self.open_with(of_node, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC)
    }

    /// Whether there is anything at this path of the node.
    pub(crate) fn exists(&self, of_node: &Path) -> bool {
        self.open_with(of_node, OFlags::PATH).is_ok()
    }
}
