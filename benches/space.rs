//! Fresh network namespaces, many at once. Makes and removes namespaces by the
//! name `osmb-PID-N`.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

/// The kernel takes a namespace apart after `ip` has ended. What is measured
/// next should not meet that work.
const SETTLE: Duration = Duration::from_millis(150);

/// Network namespaces that are removed together.
pub(crate) struct Spaces {
    names: Vec<String>,
}

impl Spaces {
    /// Makes so many.
    pub(crate) fn new(count: usize) -> io::Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = |_| {
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            format!("osmb-{}-{number}", std::process::id())
        };
        let spaces = Spaces { names: (0..count).map(name).collect() };
        ip(spaces.names.iter().map(|name| format!("netns add {name}")))?;
        thread::sleep(SETTLE);
        Ok(spaces)
    }

    /// Where the n-th is mounted.
    pub(crate) fn path(&self, index: usize) -> PathBuf {
        Path::new("/run/netns").join(&self.names[index])
    }

    /// Where each is mounted.
    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        (0..self.names.len()).map(|index| self.path(index)).collect()
    }

    /// Makes every address of a test network the namespace's own.
    pub(crate) fn answer_for(&self, network: &str) -> io::Result<()> {
        for name in &self.names {
            ip([
                format!("-n {name} link set lo up"),
                format!("-n {name} route add local {network} dev lo"),
            ])?;
        }
        Ok(())
    }
}

impl Drop for Spaces {
    fn drop(&mut self) {
        let _ = ip(self.names.iter().map(|name| format!("netns del {name}")));
        thread::sleep(SETTLE);
    }
}

/// Runs ip's commands; those for one namespace as calls of their own, since a
/// batch cannot change it.
fn ip(commands: impl IntoIterator<Item = String>) -> io::Result<()> {
    let mut batch = String::new();
    for command in commands {
        if command.starts_with("-n ") {
            succeed(Command::new("ip").args(command.split(' ')), "")?;
        } else {
            batch.push_str(&command);
            batch.push('\n');
        }
    }
    if batch.is_empty() {
        Ok(())
    } else {
        succeed(Command::new("ip").args(["-batch", "-"]), &batch)
    }
}

/// Runs a program that must succeed, with this standard input.
pub(crate) fn succeed(command: &mut Command, input: &str) -> io::Result<()> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
    child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?.write_all(input.as_bytes())?;
    let status = child.wait()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("{command:?}: {status}"))) }
}
