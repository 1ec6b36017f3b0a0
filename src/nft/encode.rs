//! Reading 3, the way out: a [`Ruleset`] becomes one batch of netlink
//! messages, and each message keeps a name, so that a refusal says which rule.
//!
//! Pure. The bytes are rustables' doing; what nft itself sends for the same
//! sentence is the model, so that `nft list` shows it and can load it again.

use std::fmt;

use rustables::data_type::{DataType, ip_to_vec};
use rustables::expr::{
    Bitwise, Cmp, CmpOp, ConnTrackState, Conntrack, ConntrackKey, Counter, ExpressionVariant,
    Immediate, Lookup, Meta, MetaType, Nat, NatType, Payload, RawExpression, Register, Reject,
    RejectType, VerdictKind,
};
use rustables::set::{SetBuilder, SetElementList};
use rustables::sys::{
    NFT_PAYLOAD_NETWORK_HEADER, NFT_PAYLOAD_TRANSPORT_HEADER, NLM_F_ACK, NLM_F_EXCL,
};
use rustables::{ChainPolicy, ChainType, HookClass, MsgType, ProtocolFamily};

use super::data::{self, PortKey, SetKind, UidKey};
use super::wire::{self, HEADER, ne_u16, ne_u32};
use crate::ruleset::{
    Chain, ChainKind, Elements, Family, Hook, HookPoint, InterfacePattern, Match, Op, Operand,
    Rule, Ruleset, Set, TABLE, Table, Verdict, text,
};

/// Bytes of elements in one message at most: an attribute's length has 16
/// bits.
const ELEMENTS_MAX_BYTES: usize = 48_000;

/// A transaction ready to be sent. It borrows the ruleset for the names of its
/// messages.
#[derive(Debug)]
pub struct Batch<'r> {
    bytes: Vec<u8>,
    /// The n-th message has sequence number n + 1; 0 is the batch's own.
    messages: Vec<Subject>,
    ruleset: Option<&'r Ruleset>,
}

/// What one message is about. Indexes into the ruleset, so that nothing is
/// formatted unless something is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    AddTable(Family),
    DeleteTable(Family),
    Table(usize),
    Set(usize, usize),
    Elements(usize, usize),
    Chain(usize, usize),
    Rule(usize, usize, usize),
}

/// The transaction that leaves exactly these tables of ours, whatever was
/// there, and no table of ours in the families of `also_delete`.
pub fn replace<'r>(ruleset: &'r Ruleset, also_delete: &[Family]) -> Batch<'r> {
    let mut writer = Writer::new();
    for family in also_delete {
        if ruleset.table(*family).is_none() {
            writer.delete(*family);
        }
    }
    for (index, table) in ruleset.tables.iter().enumerate() {
        writer.delete(table.family);
        writer.table(index, table);
    }
    writer.finish(Some(ruleset))
}

/// The transaction that makes these tables where there is none of ours yet; it
/// is refused with EEXIST where there is one. A [`replace`] would do here too,
/// but the kernel lets whoever removed a table wait, when the socket is closed,
/// until no packet can be in it any more (`nft_rcv_nl_event` in
/// `net/netfilter/nf_tables_api.c`): some ten milliseconds per pod.
pub fn create(ruleset: &Ruleset) -> Batch<'_> {
    let mut writer = Writer::new();
    for (index, table) in ruleset.tables.iter().enumerate() {
        writer.table(index, table);
    }
    let mut batch = writer.finish(Some(ruleset));
    let is_table = |subject: &Subject| matches!(subject, Subject::Table(_));
    let tables: Vec<bool> = batch.messages.iter().map(is_table).collect();
    each_header(&mut batch.bytes, |index, flags| {
        // the batch's own message comes first
        let is_table = index.checked_sub(1).and_then(|index| tables.get(index));
        if is_table == Some(&true) { flags | NLM_F_EXCL as u16 } else { flags }
    });
    batch
}

/// The transaction that removes our tables of these families. It does not fail
/// where there is none.
pub fn delete(families: &[Family]) -> Batch<'static> {
    let mut writer = Writer::new();
    for family in families {
        writer.delete(*family);
    }
    writer.finish(None)
}

