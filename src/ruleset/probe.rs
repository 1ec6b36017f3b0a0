//! The probe rule of `osm-cni validate`: a destination that our rules redirect to the
//! proxy in every pod, whatever the lists say. No packet to it leaves the pod.
//!
//! Pure.

use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};

use super::builder::{Builder, rule};
use super::{Family, Match, Op, Operand, Rule, Verdict};

/// Where `validate` connects to: an address of the loopback network.
pub const PROBE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(127, 0, 2, 1), 15099);

/// The comment of the rule.
pub const PROBE_COMMENT: &str = "validate";

/// `ip daddr 127.0.2.1 tcp dport 15099 meta skuid != 1500 redirect to :15001`.
/// It does not match the proxy's own packets. Otherwise a proxy that passes such a
/// connection on would get it back in an endless loop.
pub(super) fn probe(table: &Builder<'_>) -> Option<Rule> {
    (table.family == Family::Ip).then(|| {
        let address = Operand::One(IpAddr::V4(*PROBE.ip()));
        let matches = [
            Match::DestinationAddress { op: Op::Eq, prefix_len: 32, value: address },
            Match::Tcp,
            Match::DestinationPort { mask: u16::MAX, value: Operand::One(PROBE.port()) },
            table.proxy_uid(Op::Ne),
        ];
        let verdict = Verdict::Redirect(table.policy.proxy.outbound_port);
        Rule { comment: Some(PROBE_COMMENT.into()), ..rule(matches, verdict) }
    })
}
