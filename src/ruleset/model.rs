//! The types of a ruleset: tables, chains, rules, conditions, verdicts.
//!
//! Pure.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Owner, Set};
use crate::interface::InterfacePattern;

/// The name of our table, in every family.
pub(crate) const TABLE: &str = "osm";

/// A chain's or a set's name.
pub(crate) type Name = Cow<'static, str>;

/// All that osm-cni sets in one network namespace: one table per family.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ruleset {
    /// The tables; IPv4's comes first.
    pub tables: Vec<Table>,
}

/// `table ip osm` or `table ip6 osm`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// The family.
    pub family: Family,
    /// The attachment that the table belongs to; none in rules that are only rendered.
    pub owner: Option<Owner>,
    /// Named sets, in the order they are made.
    pub sets: Vec<Set>,
    /// Chains, in the order of evaluation.
    pub chains: Vec<Chain>,
}

/// The address family of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4, `ip` in nft.
    Ip,
    /// IPv6, `ip6` in nft.
    Ip6,
}

/// A chain and its rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// The name, unique in its table.
    pub name: Name,
    /// Where the packets come from; none for a chain that is jumped to.
    pub hook: Option<Hook>,
    /// The rules in order.
    pub rules: Vec<Rule>,
}

/// A base chain's place in the kernel. Its policy is always accept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hook {
    /// nat or filter.
    pub kind: ChainKind,
    /// prerouting or output.
    pub point: HookPoint,
    /// The priority; lower runs earlier.
    pub priority: i32,
}

/// The type of a base chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChainKind {
    /// Sees the first packet of a connection only.
    Nat,
    /// Sees every packet.
    Filter,
}

/// The netfilter hooks that we use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookPoint {
    /// Packets that arrive at the pod.
    Prerouting,
    /// Packets that a process of the pod sends.
    Output,
}

/// One rule: all matches must hold, then the verdict is taken. Every rule has
/// a counter, which is not part of its identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The conditions, in the order they are tested.
    pub matches: Vec<Match>,
    /// What happens then.
    pub verdict: Verdict,
    /// The rule's comment; see [`super::Provenance`].
    pub comment: Option<Cow<'static, str>>,
}

/// One condition of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Match {
    /// `meta l4proto tcp`
    Tcp,
    /// `ct state new`
    NewConnection,
    /// `tcp dport [& mask ==] value`. The mask is 0xffff for a plain
    /// comparison; it is in host byte order.
    DestinationPort {
        /// The bits that count.
        mask: u16,
        /// A port, or a set of [`super::Elements::Ports`].
        value: Operand<u16>,
    },
    /// `ip daddr [& mask ==] value`
    DestinationAddress {
        /// Equal or not; sets are compared with equal only.
        op: Op,
        /// How many leading bits count, 1–32 or 1–128.
        prefix_len: u8,
        /// An address of the table's family, or a set of such.
        value: Operand<IpAddr>,
    },
    /// `meta skuid value`: the fsuid of the process that made the socket.
    SocketUid {
        /// Equal or not; sets are compared with equal only.
        op: Op,
        /// A uid, or a set of [`super::Elements::Uids`].
        value: Operand<u32>,
    },
    /// `iifname pattern`
    InputInterface(InterfacePattern),
    /// `oifname pattern`
    OutputInterface(InterfacePattern),
}

/// How a value is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// `==`
    Eq,
    /// `!=`
    Ne,
}

/// What a field is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operand<T> {
    /// One value.
    One(T),
    /// A member of the named set.
    InSet(Name),
}

/// What a rule does with a packet that it matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Back to the chain that jumped here; the policy in a base chain.
    Return,
    /// The packet goes on where it was going.
    Accept,
    /// On to another chain, and back after its last rule.
    Jump(Name),
    /// To this port of the pod itself.
    Redirect(u16),
    /// To this address, the port unchanged.
    Dnat(IpAddr),
    /// Refused with a TCP reset.
    RejectWithReset,
}

impl Ruleset {
    /// How many rules there are, in all tables.
    pub(crate) fn rule_count(&self) -> usize {
        let chains = self.tables.iter().flat_map(|table| &table.chains);
        chains.map(|chain| chain.rules.len()).sum()
    }

    /// The table of one family.
    pub fn table(&self, family: Family) -> Option<&Table> {
        self.tables.iter().find(|table| table.family == family)
    }
}

impl Table {
    /// The set of this name.
    pub fn set(&self, name: &str) -> Option<&Set> {
        self.sets.iter().find(|set| set.name == name)
    }

    /// The chain of this name.
    pub(crate) fn chain(&self, name: &str) -> Option<&Chain> {
        self.chains.iter().find(|chain| chain.name == name)
    }
}

impl Family {
    /// nft's word for the family.
    pub fn as_str(self) -> &'static str {
        match self {
            Family::Ip => "ip",
            Family::Ip6 => "ip6",
        }
    }

    /// Bits of an address.
    pub fn address_bits(self) -> u8 {
        match self {
            Family::Ip => 32,
            Family::Ip6 => 128,
        }
    }

    /// The address that processes of the pod reach each other at.
    pub fn loopback(self) -> IpAddr {
        match self {
            Family::Ip => IpAddr::V4(Ipv4Addr::LOCALHOST),
            Family::Ip6 => IpAddr::V6(Ipv6Addr::LOCALHOST),
        }
    }

    /// The family of an address.
    pub(crate) fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Family::Ip,
            IpAddr::V6(_) => Family::Ip6,
        }
    }
}