impl Batch<'_> {
    /// What goes to the kernel, in one piece.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many messages there are, without the batch's own two.
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// The sequence number of the last message, whose answer comes last.
    pub(super) fn last_sequence(&self) -> u32 {
        self.messages.len() as u32
    }

    /// What the message of this sequence number is about, in words; none for
    /// the batch as a whole.
    pub fn describe(&self, sequence: u32) -> Option<String> {
        let index = (sequence as usize).checked_sub(1)?;
        let subject = *self.messages.get(index)?;
        Some(Described { subject, ruleset: self.ruleset }.to_string())
    }

    /// The family that the message of this sequence number is about.
    pub(super) fn family(&self, sequence: u32) -> Option<Family> {
        let tables = &self.ruleset.map(|ruleset| ruleset.tables.as_slice()).unwrap_or_default();
        match *self.messages.get((sequence as usize).checked_sub(1)?)? {
            Subject::AddTable(family) | Subject::DeleteTable(family) => Some(family),
            Subject::Table(table)
            | Subject::Set(table, _)
            | Subject::Elements(table, _)
            | Subject::Chain(table, _)
            | Subject::Rule(table, ..) => Some(tables.get(table)?.family),
        }
    }

    /// The chain type that the message of this sequence number asks for.
    pub(super) fn chain_kind(&self, sequence: u32) -> Option<ChainKind> {
        match *self.messages.get((sequence as usize).checked_sub(1)?)? {
            Subject::Chain(table, chain) => {
                let chain = self.ruleset?.tables.get(table)?.chains.get(chain)?;
                chain.hook.map(|hook| hook.kind)
            }
            _ => None,
        }
    }

    /// The rule that the message of this sequence number adds.
    pub(super) fn rule(&self, sequence: u32) -> Option<&Rule> {
        match *self.messages.get((sequence as usize).checked_sub(1)?)? {
            Subject::Rule(table, chain, rule) => {
                self.ruleset?.tables.get(table)?.chains.get(chain)?.rules.get(rule)
            }
            _ => None,
        }
    }

    /// The message of this sequence number, header included.
    pub(super) fn message(&self, sequence: u32) -> Option<&[u8]> {
        let mut at = 0;
        for _ in 0..sequence {
            at += wire::align(ne_u32(&self.bytes, at)? as usize);
        }
        let length = ne_u32(&self.bytes, at)? as usize;
        self.bytes.get(at..at.checked_add(length)?)
    }
}

/// A subject with the ruleset that its indexes point into.
struct Described<'r> {
    subject: Subject,
    ruleset: Option<&'r Ruleset>,
}

impl fmt::Display for Described<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = |index: usize| self.ruleset.and_then(|ruleset| ruleset.tables.get(index));
        let family = |index: usize| table(index).map_or("", |table| table.family.as_str());
        match self.subject {
            Subject::AddTable(family) => write!(f, "table {} {TABLE}", family.as_str()),
            Subject::DeleteTable(family) => {
                write!(f, "removal of table {} {TABLE}", family.as_str())
            }
            Subject::Table(index) => write!(f, "table {} {TABLE}", family(index)),
            Subject::Set(index, set) | Subject::Elements(index, set) => {
                let name = table(index).and_then(|table| table.sets.get(set));
                let part =
                    if matches!(self.subject, Subject::Set(..)) { "" } else { "elements of " };
                let name = name.map_or("", |set| &set.name);
                write!(f, "{part}set {name} ({} {TABLE})", family(index))
            }
            Subject::Chain(index, chain) => {
                let name = table(index).and_then(|table| table.chains.get(chain));
                let name = name.map_or("", |chain| &chain.name);
                write!(f, "chain {name} ({} {TABLE})", family(index))
            }
            Subject::Rule(index, chain, rule) => {
                let chain = table(index).and_then(|table| table.chains.get(chain));
                let name = chain.map_or("", |chain| &chain.name);
                write!(f, "rule {} of chain {name} ({} {TABLE})", rule + 1, family(index))?;
                let rule = chain.and_then(|chain| chain.rules.get(rule));
                match (rule, table(index)) {
                    (Some(rule), Some(table)) => {
                        write!(f, ": {}", text::rule(rule, table.family))
                    }
                    _ => Ok(()),
                }
            }
        }
    }
}

