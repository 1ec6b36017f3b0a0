//! Reading 3, the way out: a [`Ruleset`] becomes one batch of netlink
//! messages, and each message keeps a name, so that a refusal says which rule.
//!
//! Pure. The bytes are rustables' doing; what nft itself sends for the same
//! sentence is the model, so that `nft list` shows it and can load it again.

mod rule;

use std::fmt;

use rustables::set::SetElementList;
use rustables::sys::{
    NFTA_DATA_VALUE, NFTA_LIST_ELEM, NFTA_SET_DESC, NFTA_SET_DESC_SIZE, NFTA_SET_ELEM_KEY,
    NFTA_SET_ELEM_LIST_ELEMENTS, NLM_F_ACK, NLM_F_EXCL,
};
use rustables::{ChainPolicy, ChainType, HookClass, MsgType, ProtocolFamily};

use super::data::{self, SetKind};
use super::wire::{self, HEADER, Messages, ne_u16, ne_u32};
use crate::ruleset::{
    Chain, ChainKind, Elements, Family, Hook, HookPoint, Rule, Ruleset, Set, TABLE, Table, text,
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

/// What a message makes, for guesses at what a kernel lacks.
pub(super) enum Part<'r> {
    /// A table, or its removal.
    Table,
    /// A set or its elements.
    Set,
    /// A chain.
    Chain(&'r Chain),
    /// A rule.
    Rule(&'r Rule),
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

    /// The part of the ruleset that the message of this sequence number makes.
    pub(super) fn part(&self, sequence: u32) -> Option<(Family, Part<'_>)> {
        let index = (sequence as usize).checked_sub(1)?;
        let tables = self.ruleset.map(|ruleset| ruleset.tables.as_slice()).unwrap_or_default();
        Some(match *self.messages.get(index)? {
            Subject::AddTable(family) | Subject::DeleteTable(family) => (family, Part::Table),
            Subject::Table(table) => (tables.get(table)?.family, Part::Table),
            Subject::Set(table, _) | Subject::Elements(table, _) => {
                (tables.get(table)?.family, Part::Set)
            }
            Subject::Chain(table, chain) => {
                let table = tables.get(table)?;
                (table.family, Part::Chain(table.chains.get(chain)?))
            }
            Subject::Rule(table, chain, rule) => {
                let table = tables.get(table)?;
                (table.family, Part::Rule(table.chains.get(chain)?.rules.get(rule)?))
            }
        })
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
    /// Attributes to be appended to a message, in the order of the messages.
    appendices: Vec<Appendix>,
}

/// Attributes that rustables has not, or not for as many as we have: for each
/// element it would allocate three times.
struct Appendix {
    /// Sequence number of the message.
    sequence: usize,
    attributes: Vec<u8>,
}

impl Writer {
    fn new() -> Self {
        Writer { batch: rustables::Batch::new(), messages: Vec::new(), appendices: Vec::new() }
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
            self.set(index, at, family, set);
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
                let message = rule::message(table.family, parent, rule);
                self.batch.add(&message, MsgType::Add);
                self.messages.push(Subject::Rule(index, at, number));
            }
        }
    }

    fn set(&mut self, table: usize, at: usize, family: ProtocolFamily, set: &Set) {
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
        if let Some(size) = set.size() {
            self.append(wire::nested(NFTA_SET_DESC, |description| {
                wire::add_attribute(description, NFTA_SET_DESC_SIZE, &size.to_be_bytes());
            }));
        }
        let lists = match &set.elements {
            Elements::Ipv4(all) => lists(all, |address| address.octets()),
            Elements::Ipv6(all) => lists(all, |address| address.octets()),
            Elements::Ports(all) => lists(all, |port| port.to_be_bytes()),
            // the kernel compares a uid as it has it in memory
            Elements::Uids(all) => lists(all, |uid| uid.to_ne_bytes()),
        };
        for list in lists {
            let message = SetElementList {
                family,
                table: Some(TABLE.to_owned()),
                set: Some(set.name.to_string()),
                elements: None,
            };
            self.batch.add(&message, MsgType::Add);
            self.messages.push(Subject::Elements(table, at));
            self.append(list);
        }
    }

    /// Appends to the message that was added last.
    fn append(&mut self, attributes: Vec<u8>) {
        self.appendices.push(Appendix { sequence: self.messages.len(), attributes });
    }

    fn finish(self, ruleset: Option<&Ruleset>) -> Batch<'_> {
        let mut bytes = self.batch.finalize();
        if !self.appendices.is_empty() {
            bytes = with_appendices(&bytes, &self.appendices);
        }
        ask_for_last_answer_only(&mut bytes, self.messages.len());
        Batch { bytes, messages: self.messages, ruleset }
    }
}

/// A set's elements, as many messages as it takes:
/// `NFTA_LIST_ELEM { NFTA_SET_ELEM_KEY { NFTA_DATA_VALUE } }` each.
fn lists<T, const N: usize>(all: &[T], key: impl Fn(&T) -> [u8; N]) -> Vec<Vec<u8>> {
    // one element; the others differ in their keys alone
    let mut element = wire::nested(NFTA_LIST_ELEM, |element| {
        wire::add_nested(element, NFTA_SET_ELEM_KEY, |name| {
            wire::add_attribute(name, NFTA_DATA_VALUE, &[0; N]);
        });
    });
    let per_message = ELEMENTS_MAX_BYTES / element.len();
    let start = element.len() - wire::align(N);
    let mut list = |part: &[T]| {
        wire::nested(NFTA_SET_ELEM_LIST_ELEMENTS, |list| {
            list.reserve_exact(part.len() * element.len());
            for item in part {
                element[start..start + N].copy_from_slice(&key(item));
                list.extend_from_slice(&element);
            }
        })
    };
    all.chunks(per_message).map(&mut list).collect()
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

fn protocol_family(family: Family) -> ProtocolFamily {
    match family {
        Family::Ip => ProtocolFamily::Ipv4,
        Family::Ip6 => ProtocolFamily::Ipv6,
    }
}

/// The same messages, some of them with more attributes.
fn with_appendices(bytes: &[u8], appendices: &[Appendix]) -> Vec<u8> {
    let more: usize = appendices.iter().map(|appendix| appendix.attributes.len()).sum();
    let mut written = Vec::with_capacity(bytes.len() + more);
    let mut appendices = appendices.iter().peekable();
    // the batch's own message, the first, has number 0
    for (sequence, message) in Messages(bytes).enumerate() {
        let start = written.len();
        message.write(&mut written);
        while let Some(appendix) = appendices.next_if(|next| next.sequence == sequence) {
            written.extend_from_slice(&appendix.attributes);
            wire::set_length(&mut written[start..]);
        }
    }
    written
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
