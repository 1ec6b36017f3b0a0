//! Reading 3, the way out: a [`Ruleset`] becomes one batch of netlink
//! messages, and each message keeps a name, so that a refusal says which rule.
//!
//! Pure. The numbers are rustables', the kernel's own; what nft itself sends for
//! the same sentence is the model, so that `nft list` shows it and can load it
//! again. The bytes are written in one go: rustables' own messages take some two
//! hundred allocations for the rules of a pod, a third of an ADD's work.

mod rule;

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use rustables::sys::{
    NFNL_BATCH_GENID, NFNL_MSG_BATCH_BEGIN, NFNL_MSG_BATCH_END, NFT_MSG_DELTABLE, NFT_MSG_NEWCHAIN,
    NFT_MSG_NEWRULE, NFT_MSG_NEWSET, NFT_MSG_NEWSETELEM, NFT_MSG_NEWTABLE, NFTA_CHAIN_HOOK,
    NFTA_CHAIN_NAME, NFTA_CHAIN_POLICY, NFTA_CHAIN_TYPE, NFTA_DATA_VALUE, NFTA_HOOK_HOOKNUM,
    NFTA_HOOK_PRIORITY, NFTA_LIST_ELEM, NFTA_RULE_CHAIN, NFTA_RULE_USERDATA, NFTA_SET_DESC,
    NFTA_SET_DESC_SIZE, NFTA_SET_ELEM_KEY, NFTA_SET_ELEM_LIST_ELEMENTS, NFTA_SET_ELEM_LIST_SET,
    NFTA_SET_FLAGS, NFTA_SET_ID, NFTA_SET_KEY_LEN, NFTA_SET_KEY_TYPE, NFTA_SET_NAME,
    NFTA_SET_USERDATA, NFTA_TABLE_FLAGS, NFTA_TABLE_NAME, NFTA_TABLE_USERDATA, NLM_F_ACK,
    NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL,
};

use super::netlink::{self, ne_u32};
use super::uapi::{self, SetKind};
use crate::ruleset::{
    Chain, ChainKind, Elements, Family, Hook, HookPoint, Rule, Ruleset, Set, TABLE, Table, text,
};

/// Bytes of elements in one message at most: an attribute's length has 16
/// bits.
const ELEMENTS_MAX_BYTES: usize = 48_000;

/// The generation of a namespace whose nf_tables have not seen a transaction
/// yet (`nf_tables_init_net` in `net/netfilter/nf_tables_api.c`).
pub const UNTOUCHED: u32 = 1;

/// Bytes of a batch without long lists.
const USUAL_BYTES: usize = 8 << 10;

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
    let mut writer = Writer::new(None);
    for family in also_delete {
        if ruleset.table(*family).is_none() {
            writer.delete(*family);
        }
    }
    for (index, table) in ruleset.tables.iter().enumerate() {
        writer.delete(table.family);
        writer.table(index, table, false);
    }
    writer.finish(Some(ruleset))
}

/// The transaction that makes these tables where there is none of ours yet; it
/// is refused with EEXIST where there is one. With a generation, it is refused
/// with ERESTART where the namespace is of another one: before anything is done,
/// so that nothing has to be undone.
///
/// A [`replace`] would do here too, but the kernel lets whoever removed a table
/// wait, when the socket is closed, until no packet can be in it any more
/// (`nft_rcv_nl_event` in `net/netfilter/nf_tables_api.c`): some ten milliseconds
/// per pod.
pub fn create(ruleset: &Ruleset, generation: Option<u32>) -> Batch<'_> {
    let mut writer = Writer::new(generation);
    for (index, table) in ruleset.tables.iter().enumerate() {
        writer.table(index, table, true);
    }
    writer.finish(Some(ruleset))
}

/// The transaction that removes our tables of these families. It does not fail
/// where there is none.
pub fn delete(families: &[Family]) -> Batch<'static> {
    let mut writer = Writer::new(None);
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
            at += netlink::align(ne_u32(&self.bytes, at)? as usize);
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
    bytes: Vec<u8>,
    messages: Vec<Subject>,
    /// Where the message that was added last starts.
    last: usize,
}

