//! Waits for changes in the node's directories, and for the signals that end
//! the program.
//!
//! I/O: inotify and a signal descriptor. Changes nothing.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use super::error::NodeError;

/// How often the directories are looked at when the kernel gives no inotify
/// instance, which happens on nodes with many pods.
const BLIND: Duration = Duration::from_secs(1);

/// Why the wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum News {
    /// Something changed, or the time is up.
    Look,
    /// SIGTERM or SIGINT.
    End,
}

/// The descriptors to wait on.
#[derive(Debug)]
pub(crate) struct Watch {
    inotify: Option<Inotify>,
    signals: SignalFd,
}

impl Watch {
    /// Blocks the signals that end the program, for this thread and those it
    /// starts, so it must be made before any other thread.
    ///
    /// # Errors
    /// The kernel gives no signal descriptor.
    pub(crate) fn new() -> Result<Self, NodeError> {
        let fail = |error: nix::Error| NodeError::io("wait for signals in", "/proc/self", error);
        let mut set = SigSet::empty();
        set.add(Signal::SIGTERM);
        set.add(Signal::SIGINT);
        set.thread_block().map_err(fail)?;
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        let signals = SignalFd::with_flags(&set, flags).map_err(fail)?;
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC).ok();
        Ok(Watch { inotify, signals })
    }

    /// Whether the kernel reports changes at once.
    pub(crate) fn has_inotify(&self) -> bool {
        self.inotify.is_some()
    }

    /// Watches a directory; twice is the same as once. One that is not there is
    /// found by the timer.
    pub(crate) fn add(&self, dir: &Path) {
        let flags = AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_MOVE
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_MODIFY
            | AddWatchFlags::IN_ATTRIB
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_MOVE_SELF;
        if let Some(inotify) = &self.inotify {
            let _ = inotify.add_watch(dir, flags);
        }
    }

    /// Waits for news, at most so long.
    pub(crate) fn wait(&self, at_most: Duration) -> News {
        let at_most = if self.has_inotify() { at_most } else { at_most.min(BLIND) };
        let timeout = PollTimeout::try_from(at_most).unwrap_or(PollTimeout::MAX);
        let mut fds = vec![readable(self.signals.as_fd())];
        fds.extend(self.inotify.as_ref().map(|inotify| readable(inotify.as_fd())));
        let _ = poll(&mut fds, timeout);
        // Emptied in any case: the look that follows sees all changes.
        if let Some(inotify) = &self.inotify {
            while inotify.read_events().is_ok() {}
        }
        match self.signals.read_signal() {
            Ok(Some(_)) => News::End,
            _ => News::Look,
        }
    }
}

fn readable(fd: BorrowedFd<'_>) -> PollFd<'_> {
    PollFd::new(fd, PollFlags::POLLIN)
}
