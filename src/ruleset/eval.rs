//! Reading 2: the path that a new TCP connection takes through a ruleset, and
//! where it ends. The kernel's semantics, as far as our rules use them:
//! base chains of a hook in the order of their priorities, jumps of bounded
//! depth, policy accept, and the first translation or reset is the end.
//!
//! Pure.

use std::net::{IpAddr, SocketAddr};

use super::{
    Chain, Elements, Family, HookPoint, InterfacePattern, Match, Name, Op, Operand, Provenance,
    Rule, Ruleset, Table, Verdict,
};

/// The first packet of a TCP connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Which way it goes.
    pub direction: Direction,
    /// Where it was sent to.
    pub destination: SocketAddr,
    /// The fsuid of the process that made the socket. Packets that arrive have
    /// no socket yet: a condition on it holds for none of them.
    pub uid: Option<u32>,
    /// The interface it came in by; none if it was sent from here.
    pub in_interface: Option<&'a str>,
    /// The interface it would go out by; none if it arrived.
    pub out_interface: Option<&'a str>,
}

/// Which way a connection goes, seen from the pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// It arrives at the pod, through prerouting. Connections of the pod to
    /// its own addresses do not: the kernel asks prerouting's nat chains about
    /// no connection that output's have seen.
    Inbound,
    /// A process of the pod makes it, through output.
    Outbound,
}

/// The way of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path<'a> {
    /// The rules it met, in order, matched or not.
    pub steps: Vec<Step<'a>>,
    /// Where it ends.
    pub end: End,
    /// The index in `steps` of the rule that decided: the last that matched and
    /// was no jump. None if no rule did.
    pub decided_by: Option<usize>,
}

/// One rule that a packet met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step<'a> {
    /// The chain.
    pub chain: &'a Chain,
    /// The rule's index in the chain, from 0.
    pub index: usize,
    /// The rule.
    pub rule: &'a Rule,
    /// Whether all its conditions held.
    pub matched: bool,
}

/// Where a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// At a port of the pod itself: the proxy's.
    ToProxy {
        /// The port.
        port: u16,
    },
    /// Where it was sent to.
    Direct,
    /// At another address; the port is unchanged.
    ToAddress(SocketAddr),
    /// Nowhere: it is refused with a reset.
    Reset,
}

/// Why a ruleset could not be followed. [`super::build`] makes none of these.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    /// A jump leads nowhere.
    #[error("rule {index} of chain {chain} jumps to chain {target}, which the table does not have")]
    NoChain {
        /// The chain of the rule.
        chain: Name,
        /// The rule's index.
        index: usize,
        /// The chain that is missing.
        target: Name,
    },
    /// A set is missing, or its elements are of another type than the field.
    #[error(
        "rule {index} of chain {chain} looks into set {set}, which the table does not have with elements of that type"
    )]
    NoSet {
        /// The chain of the rule.
        chain: Name,
        /// The rule's index.
        index: usize,
        /// The set.
        set: Name,
    },
    /// More jumps in each other than the kernel takes.
    #[error("chain {chain} is more than {MAX_JUMPS} jumps deep")]
    TooDeep {
        /// The chain reached last.
        chain: Name,
    },
}

/// How deep jumps go: `NFT_JUMP_STACK_SIZE` in the kernel's
/// `include/net/netfilter/nf_tables.h`.
pub const MAX_JUMPS: usize = 16;

/// Follows a packet through the rules of its family. Where the ruleset has no
/// table of that family it goes straight to its destination.
///
/// # Errors
/// A ruleset that is broken: see [`EvalError`].
pub fn eval<'a>(ruleset: &'a Ruleset, packet: &Packet<'_>) -> Result<Path<'a>, EvalError> {
    let Some(table) = ruleset.table(Family::of(packet.destination.ip())) else {
        return Ok(Path { steps: Vec::new(), end: End::Direct, decided_by: None });
    };
    let mut walk = Walk { table, packet, steps: Vec::new() };
    let end = walk.hooks()?;
    let decides = |step: &Step<'_>| step.matched && !matches!(step.rule.verdict, Verdict::Jump(_));
    let decided_by = walk.steps.iter().rposition(decides);
    Ok(Path { steps: walk.steps, end, decided_by })
}

impl<'a> Path<'a> {
    /// The rule that decided; none where the packet fell through to the policy.
    pub fn decision(&self) -> Option<Step<'a>> {
        self.decided_by.and_then(|index| self.steps.get(index)).copied()
    }

    /// The list that the deciding rule comes from, if it comes from one.
    pub fn provenance(&self) -> Option<Provenance> {
        self.decision().and_then(|step| step.provenance())
    }
}

impl Step<'_> {
    /// The list that the rule comes from, if it comes from one.
    pub fn provenance(&self) -> Option<Provenance> {
        self.rule.comment.as_deref().and_then(Provenance::parse)
    }
}

/// What became of a packet in a chain.
enum Flow {
    /// On to the rule after the jump; in a base chain, on to the next one.
    Back,
    /// On to the next base chain.
    Accept,
    /// No further.
    End(End),
}

struct Walk<'a, 'p> {
    table: &'a Table,
    packet: &'p Packet<'p>,
    steps: Vec<Step<'a>>,
}

impl<'a> Walk<'a, '_> {
    fn hooks(&mut self) -> Result<End, EvalError> {
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
            let host = u32::MAX.checked_shr(prefix_len.into()).unwrap_or(0);
            IpAddr::V4((u32::from(address) & !host).into())
        }
        IpAddr::V6(address) => {
            let host = u128::MAX.checked_shr(prefix_len.into()).unwrap_or(0);
            IpAddr::V6((u128::from(address) & !host).into())
        }
    }
}

#[cfg(test)]
mod tests;
