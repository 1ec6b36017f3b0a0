//! A pod and everything around it: two namespaces joined by two links, one of
//! them the pod's, the other a world that has every other address. Listeners
//! stand on [`PORTS`] of the pod; the world answers on every port.

use std::fmt;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockProtocol, SockType, SockaddrStorage, bind, setsockopt, socket,
    sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};
use nix::unistd::{Uid, setfsuid};

use super::listen::Listeners;
use crate::support::netns::TestNetns;

/// The ports of the pod that somebody listens on: the proxy's, the
/// application's, and the neighbours of round numbers.
pub(super) const PORTS: [u16; 46] = [
    1, 22, 80, 81, 443, 1023, 1024, 1025, 3306, 5000, 5001, 6379, 6380, 7070, 7999, 8000, 8001,
    8003, 8004, 8007, 8008, 8010, 8011, 8015, 8016, 8080, 9090, 14999, 15000, 15001, 15003, 15010,
    15101, 15103, 15901, 15902, 15903, 15904, 15905, 30000, 32767, 32768, 49151, 61000, 65534,
    65535,
];

/// The port that the world's rules lead every connection to.
const WORLD_PORT: u16 = 9;

/// How long a connection may take before the test is broken. Nothing is
/// measured by it.
const TIMEOUT: Duration = Duration::from_secs(20);

/// The pod's addresses: eth0's, which `prevResult` names, then net1's.
pub(super) const POD_IPV4: [Ipv4Addr; 2] =
    [Ipv4Addr::new(10, 77, 0, 2), Ipv4Addr::new(10, 78, 0, 2)];
/// A second address of eth0, which `prevResult` does not name.
pub(super) const SECONDARY: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 3);
/// The same for IPv6.
pub(super) const POD_IPV6: [Ipv6Addr; 2] =
    [Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 2), Ipv6Addr::new(0xfd78, 0, 0, 0, 0, 0, 0, 2)];
/// The pod's interfaces.
pub(super) const INTERFACES: [&str; 2] = ["eth0", "net1"];

/// One connection to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Connection {
    pub(super) from: From,
    pub(super) to: SocketAddr,
}

/// Who makes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum From {
    /// The world.
    Outside,
    /// A process of the pod with this uid.
    Uid(u32),
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// Accepted in the pod.
    Pod {
        /// The address accepted at.
        at: SocketAddr,
        /// The destination before any translation.
        original: SocketAddr,
    },
    /// Accepted in the world.
    World {
        /// The destination as it left the pod.
        original: SocketAddr,
    },
    /// Refused.
    Reset,
}

impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.from {
            From::Outside => write!(f, "from outside to {}", self.to),
            From::Uid(uid) => write!(f, "from uid {uid} to {}", self.to),
        }
    }
}

/// The pod with its world.
pub(super) struct Pod {
    // In the order of their end: listeners before their namespaces.
    _listeners: [Listeners; 2],
    netns: TestNetns,
    world: TestNetns,
    last_source: AtomicU16,
}

impl Pod {
    pub(super) fn new() -> Self {
        let netns = TestNetns::new().without_duplicate_address_detection();
        let world = TestNetns::new().without_duplicate_address_detection();
        let peer = world.name();
        let links = format!(
            "link add eth0 type veth peer name pod0 netns {peer}\n\
             link add net1 type veth peer name pod1 netns {peer}\n\
             addr add 10.77.0.2/24 dev eth0\naddr add 10.77.0.3/24 dev eth0\n\
             addr add fd77::2/64 dev eth0 nodad\n\
             addr add 10.78.0.2/24 dev net1\naddr add fd78::2/64 dev net1 nodad\n\
             link set eth0 up\nlink set net1 up\n"
        );
        netns.run(&["ip", "-batch", "-"], &links);
        let links = "addr add 10.77.0.1/24 dev pod0\naddr add fd77::1/64 dev pod0 nodad\n\
             addr add 10.78.0.1/24 dev pod1\naddr add fd78::1/64 dev pod1 nodad\n\
             link set pod0 up\nlink set pod1 up\n";
        world.run(&["ip", "-batch", "-"], links);
        let routes = "route add default via 10.77.0.1\nroute add 100.64.0.0/10 via 10.78.0.1\n";
        netns.run(&["ip", "-batch", "-"], routes);
        let routes = "route add default via fd77::1\nroute add fd64::/16 via fd78::1\n";
        netns.run(&["ip", "-6", "-batch", "-"], routes);
        // Before routing: so the world needs no other address to have them all.
        let everything = ["ip", "ip6"].map(|family| {
            format!(
                "table {family} world {{\n chain arriving {{\n type nat hook prerouting priority dstnat\n \
                 meta l4proto tcp redirect to :{WORLD_PORT}\n }}\n}}\n"
            )
        });
        world.run(&["nft", "-f", "-"], &everything.concat());
        let listeners = [Listeners::start(&netns, &PORTS), Listeners::start(&world, &[WORLD_PORT])];
        Pod { _listeners: listeners, netns, world, last_source: AtomicU16::new(0) }
    }

