//! Listeners that tell a caller where its connection arrived and where it was
//! meant to go, and callers that ask them.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use nix::sys::socket::{getsockopt, sockopt::OriginalDst};
use nix::unistd::{Uid, setfsuid};

use crate::host::failed;
use crate::support::netns::TestNetns;

/// Threads that accept until the process ends.
pub struct Listeners;

/// What a caller learned.
pub enum Caller {
    /// Somebody answered.
    Answered {
        /// The address accepted at.
        at: SocketAddr,
        /// The destination before any translation.
        original: SocketAddr,
    },
    /// Nobody did.
    Refused(String),
}

/// A connection that takes longer than this is lost.
const PATIENCE: Duration = Duration::from_secs(5);

impl Listeners {
    /// Listens on all IPv4 addresses of a namespace.
    pub fn start(netns: &TestNetns, ports: &[u16]) -> Result<Self, String> {
        for port in ports {
            let at = SocketAddr::from((Ipv4Addr::UNSPECIFIED, *port));
            let listener =
                netns.inside(|| TcpListener::bind(at)).map_err(failed("cannot listen"))?;
            thread::spawn(move || serve(&listener));
        }
        Ok(Listeners)
    }
}

fn serve(listener: &TcpListener) {
    for caller in listener.incoming().flatten() {
        // A caller that is gone again misses nothing.
        let _ = answer(caller);
    }
}

fn answer(mut caller: TcpStream) -> std::io::Result<()> {
    let at = caller.local_addr()?;
    // Where no rule looks at connections the kernel tracks none.
    let original = getsockopt(&caller, OriginalDst).map_or(at, |found| {
        let address = Ipv4Addr::from(u32::from_be(found.sin_addr.s_addr));
        SocketAddrV4::new(address, u16::from_be(found.sin_port)).into()
    });
    caller.write_all(format!("{at} {original}").as_bytes())
}

/// Connects from a namespace, as this uid.
pub fn connect(netns: &TestNetns, uid: u32, to: SocketAddr) -> Result<Caller, String> {
    // The kernel takes a socket's uid from the fsuid of the thread that makes
    // it; this thread ends with the connection.
    let stream = netns.inside(|| {
        setfsuid(Uid::from_raw(uid));
        TcpStream::connect_timeout(&to, PATIENCE)
    });
    let mut stream = match stream {
        Ok(stream) => stream,
        Err(error) => return Ok(Caller::Refused(error.to_string())),
    };
    stream.set_read_timeout(Some(PATIENCE)).map_err(failed("a time limit"))?;
    let mut text = String::new();
    stream.read_to_string(&mut text).map_err(failed("no answer"))?;
    let (at, original) = text.split_once(' ').ok_or("an answer without two addresses")?;
    let address = |text: &str| text.parse().map_err(failed("an address"));
    Ok(Caller::Answered { at: address(at)?, original: address(original)? })
}
