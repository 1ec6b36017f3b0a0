//! The domain: what the rules are. A [`Ruleset`] is built once from a
//! [`Policy`] and read in three ways: as text
//! ([`text`]), as the path of one packet ([`eval`]) and as the kernel's bytes
//! ([`crate::nft`]). A new match or verdict does not compile until all three
//! know it.
//!
//! Pure: no clock, no files, no kernel.

mod blocks;
mod builder;
pub mod eval;
mod osm_v0;
mod osm_v1;
mod set;
pub mod text;

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::config::profile::RuleOrder;
use crate::policy::Policy;

pub use set::{Elements, Set};

/// The name of our table, in every family.
pub const TABLE: &str = "osm";

/// The version of the layout, written into each table's comment. It changes
/// when CHECK of a newer plugin could no longer recognise an older table.
pub const LAYOUT_VERSION: u32 = 1;

/// A chain's or a set's name.
pub type Name = Cow<'static, str>;

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
    /// Whose table it is; none in rules that were only rendered.
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

/// What a table's comment says: which attachment the table belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The layout's version, see [`LAYOUT_VERSION`].
    pub layout: u32,
    /// The container id, as [`Owner::new`] shortens it.
    pub container: String,
    /// The interface (`CNI_IFNAME`).
    pub interface: String,
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
    /// The rule's comment; see [`Provenance`].
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
    /// comparison; it stands on whole ports, in host order.
    DestinationPort {
        /// The bits that count.
        mask: u16,
        /// A port, or a set of [`Elements::Ports`].
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
        /// A uid, or a set of [`Elements::Uids`].
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

/// An interface's name, or the beginning of one (`prefix+` in iptables,
/// `prefix*` in nft).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct InterfacePattern {
    /// The name or its beginning, at most 15 bytes.
    pub name: Cow<'static, str>,
    /// Whether only the beginning is given.
    pub prefix: bool,
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

/// Which list a rule comes from, and who wrote that list. It is the rule's
/// comment, so the kernel keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Provenance {
    /// The list.
    pub list: List,
    /// Its author.
    pub origin: Origin,
}

/// The lists that settings and annotations carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum List {
    /// Destination ports not redirected on the way out.
    OutboundPorts,
    /// Destination ports not redirected on the way in.
    InboundPorts,
    /// Destination ranges not redirected on the way out.
    OutboundRanges,
    /// The only destination ranges redirected on the way out.
    IncludedRanges,
    /// Interfaces whose traffic is not redirected.
    Interfaces,
    /// Uids whose traffic is not redirected.
    OutboundUids,
}

/// Who wrote a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// The mesh's settings.
    MeshConfig,
    /// The pod's annotations.
    PodAnnotation,
}

/// Builds the rules that a policy asks for.
pub fn build(policy: &Policy, owner: Option<&Owner>) -> Ruleset {
    let mut ruleset = match policy.layout.order {
        RuleOrder::V0 => osm_v0::build(policy),
        RuleOrder::V1 => osm_v1::build(policy),
    };
    for table in &mut ruleset.tables {
        table.owner = owner.cloned();
    }
    ruleset
}

impl Ruleset {
    /// How many rules there are, in all tables.
    pub fn rule_count(&self) -> usize {
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
    pub fn chain(&self, name: &str) -> Option<&Chain> {
        self.chains.iter().find(|chain| chain.name == name)
    }
}

impl Owner {
    /// The longest part of a container id that a comment has room for; nft
    /// shows comments of at most 128 bytes.
    const CONTAINER_MAX: usize = 72;

    /// The owner of this attachment under today's layout. A container id that
    /// is too long for a comment is shortened; characters outside
    /// `[A-Za-z0-9._@-]` (an interface may have them) become `_`.
    pub fn new(container: &str, interface: &str) -> Self {
        let plain = |text: &str, most: usize| {
            let end = text.char_indices().nth(most).map_or(text.len(), |(end, _)| end);
            let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '@' | '-');
            text[..end].replace(|c| !fits(c), "_")
        };
        Owner {
            layout: LAYOUT_VERSION,
            container: plain(container, Self::CONTAINER_MAX),
            interface: plain(interface, 15),
        }
    }

    /// Reads a table's comment; none if we did not write it.
    pub fn parse(comment: &str) -> Option<Self> {
        let rest = comment.strip_prefix("osm-cni layout ")?;
        let (layout, rest) = rest.split_once(" container ")?;
        let (container, interface) = rest.split_once(" interface ")?;
        Some(Owner {
            layout: layout.parse().ok()?,
            container: container.to_owned(),
            interface: interface.to_owned(),
        })
    }

    /// Whether both name the same attachment, whatever the layout.
    pub fn same_attachment(&self, other: &Owner) -> bool {
        self.container == other.container && self.interface == other.interface
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "osm-cni layout {} container {} interface {}",
            self.layout, self.container, self.interface
        )
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
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Family::Ip,
            IpAddr::V6(_) => Family::Ip6,
        }
    }
}

impl InterfacePattern {
    /// Exactly this interface.
    pub const fn exact(name: &'static str) -> Self {
        InterfacePattern { name: Cow::Borrowed(name), prefix: false }
    }

    /// Whether an interface of this name is meant.
    pub fn matches(&self, interface: &str) -> bool {
        if self.prefix { interface.starts_with(&*self.name) } else { interface == self.name }
    }
}

impl Provenance {
    /// The comment of a rule that comes from this list.
    pub fn comment(self) -> &'static str {
        use List::*;
        use Origin::*;
        match (self.list, self.origin) {
            (OutboundPorts, MeshConfig) => "outbound ports: mesh config",
            (OutboundPorts, PodAnnotation) => "outbound ports: pod annotation",
            (InboundPorts, MeshConfig) => "inbound ports: mesh config",
            (InboundPorts, PodAnnotation) => "inbound ports: pod annotation",
            (OutboundRanges, MeshConfig) => "outbound ranges: mesh config",
            (OutboundRanges, PodAnnotation) => "outbound ranges: pod annotation",
            (IncludedRanges, MeshConfig) => "included ranges: mesh config",
            (IncludedRanges, PodAnnotation) => "included ranges: pod annotation",
            (Interfaces, MeshConfig) => "interfaces: mesh config",
            (Interfaces, PodAnnotation) => "interfaces: pod annotation",
            (OutboundUids, MeshConfig) => "outbound uids: mesh config",
            (OutboundUids, PodAnnotation) => "outbound uids: pod annotation",
        }
    }

    /// Every provenance there can be.
    pub fn all() -> impl Iterator<Item = Self> {
        use List::*;
        let lists =
            [OutboundPorts, InboundPorts, OutboundRanges, IncludedRanges, Interfaces, OutboundUids];
        lists.into_iter().flat_map(|list| {
            [Origin::MeshConfig, Origin::PodAnnotation].map(|origin| Provenance { list, origin })
        })
    }

    /// Reads a rule's comment back.
    pub fn parse(comment: &str) -> Option<Self> {
        Self::all().find(|provenance| provenance.comment() == comment)
    }
}
