//! The outbound chain of `osm-v0`: exclusions pass, then the proxy's own packets
//! and what stays inside the pod; the rest goes to the proxy.
//!
//! Pure.

use super::builder::{Builder, chain, rule};
use super::{Chain, Match, Op, Verdict};

/// Builds the chain.
pub(super) fn outbound(table: &mut Builder<'_>) -> Chain {
    let mut rules = table.outbound_ports();
    rules.extend(table.outbound_ranges());
    rules.extend(table.outbound_uids());
    // oifname "net1" return: excluded by a list
    rules.extend(table.interfaces(Match::OutputInterface));
    // meta skuid 1500 return: the proxy's own packets pass
    rules.push(rule([table.proxy_uid(Op::Eq)], Verdict::Return));
    // ip daddr 127.0.0.1 return: the pod's containers reach each other directly
    rules.push(rule([table.loopback_address(Op::Eq)], Verdict::Return));
    rules.extend(table.end_of_outbound());
    chain(table.names().outbound, rules)
}