impl Writer {
    fn new(generation: Option<u32>) -> Self {
        let mut bytes = Vec::with_capacity(USUAL_BYTES);
        netlink::add_batch_mark(&mut bytes, NFNL_MSG_BATCH_BEGIN, 0, |bytes| {
            if let Some(generation) = generation {
                netlink::add_u32(bytes, NFNL_BATCH_GENID as u16, generation);
            }
        });
        Writer { bytes, messages: Vec::new(), last: 0 }
    }

    /// Adds a message about a part of this family's table.
    fn add(
        &mut self,
        subject: Subject,
        kind: u32,
        flags: u32,
        family: Family,
        attributes: impl FnOnce(&mut Vec<u8>),
    ) {
        self.messages.push(subject);
        self.last = self.bytes.len();
        let sequence = self.messages.len() as u32;
        netlink::add_message(&mut self.bytes, kind, flags, sequence, Some(family), |bytes| {
            // NFTA_TABLE_NAME, NFTA_CHAIN_TABLE and so on: it is always the first
            netlink::add_attribute(bytes, NFTA_TABLE_NAME, TABLE.as_bytes());
            attributes(bytes);
        });
    }

    /// Adds the table so that its removal can't fail, then removes it.
    fn delete(&mut self, family: Family) {
        self.add(Subject::AddTable(family), NFT_MSG_NEWTABLE, NLM_F_CREATE, family, |_| {});
        self.add(Subject::DeleteTable(family), NFT_MSG_DELTABLE, 0, family, |_| {});
    }

    /// Adds a table and all that is in it; `exclusive` where it may not be
    /// there yet.
    fn table(&mut self, index: usize, table: &Table, exclusive: bool) {
        let family = table.family;
        let flags = if exclusive { NLM_F_CREATE | NLM_F_EXCL } else { NLM_F_CREATE };
        self.add(Subject::Table(index), NFT_MSG_NEWTABLE, flags, family, |bytes| {
            netlink::add_u32(bytes, NFTA_TABLE_FLAGS, 0);
            if let Some(owner) = &table.owner {
                let comment = uapi::comment(&owner.to_string());
                netlink::add_attribute(bytes, NFTA_TABLE_USERDATA, &comment);
            }
        });
        for (at, set) in table.sets.iter().enumerate() {
            self.set(index, at, family, set);
        }
        // all chains before any rule, since rules jump to chains
        for (at, chain) in table.chains.iter().enumerate() {
            let subject = Subject::Chain(index, at);
            self.add(subject, NFT_MSG_NEWCHAIN, NLM_F_CREATE, family, |bytes| {
                netlink::add_attribute(bytes, NFTA_CHAIN_NAME, chain.name.as_bytes());
                if let Some(hook) = &chain.hook {
                    add_hook(bytes, hook);
                }
            });
        }
        for (at, chain) in table.chains.iter().enumerate() {
            for (number, rule) in chain.rules.iter().enumerate() {
                let subject = Subject::Rule(index, at, number);
                let flags = NLM_F_CREATE | NLM_F_APPEND;
                self.add(subject, NFT_MSG_NEWRULE, flags, family, |bytes| {
                    netlink::add_attribute(bytes, NFTA_RULE_CHAIN, chain.name.as_bytes());
                    rule::add_expressions(bytes, family, rule);
                    if let Some(comment) = &rule.comment {
                        netlink::add_attribute(bytes, NFTA_RULE_USERDATA, &uapi::comment(comment));
                    }
                });
            }
        }
    }

