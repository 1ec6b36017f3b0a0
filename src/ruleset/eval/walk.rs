//! One packet's walk through the chains of a table.
//!
//! Pure.

use std::net::{IpAddr, SocketAddr};

use super::{Direction, End, EvalError, MAX_JUMPS, Packet, Step};
use crate::interface::InterfacePattern;
use crate::ruleset::{
    Chain, Elements, HookPoint, Match, Name, Op, Operand, Rule, Table, Verdict, prefix_mask,
};

/// Where a packet goes after a chain.
enum Flow {
    /// On to the rule after the jump; in a base chain, on to the next one.
    Back,
    /// On to the next base chain.
    Accept,
    /// No further.
    End(End),
}

/// A packet on its way.
pub(super) struct Walk<'a, 'p> {
    pub(super) table: &'a Table,
    pub(super) packet: &'p Packet<'p>,
    pub(super) steps: Vec<Step<'a>>,
}

impl<'a> Walk<'a, '_> {
    /// Passes the base chains of the packet's hook.
    pub(super) fn hooks(&mut self) -> Result<End, EvalError> {
        let point = match self.packet.direction {
            Direction::Inbound => HookPoint::Prerouting,
            Direction::Outbound => HookPoint::Output,
        };
        let hooked = |chain: &'a Chain| {
            chain.hook.filter(|hook| hook.point == point).map(|hook| (hook.priority, chain))
        };
        let mut bases: Vec<_> = self.table.chains.iter().filter_map(hooked).collect();
        // Stable: of the same priority, the one made first comes first.
        bases.sort_by_key(|(priority, _)| *priority);
        for (_, chain) in bases {
            match self.chain(chain, 0)? {
                Flow::End(end) => return Ok(end),
                Flow::Back | Flow::Accept => {}
            }
        }
        Ok(End::Direct)
    }

    fn chain(&mut self, chain: &'a Chain, depth: usize) -> Result<Flow, EvalError> {
        if depth > MAX_JUMPS {
            return Err(EvalError::TooDeep { chain: chain.name.clone() });
        }
        for (index, rule) in chain.rules.iter().enumerate() {
            let matched = self.all_hold(chain, index, rule)?;
            self.steps.push(Step { chain, index, rule, matched });
            if !matched {
                continue;
            }
            match &rule.verdict {
                Verdict::Return => return Ok(Flow::Back),
                Verdict::Accept => return Ok(Flow::Accept),
                Verdict::Redirect(port) => return Ok(Flow::End(End::ToProxy { port: *port })),
                Verdict::Dnat(address) => {
                    let target = SocketAddr::new(*address, self.packet.destination.port());
                    return Ok(Flow::End(End::ToAddress(target)));
                }
                Verdict::RejectWithReset => return Ok(Flow::End(End::Reset)),
                Verdict::Jump(name) => {
                    let target = self.table.chain(name).ok_or_else(|| EvalError::NoChain {
                        chain: chain.name.clone(),
                        index,
                        target: name.clone(),
                    })?;
                    match self.chain(target, depth + 1)? {
                        Flow::Back => {}
                        done => return Ok(done),
                    }
                }
            }
        }
        Ok(Flow::Back)
    }

    fn all_hold(&self, chain: &Chain, index: usize, rule: &Rule) -> Result<bool, EvalError> {
        for condition in &rule.matches {
            let holds = self.holds(condition).map_err(|NoSuchSet(set)| EvalError::NoSet {
                chain: chain.name.clone(),
                index,
                set,
            })?;
            if !holds {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn holds(&self, condition: &Match) -> Result<bool, NoSuchSet> {
        Ok(match condition {
            // The packet is the first of a TCP connection.
            Match::Tcp | Match::NewConnection => true,
            Match::DestinationPort { mask, value } => {
                let port = self.packet.destination.port() & mask;
                match value {
                    Operand::One(one) => port == *one,
                    Operand::InSet(name) => self.in_set(name, |elements| match elements {
                        Elements::Ports(all) => Some(all.contains(&port)),
                        _ => None,
                    })?,
                }
            }
            Match::DestinationAddress { op, prefix_len, value } => {
                let network = network(self.packet.destination.ip(), *prefix_len);
                let equal = match value {
                    Operand::One(one) => network == *one,
                    Operand::InSet(name) => {
                        self.in_set(name, |elements| match (elements, network) {
                            (Elements::Ipv4(all), IpAddr::V4(network)) => {
                                Some(all.contains(&network))
                            }
                            (Elements::Ipv6(all), IpAddr::V6(network)) => {
                                Some(all.contains(&network))
                            }
                            _ => None,
                        })?
                    }
                };
                op.accepts(equal)
            }
            Match::SocketUid { op, value } => {
                // Without a socket the kernel breaks off: neither == nor !=.
                let Some(uid) = self.packet.uid else { return Ok(false) };
                let equal = match value {
                    Operand::One(one) => uid == *one,
                    Operand::InSet(name) => self.in_set(name, |elements| match elements {
                        Elements::Uids(all) => Some(all.contains(&uid)),
                        _ => None,
                    })?,
                };
                op.accepts(equal)
            }
            Match::InputInterface(pattern) => is_meant(pattern, self.packet.in_interface),
            Match::OutputInterface(pattern) => is_meant(pattern, self.packet.out_interface),
        })
    }

    fn in_set(
        &self,
        name: &Name,
        holds: impl FnOnce(&Elements) -> Option<bool>,
    ) -> Result<bool, NoSuchSet> {
        let elements = self.table.set(name).map(|set| &set.elements);
        elements.and_then(holds).ok_or_else(|| NoSuchSet(name.clone()))
    }
}

/// A set that is missing, or of another type.
struct NoSuchSet(Name);

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
    match address {
        IpAddr::V4(address) => {
            IpAddr::V4((u32::from(address) & prefix_mask(prefix_len, 32) as u32).into())
        }
        IpAddr::V6(address) => {
            IpAddr::V6((u128::from(address) & prefix_mask(prefix_len, 128)).into())
        }
    }
}