/// Collects messages and their subjects side by side.
struct Writer {
    batch: rustables::Batch,
    messages: Vec<Subject>,
}

impl Writer {
    fn new() -> Self {
        Writer { batch: rustables::Batch::new(), messages: Vec::new() }
    }

    /// Adds the table so that its removal can't fail, then removes it.
    fn delete(&mut self, family: Family) {
        let table = rustables::Table::new(protocol_family(family)).with_name(TABLE);
        self.batch.add(&table, MsgType::Add);
        self.messages.push(Subject::AddTable(family));
        self.batch.add(&table, MsgType::Del);
        self.messages.push(Subject::DeleteTable(family));
    }

    fn table(&mut self, index: usize, table: &Table) {
        let family = protocol_family(table.family);
        let mut message = rustables::Table::new(family).with_name(TABLE).with_flags(0u32);
        if let Some(owner) = &table.owner {
            message.set_userdata(data::comment(&owner.to_string()));
        }
        self.batch.add(&message, MsgType::Add);
        self.messages.push(Subject::Table(index));
        for (at, set) in table.sets.iter().enumerate() {
            self.set(index, at, family, &message, set);
        }
        // all chains before any rule, since rules jump to chains
        let chains: Vec<_> =
            table.chains.iter().map(|chain| chain_message(&message, chain)).collect();
        for (at, chain) in chains.iter().enumerate() {
            self.batch.add(chain, MsgType::Add);
            self.messages.push(Subject::Chain(index, at));
        }
        for (at, (chain, parent)) in table.chains.iter().zip(&chains).enumerate() {
            for (number, rule) in chain.rules.iter().enumerate() {
                let message = rule_message(table.family, parent, rule);
                self.batch.add(&message, MsgType::Add);
                self.messages.push(Subject::Rule(index, at, number));
            }
        }
    }

    fn set(
        &mut self,
        table: usize,
        at: usize,
        family: ProtocolFamily,
        parent: &rustables::Table,
        set: &Set,
    ) {
        let kind = SetKind::of(&set.elements);
        let message = rustables::Set { family, ..Default::default() }
            .with_table(TABLE)
            .with_name(&*set.name)
            .with_flags(0u32)
            .with_key_type(kind.type_id())
            .with_key_len(kind.key_len())
            .with_id(at as u32 + 1)
            .with_userdata(kind.userdata());
        self.batch.add(&message, MsgType::Add);
        self.messages.push(Subject::Set(table, at));
        let name = &*set.name;
        let lists = match &set.elements {
            Elements::Ipv4(all) => lists(parent, name, all.iter().copied()),
            Elements::Ipv6(all) => lists(parent, name, all.iter().copied()),
            Elements::Ports(all) => lists(parent, name, all.iter().copied().map(PortKey)),
            Elements::Uids(all) => lists(parent, name, all.iter().copied().map(UidKey)),
        };
        for list in lists {
            self.batch.add(&list, MsgType::Add);
            self.messages.push(Subject::Elements(table, at));
        }
    }

    fn finish(self, ruleset: Option<&Ruleset>) -> Batch<'_> {
        let mut bytes = self.batch.finalize();
        ask_for_last_answer_only(&mut bytes, self.messages.len());
        Batch { bytes, messages: self.messages, ruleset }
    }
}

/// A set's elements, as many messages as it takes.
fn lists<K: DataType>(
    table: &rustables::Table,
    set: &str,
    mut keys: impl ExactSizeIterator<Item = K>,
) -> Vec<SetElementList> {
    // an element is three attributes around its key
    let per_message = ELEMENTS_MAX_BYTES / (12 + wire::align(K::LEN as usize));
    let mut lists = Vec::with_capacity(keys.len().div_ceil(per_message));
    while keys.len() > 0 {
        let mut builder = SetBuilder::new(set, table).expect("our tables have names");
        keys.by_ref().take(per_message).for_each(|key| builder.add(&key));
        lists.push(builder.finish().1);
    }
    lists
}

