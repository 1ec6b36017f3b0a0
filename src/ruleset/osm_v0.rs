//! `osm-v0`: the chains of the reference document, OSM's first releases.
//!
//! Pure.

use super::builder::{Builder, chain, rule, tables};
use super::{Chain, Match, Op, Ruleset, Verdict};
use crate::policy::Policy;

/// The rules that a policy asks for.
pub(super) fn build(policy: &Policy) -> Ruleset {
    tables(policy, outbound)
}

/// The outbound story: exclusions pass, then the proxy's own packets and what
/// stays inside the pod; all else is the proxy's.
fn outbound(table: &mut Builder<'_>) -> Chain {
    let names = &table.policy.layout.chains;
    let mut rules = table.outbound_ports();
    rules.extend(table.outbound_ranges());
    rules.extend(table.outbound_uids());
    // oifname "net1" return: excluded by a list
    rules.extend(table.interfaces(Match::OutputInterface));
    // meta skuid 1500 return: the proxy's own packets pass
    rules.push(rule([table.proxy_uid(Op::Eq)], Verdict::Return));
    // ip daddr 127.0.0.1 return: containers of the pod talk among themselves
    rules.push(rule([table.loopback_address(Op::Eq)], Verdict::Return));
    rules.extend(table.end_of_outbound(names));
    chain(names.outbound, rules)
}
