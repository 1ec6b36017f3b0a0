//! Network namespaces of the tests: named ones that are removed when dropped,
//! and a way to do something inside any of them.

#![expect(clippy::disallowed_methods, reason = "the tests enter namespaces on threads born for it")]

use std::fs::File;
use std::path::{Path, PathBuf};

use nix::sched::{CloneFlags, setns};

use super::host;
use super::rundir::RunDir;

/// A named network namespace, its loopback interface up.
#[derive(Debug)]
pub(crate) struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes a namespace whose name begins with the test's.
    pub(crate) fn new(dir: &RunDir, label: &str) -> Self {
        let name = format!("{}-{label}", dir.name());
        host::run(&["ip", "netns", "add", &name]);
        let netns = Self { name };
        netns.ip("link set lo up");
        netns
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn path(&self) -> PathBuf {
        Path::new("/run/netns").join(&self.name)
    }

    /// Runs `ip` with `arguments`, separated by blanks, inside.
    pub(crate) fn ip(&self, arguments: &str) -> String {
        let words = ["ip", "-n", &self.name].into_iter().chain(arguments.split(' '));
        host::run(&words.collect::<Vec<_>>())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if let Err(error) = host::try_run(&["ip", "netns", "del", &self.name]) {
            eprintln!("clean-up: {error}");
        }
    }
}

/// Does `work` inside the namespace at `path`, on a thread that ends with it.
/// Sockets made there stay in that namespace wherever they are used.
pub(crate) fn inside<T: Send>(path: &Path, work: impl FnOnce() -> T + Send) -> T {
    let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            setns(&file, CloneFlags::CLONE_NEWNET)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            work()
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Runs a program that must succeed in the namespace at `path`. Not `ip netns
/// exec`, which mounts another /sys.
pub(crate) fn run_inside(path: &Path, words: &[&str]) -> String {
    let netns = format!("--net={}", path.display());
    host::run(&[&["nsenter", &netns, "--"][..], words].concat())
}

/// The nftables tables of the namespace at `path`, one a line.
pub(crate) fn tables(path: &Path) -> String {
    run_inside(path, &["nft", "list", "tables"])
}
