//! Rights that a call lays down: a runtime starts the plugin as root with all
//! capabilities, and a call needs few of them, and fewer on its way. Once the
//! namespace is entered, only `CAP_NET_ADMIN` is left.
//!
//! A door: changes the calling thread's capabilities, for CNI calls alone; the
//! command line does what its caller may. A failure stops nothing, since a pod
//! that does not start is worse than a call with more rights: it is logged.

use std::io;
use std::sync::OnceLock;

use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, set_capabilities, set_no_new_privs,
};

/// What a call may need until it has entered the namespace:
/// - `SYS_ADMIN`: setns asks for it.
/// - `NET_ADMIN`: netlink asks for it.
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

/// Why rights could not be laid down, the first time.
static FAILURE: OnceLock<io::Error> = OnceLock::new();

/// The start of a CNI call, before it has read anything: lays down all rights
/// but those to enter a namespace, and the right to gain any by running a
/// program. For the process's first thread, while it is the only one.
#[expect(clippy::disallowed_methods, reason = "the door to this process's rights")]
pub fn begin_call() {
    remember(set_no_new_privs(true));
    remember(capabilities(None).and_then(|had| {
        let had = *HAD.get_or_init(|| had);
        // Without SYS_PTRACE, `/proc/PID/ns/net` opens only for who has all
        // that the process there has (`cap_ptrace_access_check`): then not yet.
        let whole = !had.effective.contains(CapabilitySet::SYS_PTRACE);
        keep(had, if whole { had.permitted } else { TO_ENTER })
    }));
}

/// Leaves the calling thread nothing but the right to change a network's
/// rules. In a CNI call alone; elsewhere it does nothing.
///
/// Netlink asks for that right twice, of who opened the socket and of who
/// sends (`__netlink_ns_capable` in `net/netlink/af_netlink.c`), over the user
/// namespace that the network namespace belongs to; whoever has it in the
/// node's has it in a pod's.
pub fn keep_net_admin() {
    if let Some(had) = HAD.get() {
        remember(keep(*had, CapabilitySet::NET_ADMIN));
    }
}

/// Why this call has more rights than it should.
pub fn failure() -> Option<&'static io::Error> {
    FAILURE.get()
}

fn remember(result: rustix::io::Result<()>) {
    if let Err(errno) = result {
        let _ = FAILURE.set(errno.into());
    }
}

/// Takes everything but these from the calling thread, of what the process had.
#[expect(clippy::disallowed_methods, reason = "the door to this thread's rights")]
fn keep(had: CapabilitySets, these: CapabilitySet) -> rustix::io::Result<()> {
    let kept = CapabilitySets {
        effective: had.effective & these,
        permitted: had.permitted & these,
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, kept)
}
