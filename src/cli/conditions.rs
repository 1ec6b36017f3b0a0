//! The conditions of rules in words. The elements of sets are written out, and a block
//! of a port range is shown with the whole range.
//!
//! Pure.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::IpAddr;

use super::wrap::whole;
use crate::nft::InstalledTable;
use crate::ruleset::{Elements, Family, InterfacePattern, Match, Op, Operand, Rule, Set};

/// How many members of a set are named before the rest is only counted.
const MEMBERS: usize = 12;

/// First and last port.
type Ports = (u16, u16);

/// What the conditions of a table's rules refer to.
#[derive(Debug, Default)]
pub(super) struct Conditions<'a> {
    sets: &'a [Set],
    /// Port ranges of which several rules have a part each, by chain and list.
    split: BTreeMap<(&'a str, &'a str), Vec<Ports>>,
}

impl<'a> From<&'a InstalledTable> for Conditions<'a> {
    fn from(table: &'a InstalledTable) -> Self {
        let rules = table.chains.iter().flat_map(|chain| {
            let known = chain.rules.iter().filter_map(|rule| rule.known());
            known.map(|rule| (chain.name.as_str(), rule))
        });
        let mut conditions = Conditions { sets: &table.sets, split: BTreeMap::new() };
        let mut blocks: BTreeMap<_, Vec<(Ports, usize)>> = BTreeMap::new();
        for (index, (chain, rule)) in rules.enumerate() {
            let Some(comment) = rule.comment.as_deref() else { continue };
            let ports = rule.matches.iter().filter_map(|condition| conditions.ports(condition));
            let ports = ports.flatten().map(|ports| (ports, index));
            blocks.entry((chain, comment)).or_default().extend(ports);
        }
        conditions.split = blocks.into_iter().map(|(list, blocks)| (list, split(blocks))).collect();
        conditions
    }
}

impl<'a> Conditions<'a> {
    /// A rule's condition.
    pub(super) fn of(&self, chain: &str, rule: &Rule) -> String {
        let port = rule.matches.iter().any(|m| matches!(m, Match::DestinationPort { .. }));
        let shown = rule.matches.iter().filter(|m| !(port && **m == Match::Tcp));
        let split = rule.comment.as_deref().and_then(|comment| self.split.get(&(chain, comment)));
        let split = split.map_or(&[][..], Vec::as_slice);
        let parts: Vec<_> = shown.map(|condition| self.part(condition, split)).collect();
        if parts.is_empty() { "anything".to_owned() } else { parts.join(", ") }
    }

    /// A rule's condition, and the list that it comes from.
    pub(super) fn with_origin(&self, chain: &str, rule: &Rule) -> String {
        let condition = self.of(chain, rule);
        match &rule.comment {
            Some(comment) => format!("{condition}  {}", whole(&format!("[{comment}]"))),
            None => condition,
        }
    }

    fn part(&self, condition: &Match, split: &[Ports]) -> String {
        match condition {
            Match::Tcp => "tcp".to_owned(),
            Match::NewConnection => "new connections".to_owned(),
            Match::DestinationPort { value, .. } => match (self.ports(condition), value) {
                (Some(ports), _) => {
                    format!("tcp dport {}", list(ports.iter().map(|ports| range(*ports, split))))
                }
                (None, Operand::InSet(name)) => missing("tcp dport", name),
                (None, Operand::One(port)) => format!("tcp dport {port}"),
            },
            Match::DestinationAddress { op, prefix_len, value } => {
                let addresses: Vec<IpAddr> = match value {
                    Operand::One(address) => vec![*address],
                    Operand::InSet(name) => match self.elements(name).and_then(Elements::addresses)
                    {
                        Some(all) => all,
                        None => return missing("to", name),
                    },
                };
                let range = |address: &IpAddr| match Family::of(*address).address_bits() {
                    whole if whole == *prefix_len => address.to_string(),
                    _ => format!("{address}/{prefix_len}"),
                };
                format!("{}to {}", not(*op), list(addresses.iter().map(range)))
            }
            Match::SocketUid { op, value } => {
                let uids = match value {
                    Operand::One(uid) => std::slice::from_ref(uid),
                    Operand::InSet(name) => match self.elements(name).and_then(Elements::uids) {
                        Some(all) => all,
                        None => return missing("uid", name),
                    },
                };
                format!("{}uid {}", not(*op), list(uids.iter()))
            }
            Match::InputInterface(pattern) => format!("in by {}", interface(pattern)),
            Match::OutputInterface(pattern) => format!("out by {}", interface(pattern)),
        }
    }

    /// The ports of a condition; none if it has none, or its set is missing.
    fn ports(&self, condition: &Match) -> Option<Vec<Ports>> {
        let Match::DestinationPort { mask, value } = condition else { return None };
        let firsts = match value {
            Operand::One(port) => std::slice::from_ref(port),
            Operand::InSet(name) => self.elements(name)?.ports()?,
        };
        Some(firsts.iter().map(|first| (*first, first | !mask)).collect())
    }

