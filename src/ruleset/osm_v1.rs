//! `osm-v1`: the chains of OSM 1.x. They also bring the proxy's connections to
//! the pod's own address back through the inbound listener, and let whatever
//! else stays on the loopback device alone.
//!
//! Pure.

use super::builder::{Builder, LOOPBACK, chain, rule, tables};
use super::{Chain, Match, Op, Ruleset, Verdict};
use crate::policy::Policy;

/// The rules that a policy asks for.
pub(super) fn build(policy: &Policy) -> Ruleset {
    tables(policy, outbound)
}

/// The outbound story: what stays inside the pod first, then the proxy's own
/// packets, then exclusions; all else is the proxy's.
fn outbound(table: &mut Builder<'_>) -> Chain {
    let names = &table.policy.layout.chains;
    let lo = || Match::OutputInterface(LOOPBACK);
    let mut rules = vec![
        // oifname "lo" ip daddr != 127.0.0.1 meta skuid 1500 jump
        // OSM_PROXY_IN_REDIRECT: the application calls itself by the pod's
        // address, and the proxy brings that in as any other caller's
        rule(
            [lo(), table.loopback_address(Op::Ne), table.proxy_uid(Op::Eq)],
            Verdict::Jump(names.in_redirect.into()),
        ),
        // oifname "lo" meta skuid != 1500 return: inside the pod
        rule([lo(), table.proxy_uid(Op::Ne)], Verdict::Return),
        // meta skuid 1500 return: the proxy's own packets pass
        rule([table.proxy_uid(Op::Eq)], Verdict::Return),
        // ip daddr 127.0.0.1 return: inside the pod
        rule([table.loopback_address(Op::Eq)], Verdict::Return),
    ];
    rules.extend(table.outbound_uids());
    // oifname "net1" return: excluded by a list
    rules.extend(table.interfaces(Match::OutputInterface));
    rules.extend(table.outbound_ranges());
    rules.extend(table.outbound_ports());
    rules.extend(table.end_of_outbound(names));
    chain(names.outbound, rules)
}
