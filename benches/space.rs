//! Network namespaces, many at once. Makes and removes namespaces.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::support::netns::TestNetns;

/// The kernel takes a namespace apart after `ip` has ended, and shows nothing of
/// it. What is measured next should not meet that work.
const SETTLE: Duration = Duration::from_millis(150);

/// Network namespaces that are removed together.
pub(crate) struct Spaces(Vec<TestNetns>);

impl Spaces {
    /// Makes this many.
    pub(crate) fn new(count: usize) -> Self {
        let spaces = Spaces((0..count).map(|_| TestNetns::new()).collect());
        thread::sleep(SETTLE);
        spaces
    }

    /// Where the n-th is mounted.
    pub(crate) fn path(&self, index: usize) -> PathBuf {
        self.0[index].path()
    }

    /// Where each is mounted.
    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        self.0.iter().map(TestNetns::path).collect()
    }

    /// Makes every address of a test network the namespace's own.
    pub(crate) fn answer_for(&self, network: &str) {
        for netns in &self.0 {
            netns.ip(&format!("route add local {network} dev lo"));
        }
    }
}

impl Drop for Spaces {
    fn drop(&mut self) {
        self.0.clear();
        thread::sleep(SETTLE);
    }
}

/// Runs a program that must succeed, with this standard input.
pub(crate) fn succeed(command: &mut Command, input: &str) -> io::Result<()> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
    child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?.write_all(input.as_bytes())?;
    let status = child.wait()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("{command:?}: {status}"))) }
}
