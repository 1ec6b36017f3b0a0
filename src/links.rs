//! The network interfaces that are up in the calling thread's network namespace. A pod
//! that keeps one of them is not being removed.
//!
//! I/O: one netlink socket (`NETLINK_ROUTE`), opened for the answer and closed.

use std::io;

use netlink_sys::{Socket, protocols::NETLINK_ROUTE};
use nix::errno::Errno;
use nix::libc::{
    IFF_LOOPBACK, IFF_UP, IFLA_IFNAME, MSG_TRUNC, NLM_F_DUMP, NLM_F_REQUEST, NLMSG_DONE,
    NLMSG_ERROR, RTM_GETLINK, RTM_NEWLINK,
};

use crate::nft::netlink::{Attributes, Message, Messages, ne_u32};

/// Bytes of `struct ifinfomsg`.
const IFINFOMSG: usize = 16;

/// Where its flags stand.
const FLAGS: usize = 8;

/// No datagram of a dump is longer (`netlink_dump` in `net/netlink`).
const DATAGRAM_MAX: usize = 32 * 1024;

/// An interface that is up in the calling thread's network namespace, but for
/// loopback and `interface`. (The kernel's own fallback tunnels, like `tunl0`, are
/// down.) Reading ends at the first: a pod may have made any number of them.
///
/// # Errors
/// The kernel's.
#[expect(clippy::disallowed_methods, reason = "the I/O boundary to the routing tables")]
pub(crate) fn other_up(interface: &str) -> io::Result<Option<String>> {
    let socket = Socket::new(NETLINK_ROUTE)?;
    let mut request = Vec::new();
    let flags = (NLM_F_REQUEST | NLM_F_DUMP) as u16;
    Message { kind: RTM_GETLINK, flags, sequence: 1, body: &[0; IFINFOMSG] }.write(&mut request);
    socket.send(&request, 0)?;
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        buffer.reserve(DATAGRAM_MAX);
        let (length, sender) = match socket.recv_from(&mut buffer, MSG_TRUNC) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            received => received?,
        };
        // only the kernel's own port is 0
        if sender.port_number() != 0 {
            continue;
        }
        if length > buffer.len() {
            return Err(Errno::EMSGSIZE.into());
        }
        for message in Messages(&buffer) {
            match i32::from(message.kind) {
                // a dump's end has an errno too, in the same place
                NLMSG_ERROR | NLMSG_DONE => {
                    let errno = ne_u32(message.body, 0).unwrap_or_default() as i32;
                    return match errno {
                        0 => Ok(None),
                        errno => Err(io::Error::from_raw_os_error(errno.wrapping_neg())),
                    };
                }
                // an interface came or went, so one may have been left out
                _ if message.interrupted() => return Err(Errno::EINTR.into()),
                _ if message.kind == RTM_NEWLINK => {
                    if let Some(name) = up(&message).filter(|name| *name != interface) {
                        return Ok(Some(name.to_owned()));
                    }
                }
                _ => {}
            }
        }
    }
}

/// The name of an interface that is up and not loopback.
fn up<'a>(message: &Message<'a>) -> Option<&'a str> {
    let flags = ne_u32(message.body, FLAGS)? as i32;
    let counts = flags & IFF_UP != 0 && flags & IFF_LOOPBACK == 0;
    let attributes = Attributes(message.body.get(IFINFOMSG..).filter(|_| counts)?);
    attributes.find(IFLA_IFNAME)?.text()
}
