//! Drops privileges. A runtime starts the plugin as root with all capabilities. A
//! call needs few at first, and `CAP_NET_ADMIN` alone once it is in the pod's
//! namespace. No file is needed any more then, and so an empty directory becomes
//! the process's root.
//!
//! I/O: changes the calling thread's capabilities and the process's root, in CNI
//! calls only; the command line keeps those of its caller. A failure is logged and
//! stops nothing, since a pod that does not start is worse than a call that could
//! do more than it needs.

use std::io;
use std::os::unix::fs::chroot;
use std::sync::OnceLock;

use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, set_capabilities, set_no_new_privs,
};

/// What a call may need until it has entered the namespace:
/// - `SYS_ADMIN`: setns requires it.
/// - `NET_ADMIN`: netlink requires it.
/// - `SYS_PTRACE`: to open `/proc/PID/ns/net`, as which runtimes may name a
///   namespace, and to tell that of process 1 from the pod's.
/// - `DAC_READ_SEARCH`: to find a pod's volumes in a kubelet's directory that
///   is not root's. Not found, a pod with a sidecar would not be redirected.
///
/// Not `DAC_OVERRIDE`: it would serve only a log in a directory where root
/// itself may not write, and a call without its log is a good call.
const TO_ENTER: CapabilitySet = CapabilitySet::SYS_ADMIN
    .union(CapabilitySet::NET_ADMIN)
    .union(CapabilitySet::SYS_PTRACE)
    .union(CapabilitySet::DAC_READ_SEARCH)
    .union(CapabilitySet::SYS_CHROOT);

/// Empty on every Linux: the kernel keeps it for compatibility only
/// (`proc_tty_init` in `fs/proc/proc_tty.c`), and nobody can create a file in
/// procfs. A directory of the process itself, such as `/proc/self/fdinfo`, would
/// take 30 µs, since the kernel builds it anew for each process.
const EMPTY_ROOT: &str = "/proc/tty/ldisc";

/// What this process had at its start, where it is one CNI call.
static HAD: OnceLock<CapabilitySets> = OnceLock::new();

/// What could not be given up, and why, the first time.
static FAILURE: OnceLock<Kept> = OnceLock::new();

/// What a call could not give up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Kept {
    /// Capabilities.
    #[error("this call has more capabilities than it needs, since dropping them failed")]
    Capabilities(#[source] io::Error),
    /// The node's files.
    #[error("this call can reach more files than it needs, since changing its root failed")]
    Files(#[source] io::Error),
}

/// The start of a CNI call, before it reads anything: drops all capabilities but
/// those to enter a namespace, and sets `no_new_privs`. For the process's first
/// thread, while it is the only one.
#[expect(clippy::disallowed_methods, reason = "this module drops capabilities")]
pub fn begin_call() {
    remember(set_no_new_privs(true), Kept::Capabilities);
    let kept = capabilities(None).and_then(|had| {
        let had = *HAD.get_or_init(|| had);
        // Without SYS_PTRACE, `/proc/PID/ns/net` can be opened only with all the
        // capabilities of that process (`cap_ptrace_access_check`): so they are
        // dropped later.
        let whole = !had.effective.contains(CapabilitySet::SYS_PTRACE);
        keep(had, if whole { had.permitted } else { TO_ENTER })
    });
    remember(kept, Kept::Capabilities);
}

/// Leaves the calling thread `CAP_NET_ADMIN` only, and no file but those that are
/// open. In a CNI call; elsewhere it does nothing.
///
/// The root of a process that has no capability and no open directory is final:
/// `..` ends at it, and chroot needs `CAP_SYS_CHROOT`.
///
/// The kernel checks that capability of the socket's opener and of the sender
/// (`__netlink_ns_capable` in `net/netlink/af_netlink.c`), in the user namespace
/// that owns the network namespace. In the node's user namespace it holds for
/// those of pods, too.
pub(crate) fn keep_net_admin() {
    let Some(had) = HAD.get() else { return };
    if had.effective.contains(CapabilitySet::SYS_CHROOT) {
        remember(leave_files(), Kept::Files);
    }
    remember(keep(*had, CapabilitySet::NET_ADMIN), Kept::Capabilities);
}

/// What this call should have given up and has still.
pub(crate) fn failure() -> Option<&'static Kept> {
    FAILURE.get()
}

fn remember<E: Into<io::Error>>(result: Result<(), E>, kept: fn(io::Error) -> Kept) {
    if let Err(error) = result {
        let _ = FAILURE.set(kept(error.into()));
    }
}

/// Makes an empty directory the process's root.
#[expect(clippy::disallowed_methods, reason = "this module drops privileges")]
fn leave_files() -> io::Result<()> {
    chroot(EMPTY_ROOT)?;
    // The working directory would lead out of it.
    std::env::set_current_dir("/")
}

/// Takes everything but these from the calling thread, of what the process had.
#[expect(clippy::disallowed_methods, reason = "this module drops capabilities")]
fn keep(had: CapabilitySets, these: CapabilitySet) -> rustix::io::Result<()> {
    let kept = CapabilitySets {
        effective: had.effective & these,
        permitted: had.permitted & these,
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, kept)
}