    fn elements(&self, name: &str) -> Option<&'a Elements> {
        self.sets.iter().find(|set| set.name == name).map(|set| &set.elements)
    }
}

/// The ranges that adjacent blocks of several rules make up.
fn split(mut blocks: Vec<(Ports, usize)>) -> Vec<Ports> {
    blocks.sort_unstable();
    let mut joined: Vec<(Ports, usize, bool)> = Vec::new();
    for ((first, last), rule) in blocks {
        match joined.last_mut() {
            Some((before, of, several)) if u32::from(first) <= u32::from(before.1) + 1 => {
                before.1 = before.1.max(last);
                *several |= *of != rule;
            }
            _ => joined.push(((first, last), rule, false)),
        }
    }
    joined.into_iter().filter(|(_, _, several)| *several).map(|(ports, ..)| ports).collect()
}

/// A block of ports; if it is part of a range, the whole range comes first.
fn range(block: Ports, split: &[Ports]) -> String {
    let plain = |(first, last): Ports| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    match split.iter().find(|whole| whole.0 <= block.0 && block.1 <= whole.1) {
        Some(whole) => format!("{} (here {})", plain(*whole), plain(block)),
        None => plain(block),
    }
}

fn missing(field: &str, set: &str) -> String {
    format!("{field} in set {set}, which is not in the table")
}

fn list(all: impl ExactSizeIterator<Item = impl Display>) -> String {
    let more = all.len().saturating_sub(MEMBERS);
    let named: Vec<_> = all.take(MEMBERS).map(|item| item.to_string()).collect();
    match (named.is_empty(), more) {
        (true, _) => "(nothing: the set is empty)".to_owned(),
        (_, 0) => named.join(", "),
        (_, more) => format!("{}, and {more} more", named.join(", ")),
    }
}

fn interface(pattern: &InterfacePattern) -> String {
    format!("{}{}", pattern.name, if pattern.prefix { "*" } else { "" })
}

fn not(op: Op) -> &'static str {
    match op {
        Op::Eq => "",
        Op::Ne => "not ",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ruleset::{Chain, Table, Verdict};

    fn rule(matches: Vec<Match>, comment: Option<&'static str>) -> Rule {
        Rule { matches, verdict: Verdict::Return, comment: comment.map(Into::into) }
    }

    fn port(mask: u16, value: Operand<u16>) -> Vec<Match> {
        vec![Match::Tcp, Match::DestinationPort { mask, value }]
    }

    fn described(rules: Vec<Rule>, sets: Vec<Set>) -> Vec<String> {
        let chain = Chain { name: "out".into(), hook: None, rules };
        let table = Table { family: Family::Ip, owner: None, sets, chains: vec![chain] };
        let installed = InstalledTable::from(&table);
        let conditions = Conditions::from(&installed);
        table.chains[0].rules.iter().map(|rule| conditions.of("out", rule)).collect()
    }

    #[test]
    fn a_port_range_that_is_cut_into_blocks_is_shown_whole_beside_each() {
        let mesh = Some("outbound ports: mesh config");
        let singles = Elements::Ports(vec![6379, 6380, 8010]);
        let sets = vec![Set { name: "singles".into(), elements: singles }];
        let in_set = || Operand::InSet("singles".into());
        let rules = vec![
            rule(port(u16::MAX, in_set()), mesh),
            rule(port(0xfffe, Operand::One(8008)), mesh),
            rule(port(0xfff8, Operand::One(8000)), mesh),
            rule(port(0xfff8, Operand::One(9000)), mesh),
            rule(port(u16::MAX, Operand::One(9008)), Some("outbound ports: pod annotation")),
        ];
        assert_eq!(
            described(rules, sets),
            [
                "tcp dport 6379, 6380, 8000-8010 (here 8010)",
                "tcp dport 8000-8010 (here 8008-8009)",
                "tcp dport 8000-8010 (here 8000-8007)",
                "tcp dport 9000-9007",
                "tcp dport 9008",
            ]
        );
    }

    #[test]
    fn a_set_that_is_missing_or_of_another_type_is_named() {
        let uids = Set { name: "uids".into(), elements: Elements::Uids(vec![]) };
        let wrong = |name: &'static str| rule(port(u16::MAX, Operand::InSet(name.into())), None);
        let uid = Match::SocketUid { op: Op::Ne, value: Operand::InSet("uids".into()) };
        assert_eq!(
            described(vec![wrong("none"), wrong("uids"), rule(vec![uid], None)], vec![uids]),
            [
                "tcp dport in set none, which is not in the table",
                "tcp dport in set uids, which is not in the table",
                "not uid (nothing: the set is empty)",
            ]
        );
        assert_eq!(described(vec![rule(vec![], None)], vec![]), ["anything"]);
    }
}
