//! The evaluator: the path that a new TCP connection takes through a ruleset,
//! and where it ends. The kernel's semantics, as far as our rules use them: base
//! chains of a hook in the order of their priorities, jumps of bounded
//! depth, policy accept, and the first translation or reset is the end.
//!
//! Pure.

mod conditions;
mod decisions;
mod walk;

use std::net::{IpAddr, SocketAddr};

use super::{Chain, Family, Match, Name, Provenance, Rule, Ruleset, Verdict};
pub use decisions::{Decisions, decisions};
use walk::Walk;

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
    /// its own addresses do not: prerouting's nat chains do not
    /// see a connection that output's have seen.
    Inbound,
    /// A process of the pod makes it, through output.
    Outbound,
}

/// The path of a packet through the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path<'a> {
    /// The rules it met, in order, matched or not.
    pub(crate) steps: Vec<Step<'a>>,
    /// Where it ends.
    pub end: End,
    /// The index in `steps` of the rule that decided: the last that matched and
    /// was no jump. None if no rule did.
    pub(crate) decided_by: Option<usize>,
}

/// One rule that a packet met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step<'a> {
    /// The chain.
    pub(crate) chain: &'a Chain,
    /// The rule's index in the chain, from 0.
    pub(crate) index: usize,
    /// The rule.
    pub(crate) rule: &'a Rule,
    /// Whether all its conditions held.
    pub(crate) matched: bool,
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
    ToAddress(IpAddr),
    /// Nowhere: it is refused with a reset.
    Reset,
}

/// Why a ruleset could not be followed. [`super::build()`] makes none of these.
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
pub(crate) const MAX_JUMPS: usize = 16;

/// Follows a packet through the rules of its family. Where the ruleset has no
/// table of that family it goes straight to its destination.
///
/// # Errors
/// A ruleset that is broken: see [`EvalError`].
pub fn eval<'a>(ruleset: &'a Ruleset, packet: &Packet<'_>) -> Result<Path<'a>, EvalError> {
    let Some(table) = ruleset.table(Family::of(packet.destination.ip())) else {
        return Ok(Path { steps: Vec::new(), end: End::Direct, decided_by: None });
    };
    let holds = |condition: &'a Match| conditions::holds(table, packet, condition);
    let mut walk = Walk { table, direction: packet.direction, holds, steps: Vec::new() };
    let end = walk.hooks()?;
    let decides = |step: &Step<'_>| step.matched && !matches!(step.rule.verdict, Verdict::Jump(_));
    let decided_by = walk.steps.iter().rposition(decides);
    Ok(Path { steps: walk.steps, end, decided_by })
}

impl<'a> Path<'a> {
    /// The rule that decided; none where the packet fell through to the policy.
    pub(crate) fn decision(&self) -> Option<Step<'a>> {
        self.decided_by.and_then(|index| self.steps.get(index)).copied()
    }

    /// The list that the deciding rule comes from, if it comes from one.
    pub(crate) fn provenance(&self) -> Option<Provenance> {
        self.decision().and_then(|step| step.provenance())
    }
}

impl Step<'_> {
    /// The list that the rule comes from, if it comes from one.
    pub(crate) fn provenance(&self) -> Option<Provenance> {
        self.rule.comment.as_deref().and_then(Provenance::parse)
    }
}

#[cfg(test)]
mod tests;
