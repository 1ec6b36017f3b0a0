//! What no rule may move: UDP, and IPv6 under `ipv6: bypass`. Datagrams and
//! connections arrive where they were sent, under OSM's own rules and under ours.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use super::configuration::{Chains, Configuration, Lists};
use super::differential::install_osm;
use super::pod::Pod;
use super::{document, ours};
use crate::support::netns::TestNetns;
use crate::support::wait_for;

const LIMIT: Duration = Duration::from_secs(10);

/// A socket at an address. The one before it may still be open for a moment: in a
/// process that another test forked, until it executes its program.
fn bound<T: Send>(
    netns: &TestNetns,
    at: SocketAddr,
    bind: impl Fn(SocketAddr) -> io::Result<T> + Send + Sync,
) -> T {
    wait_for(&format!("a socket at {at}"), LIMIT, || {
        netns.inside(|| bind(at)).map_err(|error| error.to_string())
    })
}

/// Sends a datagram from one namespace to another's socket, which must get it.
fn datagram(from: &TestNetns, to: &TestNetns, at: &str) -> bool {
    let at: SocketAddr = at.parse().expect("an address");
    let receiver = bound(to, at, UdpSocket::bind);
    receiver.set_read_timeout(Some(LIMIT)).expect("a limit");
    let any = if at.is_ipv6() { "[::]:0" } else { "0.0.0.0:0" };
    let sender = from.inside(|| UdpSocket::bind(any)).expect("a socket");
    sender.send_to(b"x", at).expect("sent");
    receiver.recv(&mut [0; 1]).is_ok()
}

/// Connects from one namespace to a listener in another, which must accept.
fn connection(from: &TestNetns, to: &TestNetns, at: &str) -> bool {
    let at: SocketAddr = at.parse().expect("an address");
    let listener = bound(to, at, TcpListener::bind);
    let stream = from.inside(|| TcpStream::connect_timeout(&at, LIMIT));
    stream.is_ok_and(|stream| {
        let (_, peer) = listener.accept().expect("accepted");
        stream.local_addr().is_ok_and(|own| own == peer)
    })
}

#[test]
fn udp_and_bypassed_ipv6_arrive_where_they_were_sent() {
    for chains in [Chains::OsmV0, Chains::OsmV1, Chains::Fsm] {
        let settings = document::settings(Lists::default(), Lists::default());
        let configuration = Configuration { chains, ..settings };
        let [osm, own] = [Pod::new(), Pod::new()];
        install_osm(&configuration, osm.netns());
        ours::call("ADD", &configuration, own.netns());
        for (rules, pod) in [("OSM's own rules", &osm), ("ours", &own)] {
            let (inside, world) = (pod.netns(), pod.world());
            for at in ["10.77.0.1:53", "[fd77::1]:53", "10.78.0.1:15001"] {
                assert!(datagram(inside, world, at), "{rules}, {chains:?}: out to {at}");
            }
            for at in ["10.77.0.2:53", "[fd77::2]:53", "10.77.0.3:15010", "10.78.0.2:8080"] {
                assert!(datagram(world, inside, at), "{rules}, {chains:?}: in to {at}");
                assert!(datagram(inside, inside, at), "{rules}, {chains:?}: inside to {at}");
            }
            assert!(datagram(inside, inside, "127.0.2.1:15099"), "{rules}, {chains:?}: the probe");
            // the world redirects connections to its own listener: one that is inside
            for at in ["[fd77::2]:4444", "[::1]:4444", "[fd78::2]:4444"] {
                assert!(connection(inside, inside, at), "{rules}, {chains:?}: inside to {at}");
            }
            for at in ["[fd77::2]:4444", "[fd78::2]:4444"] {
                assert!(connection(world, inside, at), "{rules}, {chains:?}: in to {at}");
            }
        }
    }
}
