//! What both generations of chains are made of: the base chains, the inbound
//! story, the redirecting chains, and the rules of a list.
//!
//! A list becomes few rules however long it is: overlaps are merged, the rest
//! is cut into aligned blocks, and all blocks of one size share one rule with
//! one set (mask, look up). A single block needs no set.
//!
//! Pure.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnetwork::IpNetwork;

use super::blocks::blocks;
use super::{
    Chain, ChainKind, Elements, Family, Hook, HookPoint, InterfacePattern, List, Match, Op,
    Operand, Origin, Provenance, Rule, Ruleset, Set, Table, Verdict,
};
use crate::config::profile::ChainNames;
use crate::config::{Ipv6Mode, Lists, PortRange};
use crate::policy::Policy;

/// The loopback device.
pub(super) const LOOPBACK: InterfacePattern = InterfacePattern::exact("lo");

/// nat chains: where iptables' nat table hooks in (`NF_IP_PRI_NAT_DST`).
const PRIORITY_NAT: i32 = -100;
/// filter chains: where iptables' filter table hooks in (`NF_IP_PRI_FILTER`).
const PRIORITY_FILTER: i32 = 0;

/// Ports in one set at most; a longer list becomes several. The kernel keeps
/// ports in a bitmap, and looks for duplicates in a list beside it, one by one
/// (`nft_bitmap_insert` in `net/netfilter/nft_set_bitmap.c`): ten thousand in
/// one set take a third of a second.
const PORTS_PER_SET: usize = 128;

/// What becomes of a connection that is the proxy's business.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Treatment {
    /// It is redirected to the proxy.
    Redirect,
    /// It is reset (`ipv6: reject`).
    Reject,
}

/// One table in the making.
pub(super) struct Builder<'a> {
    pub(super) policy: &'a Policy,
    pub(super) family: Family,
    treatment: Treatment,
    sets: Vec<Set>,
}

