//! One table under construction: what the base chains ([`super::build()`]), the
//! outbound chains ([`super::osm_v0`], [`super::osm_v1`]), the lists and the probe
//! rule are made with.
//!
//! Pure.

use super::{Chain, Family, InterfacePattern, Match, Op, Operand, Rule, Set, Verdict};
use crate::config::profile::ChainNames;
use crate::policy::Policy;

/// The loopback device.
pub(super) const LOOPBACK: InterfacePattern = InterfacePattern::exact("lo");

/// What happens to a connection that the proxy should have.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// It is redirected to the proxy.
    Redirect,
    /// It is reset (`ipv6: reject`).
    Reject,
}

/// One table under construction.
pub(super) struct Builder<'a> {
    pub(super) policy: &'a Policy,
    pub(super) family: Family,
    /// The sets that the rules so far look into.
    pub(super) sets: Vec<Set>,
    pub(super) action: Action,
}

impl<'a> Builder<'a> {
    /// The names of the chains in this policy's layout.
    pub(super) fn names(&self) -> &'a ChainNames {
        &self.policy.layout.chains
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
}

/// A chain that is jumped to.
pub(super) fn chain(name: &'static str, rules: Vec<Rule>) -> Chain {
    Chain { name: name.into(), hook: None, rules }
}

/// A rule that comes from no list.
pub(super) fn rule(matches: impl IntoIterator<Item = Match>, verdict: Verdict) -> Rule {
    Rule { matches: matches.into_iter().collect(), verdict, comment: None }
}

/// `tcp dport`: the first `len` bits of the port are compared.
pub(super) fn port_match(len: u8, value: Operand<u16>) -> Match {
    Match::DestinationPort { mask: u16::MAX << (16 - len), value }
}
