//! The rules of the lists that settings and annotations carry.
//!
//! A list becomes few rules however long it is: overlaps are merged, the rest
//! is cut into aligned blocks, and all blocks of one size share one rule with
//! one set (mask, look up). A single block needs no set.
//!
//! Pure.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnetwork::IpNetwork;

use super::blocks::blocks;
use super::builder::{Builder, port_match, rule};
use super::{
    Elements, Family, InterfacePattern, List, Match, Name, Op, Operand, Origin, Provenance, Rule,
    Set, Verdict,
};
use crate::config::{Lists, PortRange};

/// Ports in one set at most; a longer list becomes several. The kernel keeps
/// ports in a bitmap of 16 KiB, whatever it holds, and looks for duplicates in a
/// list beside it, one by one (`nft_bitmap_insert` in
/// `net/netfilter/nft_set_bitmap.c`): ten thousand in one set take a third of a
/// second, all odd ports in sets of 128 take four megabytes. (By `policy memory`
/// the kernel would keep them in a tree that takes neighbours for overlaps.)
const PORTS_PER_SET: usize = 384;

impl<'a> Builder<'a> {
    /// The lists of both origins.
    fn origins(&self) -> [(&'a Lists, Origin); 2] {
        let policy = self.policy;
        [(&policy.mesh, Origin::MeshConfig), (&policy.pod, Origin::PodAnnotation)]
    }

    /// The rules of one list, from both origins.
    pub(super) fn of_list<T: 'a>(
        &mut self,
        list: List,
        items: impl Fn(&'a Lists) -> &'a Vec<T>,
        rules: impl Fn(&mut Self, &[T], Provenance) -> Vec<Rule>,
    ) -> Vec<Rule> {
        let origins = self.origins().into_iter();
        let of =
            origins.map(|(lists, origin)| rules(self, items(lists), Provenance { list, origin }));
        of.flatten().collect()
    }

    /// Excluded destination ports: `tcp dport @outbound_ports_mesh return`.
    pub(super) fn outbound_ports(&mut self) -> Vec<Rule> {
        self.of_list(List::OutboundPorts, |lists| &lists.outbound_ports, Self::ports)
    }

    /// Excluded destination ranges:
    /// `ip daddr & 255.255.255.0 == @outbound_ranges_mesh_24 return`.
    pub(super) fn outbound_ranges(&mut self) -> Vec<Rule> {
        let rules = |table: &mut Self, ranges: &[IpNetwork], provenance| {
            table.ranges(ranges, provenance, &Verdict::Return)
        };
        self.of_list(List::OutboundRanges, |lists| &lists.outbound_ranges, rules)
    }

    /// The last rules of the outbound chain. With an inclusion list only its
    /// ranges go to the proxy, and nothing of a family that it does not name;
    /// without one everything does.
    pub(super) fn end_of_outbound(&mut self) -> Vec<Rule> {
        let jump = Verdict::Jump(self.names().out_redirect.into());
        if self.origins().iter().all(|(lists, _)| lists.included_ranges.is_empty()) {
            // jump PROXY_REDIRECT: the rest goes to the proxy
            return vec![rule([], jump)];
        }
        // ip daddr & 255.0.0.0 == @included_ranges_mesh_8 jump PROXY_REDIRECT
        let ranges = |table: &mut Self, ranges: &[IpNetwork], provenance| {
            table.ranges(ranges, provenance, &jump)
        };
        let mut rules = self.of_list(List::IncludedRanges, |lists| &lists.included_ranges, ranges);
        // return: not in the inclusion list
        rules.push(rule([], Verdict::Return));
        rules
    }

    /// Excluded uids: `meta skuid @outbound_uids_pod return`.
    pub(super) fn outbound_uids(&mut self) -> Vec<Rule> {
        let rules = |table: &mut Self, uids: &[u32], provenance| {
            let uids: Vec<u32> = BTreeSet::from_iter(uids).into_iter().copied().collect();
            let value = match uids[..] {
                [] => return Vec::new(),
                [uid] => Operand::One(uid),
                _ => table.set(set_name(provenance, None), Elements::Uids(uids)),
            };
            let excluded = Match::SocketUid { op: Op::Eq, value };
            vec![listed([excluded], Verdict::Return, provenance)]
        };
        self.of_list(List::OutboundUids, |lists| &lists.outbound_uids, rules)
    }

    /// Excluded interfaces; `side` says whether the input's or the output's.
    pub(super) fn interfaces(&mut self, side: fn(InterfacePattern) -> Match) -> Vec<Rule> {
        let rules = |_: &mut Self, patterns: &[InterfacePattern], provenance| {
            let rule = |pattern: &InterfacePattern| {
                // "+" alone is every interface: nothing to compare
                let excluded = (!pattern.matches_all()).then(|| side(pattern.clone()));
                listed(excluded, Verdict::Return, provenance)
            };
            BTreeSet::from_iter(patterns).into_iter().map(rule).collect()
        };
        self.of_list(List::Interfaces, |lists| &lists.interfaces, rules)
    }

    /// Ports that pass.
    pub(super) fn ports(&mut self, list: &[PortRange], provenance: Provenance) -> Vec<Rule> {
        let ranges = list.iter().map(|range| (range.first().into(), range.last().into()));
        let mut rules = Vec::new();
        for (len, firsts) in blocks(ranges, 16).into_iter().rev() {
            for (part, firsts) in firsts.chunks(PORTS_PER_SET).enumerate() {
                let value = match firsts[..] {
                    [port] => Operand::One(port as u16),
                    _ => {
                        let ports = firsts.iter().map(|port| *port as u16).collect();
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

    /// The ranges of this table's family, with this verdict.
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
        for (prefix_len, firsts) in blocks(ranges, bits).into_iter().rev() {
            let value = match firsts[..] {
                _ if prefix_len == 0 => None,
                [one] => Some(Operand::One(address(family, one))),
                _ => {
                    let suffix = (prefix_len < bits).then_some(prefix_len);
                    Some(self.set(set_name(provenance, suffix), addresses(family, firsts)))
                }
            };
            let matches =
                value.map(|value| Match::DestinationAddress { op: Op::Eq, prefix_len, value });
            rules.push(listed(matches, verdict.clone(), provenance));
        }
        rules
    }

    fn set<T>(&mut self, name: String, elements: Elements) -> Operand<T> {
        let name: Name = name.into();
        self.sets.push(Set { name: name.clone(), elements });
        Operand::InSet(name)
    }
}

/// A rule that comes from a list.
fn listed(
    matches: impl IntoIterator<Item = Match>,
    verdict: Verdict,
    provenance: Provenance,
) -> Rule {
    Rule { comment: Some(provenance.to_string().into()), ..rule(matches, verdict) }
}

/// `outbound_ranges_mesh_24`: list, origin, and how many leading bits are
/// compared where it is not all of them.
fn set_name(provenance: Provenance, len: Option<u8>) -> String {
    let list = provenance.list.words().replace(' ', "_");
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

fn addresses(family: Family, numbers: Vec<u128>) -> Elements {
    match family {
        Family::Ip => Elements::Ipv4(numbers.into_iter().map(ipv4).collect()),
        Family::Ip6 => Elements::Ipv6(numbers.into_iter().map(Ipv6Addr::from).collect()),
    }
}