fn chain_message(table: &rustables::Table, chain: &Chain) -> rustables::Chain {
    let message = rustables::Chain::new(table).with_name(&*chain.name);
    let Some(Hook { kind, point, priority }) = chain.hook else { return message };
    let point = match point {
        HookPoint::Prerouting => HookClass::PreRouting,
        HookPoint::Output => HookClass::Out,
    };
    let kind = match kind {
        ChainKind::Nat => ChainType::Nat,
        ChainKind::Filter => ChainType::Filter,
    };
    message
        .with_hook(rustables::Hook::new(point, priority))
        .with_type(kind)
        .with_policy(ChainPolicy::Accept)
}

fn rule_message(family: Family, chain: &rustables::Chain, rule: &Rule) -> rustables::Rule {
    let mut message = rustables::Rule::new(chain).expect("our chains have names");
    for condition in &rule.matches {
        add_match(&mut message, family, condition);
    }
    message.add_expr(Counter::default().with_nb_bytes(0u64).with_nb_packets(0u64));
    add_verdict(&mut message, family, &rule.verdict);
    if let Some(comment) = &rule.comment {
        message.set_userdata(data::comment(comment));
    }
    message
}

fn add_match(rule: &mut rustables::Rule, family: Family, condition: &Match) {
    match condition {
        // [ meta load l4proto ] [ cmp eq 6 ]
        Match::Tcp => {
            rule.add_expr(Meta::new(MetaType::L4Proto));
            rule.add_expr(Cmp::new(CmpOp::Eq, [data::TCP]));
        }
        // [ ct load state ] [ bitwise & new ] [ cmp neq 0 ]
        Match::NewConnection => {
            rule.add_expr(Conntrack::new(ConntrackKey::State));
            add_mask(rule, &ConnTrackState::NEW.bits().to_ne_bytes());
            rule.add_expr(Cmp::new(CmpOp::Neq, [0; 4]));
        }
        // [ payload load 2b @ transport header + 2 ] [ bitwise ] [ cmp | lookup ]
        Match::DestinationPort { mask, value } => {
            add_payload(rule, NFT_PAYLOAD_TRANSPORT_HEADER, data::PORT_OFFSET, 2);
            if *mask != u16::MAX {
                add_mask(rule, &mask.to_be_bytes());
            }
            add_operand(rule, Op::Eq, value, |port| port.to_be_bytes().to_vec());
        }
        // [ payload load 4b @ network header + 16 ] [ bitwise ] [ cmp | lookup ]
        Match::DestinationAddress { op, prefix_len, value } => {
            let bytes = usize::from(family.address_bits() / 8);
            let offset = data::address_offset(family);
            add_payload(rule, NFT_PAYLOAD_NETWORK_HEADER, offset, bytes as u32);
            if *prefix_len < family.address_bits() {
                add_mask(rule, &data::prefix_mask(*prefix_len, bytes));
            }
            add_operand(rule, *op, value, |address| ip_to_vec(*address));
        }
        // [ meta load skuid ] [ cmp | lookup ], in the machine's byte order
        Match::SocketUid { op, value } => {
            rule.add_expr(Meta::new(MetaType::SkUid));
            add_operand(rule, *op, value, |uid| uid.to_ne_bytes().to_vec());
        }
        Match::InputInterface(pattern) => add_interface(rule, MetaType::IifName, pattern),
        Match::OutputInterface(pattern) => add_interface(rule, MetaType::OifName, pattern),
    }
}

fn add_payload(rule: &mut rustables::Rule, base: u32, offset: u32, len: u32) {
    let payload = Payload::default()
        .with_base(base)
        .with_offset(offset)
        .with_len(len)
        .with_dreg(Register::Reg1);
    rule.add_expr(payload);
}

fn add_mask(rule: &mut rustables::Rule, mask: &[u8]) {
    let xor = vec![0; mask.len()];
    rule.add_expr(Bitwise::new(mask, xor).expect("mask and xor have one length"));
}