    pub(super) fn world(&self) -> &TestNetns {
        &self.world
    }

    pub(super) fn netns(&self) -> &TestNetns {
        &self.netns
    }

    /// Makes these connections, those from outside beside those from inside;
    /// the answers are in their order.
    pub(super) fn connect(&self, connections: &[Connection]) -> Vec<Answer> {
        let outside = |c: &Connection| c.from == From::Outside;
        let side = |netns: &TestNetns, wanted: bool| {
            let mine = connections.iter().filter(|c| outside(c) == wanted);
            let answers =
                netns.inside(|| mine.map(|c| connect(c, self.source_port())).collect::<Vec<_>>());
            answers.into_iter()
        };
        let (mut world, mut pod) = thread::scope(|scope| {
            let world = scope.spawn(|| side(&self.world, true));
            let pod = side(&self.netns, false);
            (world.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), pod)
        });
        let answer = |c| if outside(c) { world.next() } else { pod.next() };
        connections.iter().map(answer).map(|answer| answer.expect("one for each")).collect()
    }

    /// A port that no connection had lately: the kernel's connection tracking
    /// remembers the closed ones for some seconds, and must not take one for
    /// another.
    fn source_port(&self) -> u16 {
        loop {
            let port = self.last_source.fetch_add(1, Ordering::Relaxed);
            if port > 1024 && !PORTS.contains(&port) {
                return port;
            }
        }
    }
}

/// The interface of the pod that a connection goes by.
pub(super) fn interface(connection: &Connection) -> &'static str {
    let to = connection.to.ip();
    let second = match to {
        IpAddr::V4(to) => {
            to == POD_IPV4[1] || to.octets()[0] == 100 && to.octets()[1] & 0xc0 == 0x40
        }
        IpAddr::V6(to) => to == POD_IPV6[1] || to.segments()[0] == 0xfd64,
    };
    match connection.from {
        From::Uid(_) if is_local(to) => "lo",
        _ if second => INTERFACES[1],
        _ => INTERFACES[0],
    }
}

/// Whether an address is the pod's own.
pub(super) fn is_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            address.is_loopback() || POD_IPV4.contains(&address) || address == SECONDARY
        }
        IpAddr::V6(address) => address.is_loopback() || POD_IPV6.contains(&address),
    }
}

/// Makes one connection from the namespace that this thread is in.
fn connect(connection: &Connection, source_port: u16) -> Answer {
    let mut stream = match try_connect(connection, source_port) {
        Ok(stream) => stream,
        Err(Errno::ECONNREFUSED) => return Answer::Reset,
        Err(error) => panic!("connection {connection}: {error}"),
    };
    stream.set_read_timeout(Some(TIMEOUT)).expect("a read timeout");
    let mut text = String::new();
    if let Err(error) = stream.read_to_string(&mut text) {
        panic!("connection {connection}, answer: {error}");
    }
    // Reset at the end, so that no socket waits for a late packet.
    let reset = nix::libc::linger { l_onoff: 1, l_linger: 0 };
    setsockopt(&stream, sockopt::Linger, &reset).expect("SO_LINGER");
    let (at, original) = text.split_once(' ').expect("two addresses");
    let address = |text: &str| text.parse::<SocketAddr>().expect("an address with port");
    let (at, original) = (address(at), address(original));
    if at.port() == WORLD_PORT { Answer::World { original } } else { Answer::Pod { at, original } }
}

/// The kernel takes a socket's uid from the fsuid of the thread that makes it.
fn try_connect(connection: &Connection, source_port: u16) -> nix::Result<TcpStream> {
    let (family, any) = match connection.to {
        SocketAddr::V4(_) => (AddressFamily::Inet, IpAddr::from(Ipv4Addr::UNSPECIFIED)),
        SocketAddr::V6(_) => (AddressFamily::Inet6, Ipv6Addr::UNSPECIFIED.into()),
    };
    if let From::Uid(uid) = connection.from {
        setfsuid(Uid::from_raw(uid));
    }
    let fd = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, SockProtocol::Tcp);
    setfsuid(Uid::from_raw(0));
    let fd = fd?;
    setsockopt(&fd, sockopt::SendTimeout, &TimeVal::seconds(TIMEOUT.as_secs() as i64))?;
    bind(fd.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(any, source_port)))?;
    nix::sys::socket::connect(fd.as_raw_fd(), &SockaddrStorage::from(connection.to))?;
    Ok(TcpStream::from(fd))
}