/// The tables of a policy: IPv4's, and IPv6's unless it is bypassed. The
/// generations of chains differ in their names and in the outbound story.
pub(super) fn tables(policy: &Policy, outbound: impl Fn(&mut Builder<'_>) -> Chain) -> Ruleset {
    let ipv6 = match policy.ipv6 {
        Ipv6Mode::Bypass => None,
        Ipv6Mode::Redirect => Some((Family::Ip6, Treatment::Redirect)),
        Ipv6Mode::Reject => Some((Family::Ip6, Treatment::Reject)),
    };
    let names = &policy.layout.chains;
    let wanted = [(Family::Ip, Treatment::Redirect)].into_iter().chain(ipv6);
    let tables = wanted.map(|(family, treatment)| {
        let mut table = Builder { policy, family, treatment, sets: Vec::new() };
        let chains = vec![
            table.prerouting(names),
            table.inbound(names),
            table.in_redirect(names),
            table.output(names),
            outbound(&mut table),
            table.out_redirect(names),
        ];
        Table { family, owner: None, sets: table.sets, chains }
    });
    Ruleset { tables: tables.collect() }
}

impl<'a> Builder<'a> {
    /// `PREROUTING`: what arrives at the pod goes to the inbound chain.
    fn prerouting(&self, names: &ChainNames) -> Chain {
        let mut rules = Vec::new();
        if self.treatment == Treatment::Reject {
            // iifname "lo" return: a nat chain never sees here what was sent
            // inside the pod (OUTPUT had it); a filter chain does.
            rules.push(rule([Match::InputInterface(LOOPBACK)], Verdict::Return));
        }
        rules.push(self.enter(names.inbound));
        self.base("PREROUTING", HookPoint::Prerouting, rules)
    }

    /// `OUTPUT`: what the pod sends goes to the outbound chain.
    fn output(&self, names: &ChainNames) -> Chain {
        let pod_ip = match self.family {
            Family::Ip => self.policy.pod_ipv4().map(IpAddr::V4),
            Family::Ip6 => self.policy.pod_ipv6().map(IpAddr::V6),
        };
        let mut rules = Vec::new();
        if let (Treatment::Redirect, Some(address)) = (self.treatment, pod_ip) {
            // meta l4proto tcp oifname "lo" ip daddr 127.0.0.1 meta skuid 1500
            // dnat to POD_IP: the application listens at the pod's address only
            let matches = [
                Match::Tcp,
                Match::OutputInterface(LOOPBACK),
                self.loopback_address(Op::Eq),
                self.proxy_uid(Op::Eq),
            ];
            rules.push(rule(matches, Verdict::Dnat(address)));
        }
        rules.push(self.enter(names.outbound));
        self.base("OUTPUT", HookPoint::Output, rules)
    }

    /// The inbound story: exclusions and the proxy's own ports pass, all else
    /// is the proxy's.
    fn inbound(&mut self, names: &ChainNames) -> Chain {
        let mut rules = Vec::new();
        for (lists, origin) in self.authors() {
            // tcp dport @inbound_ports_mesh return: excluded by a list
            let provenance = Provenance { list: List::InboundPorts, origin };
            rules.extend(self.ports(&lists.inbound_ports, provenance));
        }
        // iifname "net1" return: excluded by a list
        rules.extend(self.interfaces(Match::InputInterface));
        for range in &self.policy.proxy.inbound_bypass_ports {
            // tcp dport 15901 return: the proxy's metrics and health checks
            for (len, block) in blocks([(range.first().into(), range.last().into())], 16) {
                rules.extend(block.iter().map(|port| {
                    rule([Match::Tcp, port_match(len, Operand::One(*port as u16))], Verdict::Return)
                }));
            }
        }
        // meta l4proto tcp jump PROXY_IN_REDIRECT: all else goes to the proxy
        rules.push(rule([Match::Tcp], Verdict::Jump(names.in_redirect.into())));
        chain(names.inbound, rules)
    }

    /// Where inbound connections are handed to the proxy.
    fn in_redirect(&self, names: &ChainNames) -> Chain {
        // meta l4proto tcp redirect to :15003
        let to_proxy = rule([Match::Tcp], self.to_proxy(self.policy.proxy.inbound_port));
        chain(names.in_redirect, vec![to_proxy])
    }

    /// Where outbound connections are handed to the proxy.
    fn out_redirect(&self, names: &ChainNames) -> Chain {
        let proxy = &self.policy.proxy;
        let admin = port_match(16, Operand::One(proxy.admin_port));
        let rules = vec![
            // meta l4proto tcp redirect to :15001
            rule([Match::Tcp], self.to_proxy(proxy.outbound_port)),
            // tcp dport 15000 accept: never reached, in the original neither
            rule([Match::Tcp, admin], Verdict::Accept),
        ];
        chain(names.out_redirect, rules)
    }

    /// The end of the outbound story. With an inclusion list only its ranges
    /// are the proxy's, in a family that it does not name none; without one
    /// all is.
    pub(super) fn end_of_outbound(&mut self, names: &ChainNames) -> Vec<Rule> {
        let jump = Verdict::Jump(names.out_redirect.into());
        let authors = self.authors();
        if authors.iter().all(|(lists, _)| lists.included_ranges.is_empty()) {
            // jump PROXY_REDIRECT: all else goes to the proxy
            return vec![rule([], jump)];
        }
        let mut rules = Vec::new();
        for (lists, origin) in authors {
            // ip daddr @included_ranges_mesh_8 jump PROXY_REDIRECT
            let provenance = Provenance { list: List::IncludedRanges, origin };
            rules.extend(self.ranges(&lists.included_ranges, provenance, &jump));
        }
        // return: not in the inclusion list
        rules.push(rule([], Verdict::Return));
        rules
    }

    /// Excluded destination ports.
    pub(super) fn outbound_ports(&mut self) -> Vec<Rule> {
        let mut rules = Vec::new();
        for (lists, origin) in self.authors() {
            // tcp dport @outbound_ports_mesh return
            let provenance = Provenance { list: List::OutboundPorts, origin };
            rules.extend(self.ports(&lists.outbound_ports, provenance));
        }
        rules
    }

    /// Excluded destination ranges.
    pub(super) fn outbound_ranges(&mut self) -> Vec<Rule> {
        let mut rules = Vec::new();
        for (lists, origin) in self.authors() {
            // ip daddr & 255.255.255.0 == @outbound_ranges_mesh_24 return
            let provenance = Provenance { list: List::OutboundRanges, origin };
            rules.extend(self.ranges(&lists.outbound_ranges, provenance, &Verdict::Return));
        }
        rules
    }

    /// Excluded uids.
    pub(super) fn outbound_uids(&mut self) -> Vec<Rule> {
        let mut rules = Vec::new();
        for (lists, origin) in self.authors() {
            let mut uids = lists.outbound_uids.clone();
            uids.sort_unstable();
            uids.dedup();
            let provenance = Provenance { list: List::OutboundUids, origin };
            let value = match uids[..] {
                [] => continue,
                [uid] => Operand::One(uid),
                _ => self.set(set_name(provenance, None), Elements::Uids(uids)),
            };
            // meta skuid @outbound_uids_pod return
            let excluded = Match::SocketUid { op: Op::Eq, value };
            rules.push(listed([excluded], Verdict::Return, provenance));
        }
        rules
    }

    /// Excluded interfaces, as the input's or the output's.
    pub(super) fn interfaces(&self, side: fn(InterfacePattern) -> Match) -> Vec<Rule> {
        let mut rules = Vec::new();
        for (lists, origin) in self.authors() {
            let provenance = Provenance { list: List::Interfaces, origin };
            let mut patterns = lists.interfaces.clone();
            patterns.sort();
            patterns.dedup();
            rules.extend(patterns.into_iter().map(|pattern| {
                // "+" alone is every interface: nothing to compare
                let any = pattern.prefix && pattern.name.is_empty();
                let excluded = (!any).then(|| side(pattern));
                listed(excluded, Verdict::Return, provenance)
            }));
        }
        rules
    }

    /// `meta skuid 1500`: the proxy's own packets.
    pub(super) fn proxy_uid(&self, op: Op) -> Match {
        Match::SocketUid { op, value: Operand::One(self.policy.proxy.uid) }
    }

    /// `ip daddr 127.0.0.1`: packets to the pod's loopback address.
    pub(super) fn loopback_address(&self, op: Op) -> Match {
        let value = Operand::One(self.family.loopback());
        Match::DestinationAddress { op, prefix_len: self.family.address_bits(), value }
    }

    fn authors(&self) -> [(&'a Lists, Origin); 2] {
        let policy = self.policy;
        [(&policy.mesh, Origin::MeshConfig), (&policy.pod, Origin::PodAnnotation)]
    }

    /// From a base chain into ours.
    fn enter(&self, chain: &'static str) -> Rule {
        let tcp = match self.treatment {
            // meta l4proto tcp jump PROXY_INBOUND
            Treatment::Redirect => vec![Match::Tcp],
            // meta l4proto tcp ct state new jump PROXY_INBOUND
            Treatment::Reject => vec![Match::Tcp, Match::NewConnection],
        };
        rule(tcp, Verdict::Jump(chain.into()))
    }

    fn to_proxy(&self, port: u16) -> Verdict {
        match self.treatment {
            Treatment::Redirect => Verdict::Redirect(port),
            Treatment::Reject => Verdict::RejectWithReset,
        }
    }

    fn base(&self, name: &'static str, point: HookPoint, rules: Vec<Rule>) -> Chain {
        let (kind, priority) = match self.treatment {
            Treatment::Redirect => (ChainKind::Nat, PRIORITY_NAT),
            Treatment::Reject => (ChainKind::Filter, PRIORITY_FILTER),
        };
        Chain { name: name.into(), hook: Some(Hook { kind, point, priority }), rules }
    }

    fn ports(&mut self, list: &[PortRange], provenance: Provenance) -> Vec<Rule> {
        let mut list = list.to_vec();
        list.sort_unstable();
        list.dedup();
        let ranges = list.iter().map(|range| (range.first().into(), range.last().into()));
        let mut rules = Vec::new();
        for (len, block) in blocks(ranges, 16).into_iter().rev() {
            for (part, block) in block.chunks(PORTS_PER_SET).enumerate() {
                let value = match block[..] {
                    [port] => Operand::One(port as u16),
                    _ => {
                        let ports = block.iter().map(|port| *port as u16).collect();
                        let mut name = set_name(provenance, (len < 16).then_some(len));
                        if part > 0 {
                            name += &format!("_part{}", part + 1);
                        }
                        self.set(name, Elements::Ports(ports))
                    }
                };
                let excluded = [Match::Tcp, port_match(len, value)];
                rules.push(listed(excluded, Verdict::Return, provenance));
            }
        }
        rules
    }

    fn ranges(
        &mut self,
        list: &[IpNetwork],
        provenance: Provenance,
        verdict: &Verdict,
    ) -> Vec<Rule> {
        let family = self.family;
        let bits = family.address_bits();
        let own = list.iter().filter(|range| Family::of(range.ip()) == family);
        let ranges = own.map(|range| (number(range.network()), number(range.broadcast())));
        let mut rules = Vec::new();
        for (prefix_len, block) in blocks(ranges, bits).into_iter().rev() {
            let matches = match block[..] {
                _ if prefix_len == 0 => None,
                [one] => Some(Operand::One(address(family, one))),
                _ => {
                    let elements = match family {
                        Family::Ip => Elements::Ipv4(block.into_iter().map(ipv4).collect()),
                        Family::Ip6 => {
                            Elements::Ipv6(block.into_iter().map(Ipv6Addr::from).collect())
                        }
                    };
                    let suffix = (prefix_len < bits).then_some(prefix_len);
                    Some(self.set(set_name(provenance, suffix), elements))
                }
            };
            let matches =
                matches.map(|value| Match::DestinationAddress { op: Op::Eq, prefix_len, value });
            rules.push(listed(matches, verdict.clone(), provenance));
        }
        rules
    }

    fn set<T>(&mut self, name: String, elements: Elements) -> Operand<T> {
        let name: Cow<'static, str> = name.into();
        self.sets.push(Set { name: name.clone(), elements });
        Operand::InSet(name)
    }
}

/// A chain that is jumped to.
pub(super) fn chain(name: &'static str, rules: Vec<Rule>) -> Chain {
    Chain { name: name.into(), hook: None, rules }
}

/// A rule of the mesh's own making.
pub(super) fn rule(matches: impl IntoIterator<Item = Match>, verdict: Verdict) -> Rule {
    Rule { matches: matches.into_iter().collect(), verdict, comment: None }
}

/// A rule that comes from a list.
fn listed(
    matches: impl IntoIterator<Item = Match>,
    verdict: Verdict,
    provenance: Provenance,
) -> Rule {
    Rule { comment: Some(provenance.comment().into()), ..rule(matches, verdict) }
}

fn port_match(len: u8, value: Operand<u16>) -> Match {
    Match::DestinationPort { mask: u16::MAX << (16 - len), value }
}

/// `outbound_ranges_mesh_24`: list, author, and how many leading bits count
/// where it is not all of them.
fn set_name(provenance: Provenance, len: Option<u8>) -> String {
    let list = match provenance.list {
        List::OutboundPorts => "outbound_ports",
        List::InboundPorts => "inbound_ports",
        List::OutboundRanges => "outbound_ranges",
        List::IncludedRanges => "included_ranges",
        List::Interfaces => "interfaces",
        List::OutboundUids => "outbound_uids",
    };
    let origin = match provenance.origin {
        Origin::MeshConfig => "mesh",
        Origin::PodAnnotation => "pod",
    };
    match len {
        Some(len) => format!("{list}_{origin}_{len}"),
        None => format!("{list}_{origin}"),
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}

fn ipv4(number: u128) -> Ipv4Addr {
    Ipv4Addr::from(number as u32)
}

fn address(family: Family, number: u128) -> IpAddr {
    match family {
        Family::Ip => ipv4(number).into(),
        Family::Ip6 => Ipv6Addr::from(number).into(),
    }
}
