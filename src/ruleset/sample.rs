//! Policies for the table tests of this module and of [`crate::nft`].

use ipnetwork::IpNetwork;

use super::{Ruleset, build};
use crate::config::profile::Layout;
use crate::config::{Ipv6Mode, Lists, PortRange, Proxy};
use crate::interface::InterfacePattern;
use crate::policy::{LocalProxy, Policy};

/// A policy without lists.
pub(crate) fn policy(layout: &'static Layout) -> Policy {
    Policy {
        layout,
        proxy: Proxy {
            uid: 1500,
            outbound_port: 15001,
            inbound_port: 15003,
            admin_port: 15000,
            inbound_bypass_ports: ports(&[(15010, 15010)]),
        },
        ipv6: Ipv6Mode::Bypass,
        local_proxy: LocalProxy::Localhost,
        mesh: Lists::default(),
        pod: Lists::default(),
    }
}

/// A policy whose mesh has something in each exclusion list.
pub(crate) fn policy_with_lists(layout: &'static Layout) -> Policy {
    let mesh = Lists {
        outbound_ports: ports(&[(6379, 6379), (7070, 7070)]),
        inbound_ports: ports(&[(9000, 9003)]),
        outbound_ranges: ranges(&["1.1.1.1/32", "2.2.2.0/24", "2001:db8::/32"]),
        included_ranges: Vec::new(),
        interfaces: vec![InterfacePattern::exact("net1")],
        outbound_uids: vec![1337],
    };
    Policy { mesh, ..policy(layout) }
}

/// The ruleset of a policy, for no attachment.
pub(crate) fn ruleset(policy: &Policy) -> Ruleset {
    build(policy, None)
}

/// Port ranges.
pub(crate) fn ports(ranges: &[(u16, u16)]) -> Vec<PortRange> {
    ranges.iter().map(|(first, last)| PortRange::new(*first, *last).expect("a range")).collect()
}

/// Address ranges.
pub(crate) fn ranges(texts: &[&str]) -> Vec<IpNetwork> {
    texts.iter().map(|text| text.parse().expect("a range")).collect()
}
