//! Listeners that tell each caller where its connection arrived and where it
//! was meant to go.

use std::io::{self, Write};
use std::net::{
    IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, TcpListener, TcpStream,
};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::thread::{self, JoinHandle};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::{Ip6tOriginalDst, OriginalDst};

use crate::support::netns::TestNetns;

/// A thread that accepts on many ports of a namespace until it is dropped. To
/// each caller it writes `AT ORIGINAL`: the address accepted at, and the
/// destination before any translation.
#[derive(Debug)]
pub(super) struct Listeners {
    /// Closing it ends the thread.
    stop: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

impl Listeners {
    /// Listens on all addresses of both families.
    pub(super) fn start(netns: &TestNetns, ports: &[u16]) -> Self {
        let sockets: Vec<TcpListener> = netns.inside(|| {
            let addresses = |port| {
                [(IpAddr::from(Ipv4Addr::UNSPECIFIED), port), (Ipv6Addr::UNSPECIFIED.into(), port)]
            };
            ports.iter().flat_map(|port| addresses(*port)).map(listen).collect()
        });
        let (stop, stopped) = UnixStream::pair().expect("a pair of sockets");
        let thread = thread::spawn(move || serve(&sockets, &stopped));
        Listeners { stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Listeners {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Both families of a port may be listened on side by side.
fn listen((address, port): (IpAddr, u16)) -> TcpListener {
    use nix::sys::socket::{
        AddressFamily, Backlog, SockFlag, SockProtocol, SockType, SockaddrStorage, bind,
        setsockopt, socket, sockopt,
    };
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket(family, SockType::Stream, flags, SockProtocol::Tcp).expect("a socket");
    setsockopt(&fd, sockopt::ReuseAddr, &true).expect("SO_REUSEADDR");
    if address.is_ipv6() {
        setsockopt(&fd, sockopt::Ipv6V6Only, &true).expect("IPV6_V6ONLY");
    }
    let at = SockaddrStorage::from(SocketAddr::new(address, port));
    bind(std::os::fd::AsRawFd::as_raw_fd(&fd), &at)
        .unwrap_or_else(|error| panic!("{address}:{port}: {error}"));
    nix::sys::socket::listen(&fd, Backlog::new(512).expect("a size")).expect("listen");
    TcpListener::from(fd)
}

fn serve(sockets: &[TcpListener], stopped: &UnixStream) {
    loop {
        let mut waiting: Vec<PollFd<'_>> = sockets.iter().map(|socket| readable(socket)).collect();
        waiting.push(readable(stopped));
        match poll(&mut waiting, PollTimeout::NONE) {
            Ok(_) | Err(nix::Error::EINTR) => {}
            Err(error) => panic!("poll: {error}"),
        }
        let ready = |fd: &PollFd<'_>| fd.revents().is_some_and(|events| !events.is_empty());
        if waiting.last().is_some_and(ready) {
            return;
        }
        for (socket, _) in sockets.iter().zip(&waiting).filter(|(_, fd)| ready(fd)) {
            while let Ok((caller, _)) = socket.accept() {
                // A caller that is gone again misses nothing.
                let _ = answer(caller);
            }
        }
    }
}

fn readable(fd: &impl AsFd) -> PollFd<'_> {
    PollFd::new(fd.as_fd(), PollFlags::POLLIN)
}

fn answer(mut caller: TcpStream) -> io::Result<()> {
    let at = caller.local_addr()?;
    let original = original_destination(&caller).unwrap_or(at);
    caller.write_all(format!("{at} {original}").as_bytes())
}

/// Where the connection was sent to; none where the kernel tracks none, since
/// then nothing can have translated it.
fn original_destination(stream: &TcpStream) -> Option<SocketAddr> {
    match stream.local_addr().ok()? {
        SocketAddr::V4(_) => {
            let found = getsockopt(stream, OriginalDst).ok()?;
            let address = Ipv4Addr::from(u32::from_be(found.sin_addr.s_addr));
            Some(SocketAddrV4::new(address, u16::from_be(found.sin_port)).into())
        }
        SocketAddr::V6(_) => {
            let found = getsockopt(stream, Ip6tOriginalDst).ok()?;
            let address = Ipv6Addr::from(found.sin6_addr.s6_addr);
            Some(SocketAddrV6::new(address, u16::from_be(found.sin6_port), 0, 0).into())
        }
    }
}