/// # Panics
/// Where a set is compared with `!=`, which no ruleset of ours does and
/// rustables has no attribute for.
fn add_operand<T>(
    rule: &mut rustables::Rule,
    op: Op,
    value: &Operand<T>,
    bytes: impl Fn(&T) -> Vec<u8>,
) {
    match value {
        Operand::One(value) => {
            let op = match op {
                Op::Eq => CmpOp::Eq,
                Op::Ne => CmpOp::Neq,
            };
            rule.add_expr(Cmp::new(op, bytes(value)));
        }
        Operand::InSet(name) => {
            assert_eq!(op, Op::Eq, "set {name} can only be compared with equal");
            rule.add_expr(Lookup::default().with_set(&**name).with_sreg(Register::Reg1));
        }
    }
}

/// [ meta load iifname ] [ cmp eq ]: a whole name is compared with its padding,
/// the beginning of one without. Every name begins with nothing.
fn add_interface(rule: &mut rustables::Rule, name: MetaType, pattern: &InterfacePattern) {
    let mut bytes = pattern.name.as_bytes().to_vec();
    bytes.truncate(data::INTERFACE_NAME - 1);
    if !pattern.prefix {
        bytes.resize(data::INTERFACE_NAME, 0);
    } else if bytes.is_empty() {
        return;
    }
    rule.add_expr(Meta::new(name));
    rule.add_expr(Cmp::new(CmpOp::Eq, bytes));
}

fn add_verdict(rule: &mut rustables::Rule, family: Family, verdict: &Verdict) {
    match verdict {
        Verdict::Return => rule.add_expr(Immediate::new_verdict(VerdictKind::Return)),
        Verdict::Accept => rule.add_expr(Immediate::new_verdict(VerdictKind::Accept)),
        Verdict::Jump(chain) => {
            rule.add_expr(Immediate::new_verdict(VerdictKind::Jump { chain: chain.to_string() }));
        }
        // [ immediate port ] [ redir ]: rustables has no redir; its register
        // has the number that an immediate's has
        Verdict::Redirect(port) => {
            rule.add_expr(Immediate::new_data(port.to_be_bytes().to_vec(), Register::Reg1));
            let register = Immediate::default().with_dreg(Register::Reg1);
            let redir = RawExpression::default().with_name("redir");
            rule.add_expr(redir.with_data(ExpressionVariant::from(register)));
        }
        // [ immediate address ] [ nat dnat ]
        Verdict::Dnat(address) => {
            rule.add_expr(Immediate::new_data(ip_to_vec(*address), Register::Reg1));
            let nat = Nat::default()
                .with_nat_type(NatType::DNat)
                .with_family(protocol_family(family))
                .with_ip_register(Register::Reg1);
            rule.add_expr(nat);
        }
        Verdict::RejectWithReset => {
            rule.add_expr(Reject::default().with_type(RejectType::TcpRst));
        }
    }
}

fn protocol_family(family: Family) -> ProtocolFamily {
    match family {
        Family::Ip => ProtocolFamily::Ipv4,
        Family::Ip6 => ProtocolFamily::Ipv6,
    }
}

/// The kernel answers after the commit, errors always, success only where it
/// is asked to: so the last message's answer tells that all went well, and the
/// receive buffer can't overflow however long the batch is.
fn ask_for_last_answer_only(bytes: &mut [u8], last: usize) {
    let ack = NLM_F_ACK as u16;
    each_header(bytes, |index, flags| if index == last { flags | ack } else { flags & !ack });
}

/// Gives the n-th message other flags.
fn each_header(bytes: &mut [u8], flags_of: impl Fn(usize, u16) -> u16) {
    let mut at = 0;
    let mut index = 0;
    while let (Some(length), Some(flags)) = (ne_u32(bytes, at), ne_u16(bytes, at + 6)) {
        bytes[at + 6..at + 8].copy_from_slice(&flags_of(index, flags).to_ne_bytes());
        at += wire::align(length as usize).max(HEADER);
        index += 1;
    }
}
