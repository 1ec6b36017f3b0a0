//! Rules in words, for readers on a terminal of 80 columns.
//!
//! Pure.

use std::net::SocketAddr;

use crate::ruleset::eval::End;
use crate::ruleset::{Family, HookPoint, List, Match, Op, PROBE_COMMENT, Rule, Verdict};

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

/// A rule that osm-cni could not have made, by the names of its expressions.
pub(super) fn foreign(expressions: &[String]) -> String {
    format!("not osm-cni's: {}", expressions.join(" "))
}

/// The traffic that passes a hook.
pub(super) fn hook_point(point: HookPoint) -> &'static str {
    match point {
        HookPoint::Prerouting => "connections to the pod",
        HookPoint::Output => "connections from the pod",
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
        Verdict::Redirect(_) if rule.comment.as_deref() == Some(PROBE_COMMENT) => {
            "osm-cni validate proves the rules by this destination"
        }
        Verdict::Redirect(_) => "no exclusion applies: the proxy gets it",
        Verdict::RejectWithReset => "no exclusion applies: it is refused (setting ipv6: reject)",
        Verdict::Dnat(_) => {
            "the application is reached at the pod's address (localProxyMode: PodIP)"
        }
        Verdict::Return | Verdict::Accept if has(port) => {
            "the proxy's own ports are reached directly"
        }
        Verdict::Return | Verdict::Accept if has(uid) => "the proxy's own traffic passes",
        Verdict::Return | Verdict::Accept if has(others) || has(address) => {
            "connections inside the pod pass"
        }
        Verdict::Return | Verdict::Accept if rule.matches.is_empty() => {
            "it is not in the inclusion list"
        }
        _ => "part of the chains",
    }
}

/// Where a connection ends.
pub(super) fn end(end: End, destination: SocketAddr) -> String {
    match end {
        End::ToProxy { port } => format!("to the proxy, port {port} of the pod"),
        End::Direct => format!("directly to {destination}, not through the proxy"),
        End::ToAddress(address) => {
            let address = SocketAddr::new(address, destination.port());
            format!("to {address}, not through the proxy")
        }
        End::Reset => "nowhere: it is refused with a TCP reset".to_owned(),
    }
}
