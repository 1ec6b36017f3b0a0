//! Drops capabilities. A runtime starts the plugin as root with all of them. A
//! call needs four at first, and `CAP_NET_ADMIN` alone once it is in the pod's
//! namespace.
//!
//! I/O: changes the calling thread's capabilities, in CNI calls only; the command
//! line keeps those of its caller. A failure is logged and stops nothing, since a
//! pod that does not start is worse than a call with more capabilities.

use std::io;
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
    .union(CapabilitySet::DAC_READ_SEARCH);

/// What this process had at its start, where it is one CNI call.
static HAD: OnceLock<CapabilitySets> = OnceLock::new();

/// Why capabilities could not be dropped, the first time.
static FAILURE: OnceLock<io::Error> = OnceLock::new();

/// The start of a CNI call, before it reads anything: drops all capabilities but
/// those to enter a namespace, and sets `no_new_privs`. For the process's first
/// thread, while it is the only one.
#[expect(clippy::disallowed_methods, reason = "this module drops capabilities")]
pub fn begin_call() {
    remember(set_no_new_privs(true));
    remember(capabilities(None).and_then(|had| {
        let had = *HAD.get_or_init(|| had);
        // Without SYS_PTRACE, `/proc/PID/ns/net` can be opened only with all the
        // capabilities of that process (`cap_ptrace_access_check`): so they are
        // dropped later.
        let whole = !had.effective.contains(CapabilitySet::SYS_PTRACE);
        keep(had, if whole { had.permitted } else { TO_ENTER })
    }));
}

/// Leaves the calling thread `CAP_NET_ADMIN` only. In a CNI call; elsewhere it does
/// nothing.
///
/// The kernel checks that capability of the socket's opener and of the sender
/// (`__netlink_ns_capable` in `net/netlink/af_netlink.c`), in the user namespace
/// that owns the network namespace. In the node's user namespace it holds for
/// those of pods, too.
pub fn keep_net_admin() {
    if let Some(had) = HAD.get() {
        remember(keep(*had, CapabilitySet::NET_ADMIN));
    }
}

/// Why this call has more capabilities than it should.
pub fn failure() -> Option<&'static io::Error> {
    FAILURE.get()
}

fn remember(result: rustix::io::Result<()>) {
    if let Err(errno) = result {
        let _ = FAILURE.set(errno.into());
    }
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
