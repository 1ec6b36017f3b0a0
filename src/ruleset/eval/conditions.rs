//! What one condition says of one packet.
//!
//! Pure.

use std::net::IpAddr;

use ipnetwork::IpNetwork;

use super::Packet;
use super::walk::NoSuchSet;
use crate::interface::InterfacePattern;
use crate::ruleset::{Elements, Match, Name, Op, Operand, Table};

/// Whether a condition of a table's rule holds for a packet.
pub(super) fn holds(
    table: &Table,
    packet: &Packet<'_>,
    condition: &Match,
) -> Result<bool, NoSuchSet> {
    Ok(match condition {
        // The packet is the first of a TCP connection.
        Match::Tcp | Match::NewConnection => true,
        Match::DestinationPort { mask, value } => {
            let port = packet.destination.port() & mask;
            match value {
                Operand::One(one) => port == *one,
                Operand::InSet(name) => {
                    in_set(table, name, |elements| Some(elements.ports()?.contains(&port)))?
                }
            }
        }
        Match::DestinationAddress { op, prefix_len, value } => {
            let network = network(packet.destination.ip(), *prefix_len);
            let equal = match value {
                Operand::One(one) => network == *one,
                Operand::InSet(name) => {
                    in_set(table, name, |elements| match (elements, network) {
                        (Elements::Ipv4(all), IpAddr::V4(network)) => Some(all.contains(&network)),
                        (Elements::Ipv6(all), IpAddr::V6(network)) => Some(all.contains(&network)),
                        _ => None,
                    })?
                }
            };
            op.accepts(equal)
        }
        Match::SocketUid { op, value } => {
            // Without a socket the kernel breaks off: neither == nor !=.
            let Some(uid) = packet.uid else { return Ok(false) };
            let equal = match value {
                Operand::One(one) => uid == *one,
                Operand::InSet(name) => {
                    in_set(table, name, |elements| Some(elements.uids()?.contains(&uid)))?
                }
            };
            op.accepts(equal)
        }
        Match::InputInterface(pattern) => is_meant(pattern, packet.in_interface),
        Match::OutputInterface(pattern) => is_meant(pattern, packet.out_interface),
    })
}

fn in_set(
    table: &Table,
    name: &Name,
    holds: impl FnOnce(&Elements) -> Option<bool>,
) -> Result<bool, NoSuchSet> {
    let elements = table.set(name).map(|set| &set.elements);
    elements.and_then(holds).ok_or_else(|| NoSuchSet(name.clone()))
}

impl Op {
    fn accepts(self, equal: bool) -> bool {
        match self {
            Op::Eq => equal,
            Op::Ne => !equal,
        }
    }
}

/// The kernel compares with the empty name where there is no interface.
fn is_meant(pattern: &InterfacePattern, interface: Option<&str>) -> bool {
    pattern.matches(interface.unwrap_or_default())
}

/// The first bits of an address, the others zero.
fn network(address: IpAddr, prefix_len: u8) -> IpAddr {
    IpNetwork::new(address, prefix_len).map_or(address, |range| range.network())
}
