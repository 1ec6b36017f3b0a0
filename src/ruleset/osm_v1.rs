//! The outbound chain of `osm-v1` and `fsm`: what stays inside the pod first,
//! then the proxy's own packets, then exclusions; the rest goes to the proxy.
//! The proxy's connections to the pod's own address go through the inbound
//! listener.
//!
//! Pure.

use super::builder::{Builder, LOOPBACK, chain, rule};
use super::{Chain, Match, Op, Verdict};

/// Builds the chain.
pub(super) fn outbound(table: &mut Builder<'_>) -> Chain {
    let lo = || Match::OutputInterface(LOOPBACK);
    let mut rules = vec![
        // oifname "lo" ip daddr != 127.0.0.1 meta skuid 1500 jump
        // OSM_PROXY_IN_REDIRECT: the application connects to the pod's own
        // address, and the proxy treats that like any inbound connection
        rule(
            [lo(), table.loopback_address(Op::Ne), table.proxy_uid(Op::Eq)],
            Verdict::Jump(table.names().in_redirect.into()),
        ),
        // meta skuid 1500 return: the proxy's own packets pass
        rule([table.proxy_uid(Op::Eq)], Verdict::Return),
        // oifname "lo" return: inside the pod. OSM has this rule before the last
        // one, with `! --uid-owner 1500`. iptables matches that for packets
        // without an owner, such as an MPTCP join; `meta skuid != 1500` does
        // not (nft_meta_get_eval_skugid breaks without a socket's file). In
        // this order no uid is compared, and every packet takes the same way.
        rule([lo()], Verdict::Return),
        // ip daddr 127.0.0.1 return: inside the pod
        rule([table.loopback_address(Op::Eq)], Verdict::Return),
    ];
    rules.extend(table.outbound_uids());
    // oifname "net1" return: excluded by a list
    rules.extend(table.interfaces(Match::OutputInterface));
    rules.extend(table.outbound_ranges());
    rules.extend(table.outbound_ports());
    rules.extend(table.end_of_outbound());
    chain(table.names().outbound, rules)
}