    fn set(&mut self, table: usize, at: usize, family: Family, set: &Set) {
        let kind = SetKind::of(&set.elements);
        self.add(Subject::Set(table, at), NFT_MSG_NEWSET, NLM_F_CREATE, family, |bytes| {
            netlink::add_attribute(bytes, NFTA_SET_NAME, set.name.as_bytes());
            netlink::add_u32(bytes, NFTA_SET_FLAGS, 0);
            netlink::add_u32(bytes, NFTA_SET_KEY_TYPE, kind.type_id());
            netlink::add_u32(bytes, NFTA_SET_KEY_LEN, kind.key_len());
            netlink::add_u32(bytes, NFTA_SET_ID, at as u32 + 1);
            netlink::add_attribute(bytes, NFTA_SET_USERDATA, &kind.userdata());
            if let Some(size) = set.size() {
                netlink::add_nested(bytes, NFTA_SET_DESC, |description| {
                    netlink::add_u32(description, NFTA_SET_DESC_SIZE, size);
                });
            }
        });
        let subject = Subject::Elements(table, at);
        match &set.elements {
            Elements::Ipv4(all) => self.elements(subject, family, set, all, Ipv4Addr::octets),
            Elements::Ipv6(all) => self.elements(subject, family, set, all, Ipv6Addr::octets),
            Elements::Ports(all) => {
                self.elements(subject, family, set, all, |port| port.to_be_bytes());
            }
            // the kernel compares a uid as it has it in memory
            Elements::Uids(all) => {
                self.elements(subject, family, set, all, |uid| uid.to_ne_bytes());
            }
        }
    }

    /// Adds a set's elements, in as many messages as it takes:
    /// `NFTA_LIST_ELEM { NFTA_SET_ELEM_KEY { NFTA_DATA_VALUE } }` each.
    fn elements<T, const N: usize>(
        &mut self,
        subject: Subject,
        family: Family,
        set: &Set,
        all: &[T],
        key: impl Fn(&T) -> [u8; N],
    ) {
        // one element; the others differ in their keys alone
        let mut element = Vec::new();
        netlink::add_nested(&mut element, NFTA_LIST_ELEM, |element| {
            netlink::add_nested(element, NFTA_SET_ELEM_KEY, |data| {
                netlink::add_attribute(data, NFTA_DATA_VALUE, &[0; N]);
            });
        });
        let start = element.len() - netlink::align(N);
        for part in all.chunks(ELEMENTS_MAX_BYTES / element.len()) {
            self.add(subject, NFT_MSG_NEWSETELEM, NLM_F_CREATE, family, |bytes| {
                netlink::add_attribute(bytes, NFTA_SET_ELEM_LIST_SET, set.name.as_bytes());
                netlink::add_nested(bytes, NFTA_SET_ELEM_LIST_ELEMENTS, |list| {
                    list.reserve(part.len() * element.len());
                    for item in part {
                        element[start..start + N].copy_from_slice(&key(item));
                        list.extend_from_slice(&element);
                    }
                });
            });
        }
    }

    /// The kernel answers after the commit, errors always, success only where
    /// it is asked to: so the last message's answer tells that all went well,
    /// and the receive buffer can't overflow however long the batch is.
    fn finish(mut self, ruleset: Option<&Ruleset>) -> Batch<'_> {
        netlink::add_flags(&mut self.bytes[self.last..], NLM_F_ACK);
        let sequence = self.messages.len() as u32 + 1;
        netlink::add_batch_mark(&mut self.bytes, NFNL_MSG_BATCH_END, sequence, |_| {});
        Batch { bytes: self.bytes, messages: self.messages, ruleset }
    }
}

/// Makes a chain a base chain.
fn add_hook(bytes: &mut Vec<u8>, hook: &Hook) {
    let point = match hook.point {
        HookPoint::Prerouting => uapi::PREROUTING,
        HookPoint::Output => uapi::OUTPUT,
    };
    let kind = match hook.kind {
        ChainKind::Nat => "nat",
        ChainKind::Filter => "filter",
    };
    netlink::add_nested(bytes, NFTA_CHAIN_HOOK, |bytes| {
        netlink::add_u32(bytes, NFTA_HOOK_HOOKNUM, point);
        netlink::add_u32(bytes, NFTA_HOOK_PRIORITY, hook.priority as u32);
    });
    netlink::add_u32(bytes, NFTA_CHAIN_POLICY, uapi::ACCEPT as u32);
    netlink::add_attribute(bytes, NFTA_CHAIN_TYPE, kind.as_bytes());
}
