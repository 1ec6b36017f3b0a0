//! Rules in words, for readers on a terminal of 80 columns.
//!
//! Pure.

use std::fmt::Display;
use std::net::IpAddr;

use super::wrap::whole;
use crate::ruleset::eval::End;
use crate::ruleset::{
    Elements, Family, HookPoint, InterfacePattern, List, Match, Op, Operand, Rule, Set, Verdict,
};

/// How many members of a set are named before the rest is only counted.
const MEMBERS: usize = 12;

/// What a rule does.
pub(super) fn verdict(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Return => "return".to_owned(),
        Verdict::Accept => "accept".to_owned(),
        Verdict::Jump(chain) => format!("jump {chain}"),
        Verdict::Redirect(port) => format!("redirect to port {port}"),
        Verdict::Dnat(address) => format!("dnat to {address}"),
        Verdict::RejectWithReset => "reject with reset".to_owned(),
    }
}

/// What a rule asks for, sets written out.
pub(super) fn condition(rule: &Rule, sets: &[Set]) -> String {
    let port = rule.matches.iter().any(|m| matches!(m, Match::DestinationPort { .. }));
    let told = rule.matches.iter().filter(|m| !(port && **m == Match::Tcp));
    let parts: Vec<_> = told.map(|condition| part(condition, sets)).collect();
    if parts.is_empty() { "anything".to_owned() } else { parts.join(", ") }
}

fn part(condition: &Match, sets: &[Set]) -> String {
    match condition {
        Match::Tcp => "tcp".to_owned(),
        Match::NewConnection => "new connections".to_owned(),
        Match::DestinationPort { mask, value } => {
            let ports = match value {
                Operand::One(port) => vec![*port],
                Operand::InSet(name) => match elements(sets, name) {
                    Some(Elements::Ports(all)) => all.clone(),
                    _ => return missing("tcp dport", name),
                },
            };
            let block = |first: &u16| match first | !mask {
                last if last == *first => first.to_string(),
                last => format!("{first}-{last}"),
            };
            format!("tcp dport {}", list(ports.iter().map(block)))
        }
        Match::DestinationAddress { op, prefix_len, value } => {
            let addresses: Vec<IpAddr> = match value {
                Operand::One(address) => vec![*address],
                Operand::InSet(name) => match elements(sets, name) {
                    Some(Elements::Ipv4(all)) => all.iter().copied().map(IpAddr::from).collect(),
                    Some(Elements::Ipv6(all)) => all.iter().copied().map(IpAddr::from).collect(),
                    _ => return missing("to", name),
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
                Operand::One(uid) => vec![*uid],
                Operand::InSet(name) => match elements(sets, name) {
                    Some(Elements::Uids(all)) => all.clone(),
                    _ => return missing("uid", name),
                },
            };
            format!("{}uid {}", not(*op), list(uids.iter()))
        }
        Match::InputInterface(pattern) => format!("in by {}", interface(pattern)),
        Match::OutputInterface(pattern) => format!("out by {}", interface(pattern)),
    }
}

fn elements<'a>(sets: &'a [Set], name: &str) -> Option<&'a Elements> {
    sets.iter().find(|set| set.name == name).map(|set| &set.elements)
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

/// A rule that osm-cni could not have made, by the names of its expressions.
pub(super) fn foreign(expressions: &[String]) -> String {
    format!("not osm-cni's: {}", expressions.join(" "))
}

/// Whose traffic a hook sees.
pub(super) fn hook_point(point: HookPoint) -> &'static str {
    match point {
        HookPoint::Prerouting => "what arrives at the pod",
        HookPoint::Output => "what the pod sends",
    }
}

/// The family's name for readers.
pub(super) fn family(family: Family) -> &'static str {
    match family {
        Family::Ip => "IPv4",
        Family::Ip6 => "IPv6",
    }
}

/// How wide the shorter verdicts are printed, so that conditions line up.
pub(super) const VERDICT: usize = "return".len();

/// A rule's condition, and the list that it comes from.
pub(super) fn condition_and_origin(rule: &Rule, sets: &[Set]) -> String {
    let condition = condition(rule, sets);
    match &rule.comment {
        Some(comment) => format!("{condition}  {}", whole(&format!("[{comment}]"))),
        None => condition,
    }
}

/// Why a list decides about a connection.
pub(super) fn listed(list: List) -> &'static str {
    match list {
        List::OutboundPorts | List::InboundPorts => "its port is excluded",
        List::OutboundRanges => "its address is excluded",
        List::IncludedRanges => "its address is in the inclusion list",
        List::Interfaces => "its interface is excluded",
        List::OutboundUids => "its uid is excluded",
    }
}

/// Why a rule is there, if it comes from no list.
pub(super) fn why(rule: &Rule) -> &'static str {
    let port = |m: &Match| matches!(m, Match::DestinationPort { .. });
    let uid = |m: &Match| matches!(m, Match::SocketUid { op: Op::Eq, .. });
    let others = |m: &Match| matches!(m, Match::SocketUid { op: Op::Ne, .. });
    let address = |m: &Match| matches!(m, Match::DestinationAddress { .. });
    let has = |test: fn(&Match) -> bool| rule.matches.iter().any(test);
    match rule.verdict {
        Verdict::Redirect(_) => "what nothing excludes is the proxy's",
        Verdict::RejectWithReset => "what would be the proxy's is refused (setting ipv6: reject)",
        Verdict::Dnat(_) => {
            "the application is reached at the pod's address (localProxyMode: PodIP)"
        }
        Verdict::Return | Verdict::Accept if has(port) => {
            "the proxy's own ports are reached directly"
        }
        Verdict::Return | Verdict::Accept if has(uid) => "the proxy's own traffic passes",
        Verdict::Return | Verdict::Accept if has(others) || has(address) => {
            "what stays inside the pod passes"
        }
        Verdict::Return | Verdict::Accept if rule.matches.is_empty() => {
            "it is not in the inclusion list"
        }
        _ => "part of the chains",
    }
}

/// Where a connection ends.
pub(super) fn end(end: End, destination: impl Display) -> String {
    match end {
        End::ToProxy { port } => format!("to the proxy, port {port} of the pod"),
        End::Direct => format!("directly to {destination}, not through the proxy"),
        End::ToAddress(address) => format!("to {address}, not through the proxy"),
        End::Reset => "nowhere: it is refused with a TCP reset".to_owned(),
    }
}
