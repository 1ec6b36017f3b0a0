//! A policy becomes a ruleset. This module has the base chains, the inbound chain
//! and the two redirecting chains, which are the same in every layout.
//! [`super::osm_v0`] and [`super::osm_v1`] build the outbound chain,
//! [`super::lists`] the rules of the lists.
//!
//! Pure.

use std::net::IpAddr;

use super::blocks::blocks;
use super::builder::{Action, Builder, LOOPBACK, chain, port_match, rule};
use super::probe::probe;
use super::{
    Chain, ChainKind, Family, Hook, HookPoint, List, Match, Op, Operand, Owner, Rule, Ruleset,
    Table, Verdict, osm_v0, osm_v1,
};
use crate::config::Ipv6Mode;
use crate::config::profile::RuleOrder;
use crate::policy::{LocalProxy, Policy};

/// nat chains: where iptables' nat table hooks in (`NF_IP_PRI_NAT_DST`).
const PRIORITY_NAT: i32 = -100;
/// filter chains: where iptables' filter table hooks in (`NF_IP_PRI_FILTER`).
const PRIORITY_FILTER: i32 = 0;

/// Builds the ruleset of a policy: IPv4's table, and IPv6's unless it is
/// bypassed.
pub(crate) fn build(policy: &Policy, owner: Option<&Owner>) -> Ruleset {
    let ipv6 = match policy.ipv6 {
        Ipv6Mode::Bypass => None,
        Ipv6Mode::Redirect => Some((Family::Ip6, Action::Redirect)),
        Ipv6Mode::Reject => Some((Family::Ip6, Action::Reject)),
    };
    let families = [(Family::Ip, Action::Redirect)].into_iter().chain(ipv6);
    let tables = families.map(|(family, action)| {
        let mut table = Builder { policy, family, action, sets: Vec::new() };
        let chains = table.chains();
        Table { family, owner: owner.cloned(), sets: table.sets, chains }
    });
    Ruleset { tables: tables.collect() }
}

impl Builder<'_> {
    fn chains(&mut self) -> Vec<Chain> {
        vec![
            self.prerouting(),
            self.inbound(),
            self.in_redirect(),
            self.output(),
            self.outbound(),
            self.out_redirect(),
        ]
    }

    /// `PREROUTING`: what arrives at the pod goes to the inbound chain.
    fn prerouting(&self) -> Chain {
        let mut rules = Vec::new();
        if self.action == Action::Reject {
            // iifname "lo" return: a nat chain on prerouting does not see what
            // was sent inside the pod, since OUTPUT had it; a filter chain does
            rules.push(rule([Match::InputInterface(LOOPBACK)], Verdict::Return));
        }
        rules.push(self.enter(self.names().inbound));
        self.base("PREROUTING", HookPoint::Prerouting, rules)
    }

    /// `OUTPUT`: what the pod sends goes to the outbound chain.
    fn output(&self) -> Chain {
        let mut rules: Vec<Rule> = probe(self).into_iter().collect();
        let pod_ip = match (&self.policy.local_proxy, self.family) {
            (LocalProxy::Localhost, _) => None,
            (LocalProxy::PodIp(addresses), Family::Ip) => addresses.ipv4().map(IpAddr::V4),
            (LocalProxy::PodIp(addresses), Family::Ip6) => addresses.ipv6().map(IpAddr::V6),
        };
        if let (Action::Redirect, Some(address)) = (self.action, pod_ip) {
            // meta l4proto tcp oifname "lo" ip daddr 127.0.0.1 meta skuid 1500
            // dnat to POD_IP: the application listens at the pod's address only
            let matches = [
                Match::Tcp,
                Match::OutputInterface(LOOPBACK),
                self.loopback_address(Op::Eq),
                self.proxy_uid(Op::Eq),
            ];
            rules.push(rule(matches, Verdict::Dnat(address)));
        }
        rules.push(self.enter(self.names().outbound));
        self.base("OUTPUT", HookPoint::Output, rules)
    }

    /// The inbound chain: exclusions and the proxy's own ports pass, the rest
    /// goes to the proxy.
    fn inbound(&mut self) -> Chain {
        // tcp dport @inbound_ports_mesh return: excluded by a list
        let mut rules = self.of_list(List::InboundPorts, |lists| &lists.inbound_ports, Self::ports);
        // iifname "net1" return: excluded by a list
        rules.extend(self.interfaces(Match::InputInterface));
        for range in &self.policy.proxy.inbound_bypass_ports {
            // tcp dport 15901 return: the proxy's metrics and health checks
            for (len, firsts) in blocks([(range.first().into(), range.last().into())], 16) {
                rules.extend(firsts.iter().map(|port| {
                    rule([Match::Tcp, port_match(len, Operand::One(*port as u16))], Verdict::Return)
                }));
            }
        }
        // meta l4proto tcp jump PROXY_IN_REDIRECT: the rest goes to the proxy
        rules.push(rule([Match::Tcp], Verdict::Jump(self.names().in_redirect.into())));
        chain(self.names().inbound, rules)
    }

    /// The chain that redirects inbound connections.
    fn in_redirect(&self) -> Chain {
        // meta l4proto tcp redirect to :15003
        let to_proxy = rule([Match::Tcp], self.to_proxy(self.policy.proxy.inbound_port));
        chain(self.names().in_redirect, vec![to_proxy])
    }

    fn outbound(&mut self) -> Chain {
        match self.policy.layout.order {
            RuleOrder::V0 => osm_v0::outbound(self),
            RuleOrder::V1 => osm_v1::outbound(self),
        }
    }

    /// The chain that redirects outbound connections.
    fn out_redirect(&self) -> Chain {
        let proxy = &self.policy.proxy;
        let admin = port_match(16, Operand::One(proxy.admin_port));
        let rules = vec![
            // meta l4proto tcp redirect to :15001
            rule([Match::Tcp], self.to_proxy(proxy.outbound_port)),
            // tcp dport 15000 accept: unreachable, in OSM's own rules too
            rule([Match::Tcp, admin], Verdict::Accept),
        ];
        chain(self.names().out_redirect, rules)
    }

    /// From a base chain to the chain of this name.
    fn enter(&self, chain: &'static str) -> Rule {
        let matches = match self.action {
            // meta l4proto tcp jump PROXY_INBOUND
            Action::Redirect => vec![Match::Tcp],
            // meta l4proto tcp ct state new jump PROXY_INBOUND
            Action::Reject => vec![Match::Tcp, Match::NewConnection],
        };
        rule(matches, Verdict::Jump(chain.into()))
    }

    fn to_proxy(&self, port: u16) -> Verdict {
        match self.action {
            Action::Redirect => Verdict::Redirect(port),
            Action::Reject => Verdict::RejectWithReset,
        }
    }

    fn base(&self, name: &'static str, point: HookPoint, rules: Vec<Rule>) -> Chain {
        let (kind, priority) = match self.action {
            Action::Redirect => (ChainKind::Nat, PRIORITY_NAT),
            Action::Reject => (ChainKind::Filter, PRIORITY_FILTER),
        };
        Chain { name: name.into(), hook: Some(Hook { kind, point, priority }), rules }
    }
}

#[cfg(test)]
mod tests;
