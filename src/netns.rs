//! Network namespaces. Opens the path that the runtime names, and refuses the node's
//! own namespace. The only thread of a CNI call enters and stays inside; all other
//! callers run a closure on a new thread. No thread leaves a namespace that it has
//! entered.
//!
//! I/O: the only module that calls setns.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::thread;

use nix::errno::Errno;
use nix::libc::{O_NOCTTY, O_NONBLOCK};
use nix::sched::{CloneFlags, setns};
use nix::sys::statfs::fstatfs;

/// A namespace's file system (`NSFS_MAGIC` in `include/uapi/linux/magic.h`).
const NSFS_MAGIC: i64 = 0x6e73_6673;

/// Bytes of stack for a thread that opens a socket.
const STACK: usize = 256 * 1024;

/// A network namespace that is not this node's own.
#[derive(Debug)]
pub struct Netns {
    file: File,
    path: PathBuf,
}

/// Why a namespace is not entered.
#[derive(Debug, thiserror::Error)]
pub enum NetnsError {
    /// The path can't be opened.
    #[error("cannot open network namespace {}", path.display())]
    Open {
        /// The path as given.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The path is not a namespace at all.
    #[error("{} is not a namespace", path.display())]
    NotANamespace {
        /// The path as given.
        path: PathBuf,
    },
    /// The path is a namespace, but not of the network.
    #[error("{} is a namespace of another kind than network", path.display())]
    OfAnotherKind {
        /// The path as given.
        path: PathBuf,
    },
    /// The path is the network namespace of this process or of the node.
    #[error("{} is the node's own network namespace", path.display())]
    OurOwn {
        /// The path as given.
        path: PathBuf,
    },
    /// Whether the path is the node's own namespace cannot be found out.
    #[error("cannot find out whether {} is the node's own network namespace: {link}", path.display())]
    Undecided {
        /// The path as given.
        path: PathBuf,
        /// The link that cannot be read.
        link: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// The namespace can't be entered.
    #[error("cannot enter network namespace {}", path.display())]
    Enter {
        /// The path as given.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl Netns {
    /// Opens the namespace at this path.
    ///
    /// # Errors
    /// All but [`NetnsError::Enter`] and [`NetnsError::OfAnotherKind`], which
    /// [`Netns::enter`] returns.
    pub fn open(path: &Path) -> Result<Self, NetnsError> {
        let opened = |source| NetnsError::Open { path: path.to_owned(), source };
        // A terminal or a pipe at this path must not block the call, nor become its
        // controlling terminal.
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(O_NONBLOCK | O_NOCTTY);
        Self::of(options.open(path).map_err(opened)?, path)
    }

    /// The namespace that was opened from this path.
    ///
    /// # Errors
    /// As [`Netns::open`].
    pub(crate) fn of(file: File, path: &Path) -> Result<Self, NetnsError> {
        let opened = |source| NetnsError::Open { path: path.to_owned(), source };
        let file_system = fstatfs(&file).map_err(|errno| opened(errno.into()))?;
        if file_system.filesystem_type().0 as i64 != NSFS_MAGIC {
            return Err(NetnsError::NotANamespace { path: path.to_owned() });
        }
        // What namespaces(7) says these links read; following one would make the
        // kernel build the namespace's file first.
        let metadata = file.metadata().map_err(opened)?;
        let this = PathBuf::from(format!("net:[{}]", metadata.ino()));
        for link in ["/proc/self/ns/net", "/proc/1/ns/net"] {
            match std::fs::read_link(link) {
                Ok(own) if own == this => {
                    return Err(NetnsError::OurOwn { path: path.to_owned() });
                }
                Ok(_) => {}
                Err(error) if link != "/proc/self/ns/net" && is_hidden(&error) => {}
                Err(source) => {
                    return Err(NetnsError::Undecided { path: path.to_owned(), link, source });
                }
            }
        }
        Ok(Netns { file, path: path.to_owned() })
    }

    /// Runs a closure inside the namespace, on a thread of its own that ends
    /// with it. A panic in there goes on here.
    ///
    /// # Errors
    /// As [`Netns::enter`].
    pub fn run<T: Send>(&self, inside: impl FnOnce() -> T + Send) -> Result<T, NetnsError> {
        thread::scope(|scope| {
            let thread = thread::Builder::new().stack_size(STACK);
            let thread = thread.spawn_scoped(scope, || self.enter().map(|()| inside()));
            let enter = |source| NetnsError::Enter { path: self.path.clone(), source };
            let thread = thread.map_err(enter)?;
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Takes the calling thread into the namespace, for good: for a process
    /// that has one thread and ends with one call. A thread for it would cost
    /// a quarter of an ADD.
    ///
    /// # Errors
    /// [`NetnsError::Enter`], or [`NetnsError::OfAnotherKind`].
    #[expect(clippy::disallowed_methods, reason = "the only place that enters a namespace")]
    pub(crate) fn enter(&self) -> Result<(), NetnsError> {
        setns(&self.file, CloneFlags::CLONE_NEWNET).map_err(|errno| match errno {
            // the file is a namespace of another kind
            Errno::EINVAL => NetnsError::OfAnotherKind { path: self.path.clone() },
            _ => NetnsError::Enter { path: self.path.clone(), source: errno.into() },
        })
    }
}

/// Whether pid 1 is hidden from us: without CAP_SYS_PTRACE, or by `hidepid`. Our
/// own namespace is all that we can compare then, and it is the node's wherever
/// the runtime runs in it.
fn is_hidden(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::NotFound)
}
