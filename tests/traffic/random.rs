//! Random configurations and connections from a seed: every setting at once,
//! biased to what is near a boundary.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::configuration::{Chains, Configuration, Ipv6, Lists, Proxy};
use super::pod::{Connection, From, POD_IPV4, POD_IPV6, PORTS, SECONDARY, interface, is_local};

/// The pod's own addresses and prefixes, and the loopback network's.
const OWN_RANGES: [&str; 9] = [
    "10.77.0.2/32",
    "10.77.0.3",
    "10.77.0.0/24",
    "10.78.0.2/16",
    "127.0.0.1/32",
    "127.0.0.0/8",
    "fd77::2/128",
    "fd77::/64",
    "::1/128",
];

/// A small generator of pseudo-random numbers: SplitMix64.
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Random(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// True in one of `n` cases.
    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    /// Between none and `most`; none in about half of the cases.
    fn some<T>(&mut self, most: u64, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let count = if self.one_in(2) { 0 } else { self.below(most + 1) };
        (0..count).map(|_| make(self)).collect()
    }

    /// A configuration with every setting at random.
    pub(super) fn configuration(&mut self) -> Configuration {
        let interfaces = if self.one_in(2) { self.some(2, Self::interface) } else { Vec::new() };
        let mut mesh = Lists { interfaces, ..self.lists() };
        let mut pod = self.lists();
        let ipv6 = self.pick(&[Ipv6::Bypass, Ipv6::Redirect, Ipv6::Redirect, Ipv6::Reject]);
        if ipv6 == Ipv6::Bypass {
            // iptables takes it for 0.0.0.0/0, and we refuse it
            let allowed = |range: &String| !(range.contains(':') && range.ends_with("/0"));
            for lists in [&mut mesh, &mut pod] {
                lists.outbound_ranges.retain(allowed);
                lists.included_ranges.retain(allowed);
            }
        }
        Configuration {
            chains: self.pick(&[Chains::OsmV0, Chains::OsmV0, Chains::OsmV1, Chains::Fsm]),
            pod_ip: self.one_in(3),
            ipv6_in_result: !self.one_in(4),
            ipv6,
            proxy: Proxy {
                uid: self.pick(&[1500, 1500, 1337]),
                outbound_port: self.pick(&[15001, 15001, 15101]),
                inbound_port: self.pick(&[15003, 15003, 15103]),
                admin_port: self.pick(&[15000, 15000, 14999]),
                bypass: self.one_in(3).then(|| self.some(4, Self::ports)),
            },
            mesh,
            pod,
        }
    }

    fn lists(&mut self) -> Lists {
        // Now and then more than one multiport rule of iptables holds.
        let most = if self.one_in(8) { 40 } else { 4 };
        let included = if self.one_in(3) { 3 } else { 0 };
        Lists {
            outbound_ports: self.some(most, Self::ports),
            inbound_ports: self.some(most, Self::ports),
            outbound_ranges: self.some(most, Self::range),
            included_ranges: self.some(included, Self::wide_range),
            interfaces: Vec::new(),
            uids: self.some(2, |random| random.pick(&[0, 1, 1000, 1337, 1500, 65534])),
        }
    }

    /// A port, or a range that ends where somebody listens.
    fn ports(&mut self) -> (u16, u16) {
        let port = self.pick(&PORTS);
        if !self.one_in(3) {
            return (port, port);
        }
        let other = match self.below(12) {
            0 => 1 + self.below(65535) as u16,
            1 => self.pick(&PORTS),
            _ => port.saturating_add(self.below(40) as u16),
        };
        (port.min(other), port.max(other))
    }

    fn interface(&mut self) -> String {
        let names = ["eth0", "net1", "lo", "eth", "wlan0", "eth+", "e+", "net1+", "l+", "net+"];
        self.pick(&names).to_owned()
    }

    /// A range with host bits or without, now and then a bare address.
    fn range(&mut self) -> String {
        if self.one_in(8) {
            return self.pick(&OWN_RANGES).to_owned();
        }
        let len = if self.one_in(30) { self.below(4) } else { 4 + self.below(29) };
        self.range_of(len)
    }

    fn wide_range(&mut self) -> String {
        let len = self.below(12);
        self.range_of(len)
    }

    fn range_of(&mut self, len: u64) -> String {
        let bare = self.one_in(8);
        let (address, len) = if self.one_in(2) {
            (IpAddr::V4(self.ipv4()), len)
        } else {
            (IpAddr::V6(self.ipv6()), len * 4)
        };
        if bare { address.to_string() } else { format!("{address}/{len}") }
    }

    /// An address of the world, or one of the pod's.
    fn ipv4(&mut self) -> Ipv4Addr {
        let c = self.pick(&[0, 1, 127, 128, 255]);
        let d = self.pick(&[0, 1, 2, 127, 128, 254, 255]);
        match self.below(6) {
            0 => self.pick(&POD_IPV4),
            1 => Ipv4Addr::new(100, 64 + self.below(64) as u8, c, d),
            2 => Ipv4Addr::new(10, self.pick(&[0, 1, 96]), c, d),
            3 => Ipv4Addr::new(self.pick(&[1, 2, 8, 9]), self.pick(&[1, 2, 8]), c, d),
            _ => Ipv4Addr::from(self.next() as u32),
        }
    }

    fn ipv6(&mut self) -> Ipv6Addr {
        let last = self.pick(&[0, 1, 2, 0x7fff, 0x8000, 0xffff]);
        match self.below(5) {
            0 => self.pick(&POD_IPV6),
            1 => Ipv6Addr::new(0xfd64, self.below(4) as u16, 0, 0, 0, 0, 0, last),
            2 => Ipv6Addr::new(0x2001, 0xdb8, self.below(4) as u16, last, 0, 0, 0, last),
            3 => Ipv6Addr::new(0x2600 + self.below(4) as u16, last, 0, 0, 0, 0, 1, 0),
            _ => {
                let random = (u128::from(self.next()) << 64) | u128::from(self.next());
                Ipv6Addr::from((random >> 3) | (1 << 125))
            }
        }
    }

    /// Connections that ask what this configuration answers.
    pub(super) fn connections(&mut self, of: &Configuration, count: usize) -> Vec<Connection> {
        let fits = |c: &Connection| reachable(c) && !of.ambiguous(c);
        let mut all = Vec::new();
        while all.len() < count {
            let connection = self.connection(of);
            if fits(&connection) {
                all.push(connection);
            }
        }
        all
    }

    fn connection(&mut self, of: &Configuration) -> Connection {
        if self.one_in(5) {
            let to = if self.one_in(2) {
                self.pick(&[POD_IPV4[0], POD_IPV4[1], SECONDARY]).into()
            } else {
                self.pick(&POD_IPV6).into()
            };
            let port = self.listed_port(of);
            return Connection { from: From::Outside, to: SocketAddr::new(to, port) };
        }
        if self.one_in(16) {
            // The proxy to the application.
            let own = [POD_IPV4[0].into(), POD_IPV6[0].into()];
            let loopback = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
            let to = self.pick(&[own, loopback, loopback].concat());
            let to = SocketAddr::new(to, self.listed_port(of));
            return Connection { from: From::Uid(of.proxy.uid), to };
        }
        let to = self.destination(of);
        let port = if is_local(to) || !self.one_in(3) {
            self.listed_port(of)
        } else {
            1 + self.below(65535) as u16
        };
        let listed: Vec<u32> = of.lists().flat_map(|lists| lists.uids.clone()).collect();
        let uid = match listed.is_empty() || !self.one_in(3) {
            true => self.pick(&[0, 1000, 1000, 1000, 1500, 1337]),
            false => self.pick(&listed),
        };
        Connection { from: From::Uid(uid), to: SocketAddr::new(to, port) }
    }

    /// A port that is listened on, if possible at a listed range's edge.
    fn listed_port(&mut self, of: &Configuration) -> u16 {
        let ports =
            of.lists().flat_map(|lists| lists.outbound_ports.iter().chain(&lists.inbound_ports));
        let edges: Vec<u16> = ports.flat_map(|(first, last)| [*first, *last]).collect();
        let edge = (!edges.is_empty() && self.one_in(2)).then(|| self.pick(&edges));
        match edge.and_then(|edge| PORTS.iter().position(|port| *port == edge)) {
            Some(at) => PORTS[(at + self.below(3) as usize).saturating_sub(1).min(PORTS.len() - 1)],
            None => self.pick(&PORTS),
        }
    }

    fn destination(&mut self, of: &Configuration) -> IpAddr {
        let lists = of.lists();
        let ranges: Vec<&str> = lists
            .flat_map(|lists| lists.outbound_ranges.iter().chain(&lists.included_ranges))
            .map(String::as_str)
            .collect();
        match self.below(16) {
            0 => Ipv4Addr::LOCALHOST.into(),
            1 => Ipv6Addr::LOCALHOST.into(),
            2 => self.pick(&[
                IpAddr::from([127, 0, 0, 5]),
                POD_IPV4[0].into(),
                POD_IPV4[1].into(),
                SECONDARY.into(),
            ]),
            3 => self.pick(&POD_IPV6).into(),
            4..10 if !ranges.is_empty() => {
                let range = self.pick(&ranges);
                self.near(range)
            }
            _ if self.one_in(2) => self.ipv4().into(),
            _ => self.ipv6().into(),
        }
    }

    /// An address inside a range, at its edge, or one beside it.
    fn near(&mut self, range: &str) -> IpAddr {
        let range: ipnetwork::IpNetwork = range.parse().expect("we wrote it");
        let (first, last) = (range.network(), range.broadcast());
        let which = self.below(5);
        let random = (u128::from(self.next()) << 64) | u128::from(self.next());
        let near = |first: u128, last: u128| match which {
            0 => first.wrapping_sub(1),
            1 => first,
            2 => last,
            3 => last.wrapping_add(1),
            _ => first + random.checked_rem((last - first).saturating_add(1)).unwrap_or(0),
        };
        match (first, last) {
            (IpAddr::V4(first), IpAddr::V4(last)) => {
                let near = near(u32::from(first).into(), u32::from(last).into());
                Ipv4Addr::from(near as u32).into()
            }
            (IpAddr::V6(first), IpAddr::V6(last)) => {
                Ipv6Addr::from(near(first.into(), last.into())).into()
            }
            _ => unreachable!("both ends are of one family"),
        }
    }
}

/// Whether somebody answers there: no multicast, no broadcast, nothing that
/// means "this network", and neither the world's own end of a link nor a
/// neighbour that is not there.
/// Nor the destination of the probe rule, which OSM's own rules do not have.
fn reachable(connection: &Connection) -> bool {
    let to = connection.to.ip();
    if connection.to == SocketAddr::V4(osm_cni::ruleset::PROBE) {
        return false;
    }
    if is_local(to) {
        let broadcast = [[127, 0, 0, 0], [127, 255, 255, 255]].map(IpAddr::from);
        return !broadcast.contains(&to)
            && PORTS.contains(&connection.to.port())
            && (connection.from != From::Outside || interface(connection) != "lo");
    }
    match to {
        IpAddr::V4(to) => {
            let [a, b, ..] = to.octets();
            (1..224).contains(&a) && a != 127 && !(a == 10 && (b == 77 || b == 78))
        }
        IpAddr::V6(to) => {
            let first = to.segments()[0];
            (0x2000..0x4000).contains(&first) || first == 0xfd64
        }
    }
}
