//! Work in a network namespace of whoever made it, by its path. I/O: enters
//! namespaces on threads of their own, runs programs there.

use std::fs::File;
use std::path::Path;

use nix::sched::{CloneFlags, setns};

use super::host;

/// Does `work` inside the namespace at `path`, on a thread that ends with it.
/// Sockets made there stay in that namespace wherever they are used.
#[expect(clippy::disallowed_methods, reason = "the thread exists for nothing else")]
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
