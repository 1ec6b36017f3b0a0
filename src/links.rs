//! I/O: which network interfaces are up where the calling thread is.

use std::collections::BTreeSet;

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;

/// The interfaces that are up in the calling thread's network namespace, but for
/// loopback. (The kernel's own fallback tunnels, like `tunl0`, are down.)
///
/// # Errors
/// The kernel's.
pub(crate) fn up() -> nix::Result<BTreeSet<String>> {
    let up = getifaddrs()?.filter(|entry| {
        entry.flags.contains(InterfaceFlags::IFF_UP)
            && !entry.flags.contains(InterfaceFlags::IFF_LOOPBACK)
    });
    Ok(up.map(|entry| entry.interface_name).collect())
}
