//! Puts a transaction together: rustables' messages for tables, chains, sets and
//! rules, and what it has no builder for: that a table must be new, the size of
//! a set, the elements of a set, and the generation.
//!
//! Pure.

use rustables::sys::{
    NFNL_BATCH_GENID, NFNL_MSG_BATCH_BEGIN, NFNL_MSG_BATCH_END, NFT_MSG_NEWSETELEM, NFTA_SET_DESC,
    NFTA_SET_DESC_SIZE, NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL,
};
use rustables::{ChainPolicy, ChainType, HookClass, MsgType};

use super::rule::rule_message;
use super::{Batch, Subject, elements};
use crate::nft::netlink::{self, Message, Messages};
use crate::nft::uapi::{self, protocol_family};
use crate::ruleset::{Chain, ChainKind, Family, Hook, HookPoint, Set, TABLE, Table};

/// Collects messages and their subjects.
pub(super) struct Writer<'r> {
    batch: rustables::Batch,
    messages: Vec<(Subject<'r>, Source)>,
}

/// Where the bytes of a message come from.
enum Source {
    /// From the next message of rustables' batch, with these flags added.
    Builder { flags: u32 },
    /// The same, with the size of a set.
    SizedSet(u32),
    /// From us: elements of a set.
    Elements(Family, Vec<u8>),
}

impl<'r> Writer<'r> {
    pub(super) fn new() -> Self {
        Writer { batch: rustables::Batch::new(), messages: Vec::new() }
    }

    fn built(&mut self, subject: Subject<'r>) {
        self.messages.push((subject, Source::Builder { flags: 0 }));
    }

    /// Adds the table so that its removal can't fail, then removes it.
    pub(super) fn delete(&mut self, family: Family) {
        let table = rustables::Table::new(protocol_family(family)).with_name(TABLE);
        self.batch.add(&table, MsgType::Add);
        self.built(Subject::Table(family));
        self.batch.add(&table, MsgType::Del);
        self.built(Subject::NoTable(family));
    }

    /// Adds a table and all that is in it; `exclusive` where it may not exist
    /// yet.
    pub(super) fn table(&mut self, table: &'r Table, exclusive: bool) {
        let family = protocol_family(table.family);
        let mut parent = rustables::Table::new(family).with_name(TABLE).with_flags(0u32);
        if let Some(owner) = &table.owner {
            parent.set_userdata(uapi::comment(&owner.to_string()));
        }
        self.batch.add(&parent, MsgType::Add);
        let flags = if exclusive { NLM_F_EXCL } else { 0 };
        self.messages.push((Subject::Table(table.family), Source::Builder { flags }));
        for (at, set) in table.sets.iter().enumerate() {
            self.set(at as u32 + 1, table.family, set);
        }
        // all chains before any rule, since rules jump to chains
        let chains: Vec<_> =
            table.chains.iter().map(|chain| chain_message(&parent, chain)).collect();
        for (chain, message) in table.chains.iter().zip(&chains) {
            self.batch.add(message, MsgType::Add);
            self.built(Subject::Chain(table.family, chain));
        }
        for (chain, parent) in table.chains.iter().zip(&chains) {
            for (index, rule) in chain.rules.iter().enumerate() {
                self.batch.add(&rule_message(table.family, parent, rule), MsgType::Add);
                self.built(Subject::Rule(table.family, chain, index));
            }
        }
    }

    fn set(&mut self, id: u32, family: Family, set: &'r Set) {
        let (key_type, key_len) = uapi::key_type(&set.elements);
        let message = rustables::Set { family: protocol_family(family), ..Default::default() }
            .with_table(TABLE)
            .with_name(&*set.name)
            .with_flags(0u32)
            .with_key_type(key_type)
            .with_key_len(key_len)
            .with_id(id)
            .with_userdata(uapi::set_userdata(&set.elements));
        self.batch.add(&message, MsgType::Add);
        let source = set.size().map_or(Source::Builder { flags: 0 }, Source::SizedSet);
        self.messages.push((Subject::Set(family, set), source));
        for list in elements::lists(set) {
            self.messages.push((Subject::Elements(family, set), Source::Elements(family, list)));
        }
    }

    /// Numbers the messages in their order. The kernel answers after the commit,
    /// errors always, success only where NLM_F_ACK is set: so the last message's
    /// answer means that the commit succeeded, and the receive buffer can't overflow
    /// however long the batch is. With a generation the kernel refuses the batch
    /// if it is not the namespace's.
    pub(super) fn finish(self, generation: Option<u32>) -> Batch<'r> {
        let built = self.batch.finalize();
        // the first is rustables' own begin of the batch
        let mut built = Messages(&built).skip(1);
        let mut bytes = Vec::new();
        netlink::add_batch_mark(&mut bytes, NFNL_MSG_BATCH_BEGIN, 0, |bytes| {
            if let Some(generation) = generation {
                netlink::add_u32(bytes, NFNL_BATCH_GENID as u16, generation);
            }
        });
        let last = self.messages.len();
        let mut subjects = Vec::with_capacity(last);
        for (subject, source) in self.messages {
            subjects.push(subject);
            let sequence = subjects.len() as u32;
            let ack = if subjects.len() == last { NLM_F_ACK } else { 0 };
            match source {
                Source::Builder { flags } => {
                    copy(&mut bytes, built.next(), flags | ack, sequence, |_| {});
                }
                Source::SizedSet(size) => copy(&mut bytes, built.next(), ack, sequence, |bytes| {
                    netlink::add_nested(bytes, NFTA_SET_DESC, |description| {
                        netlink::add_u32(description, NFTA_SET_DESC_SIZE, size);
                    });
                }),
                Source::Elements(family, list) => {
                    let flags = NLM_F_CREATE | ack;
                    let kind = NFT_MSG_NEWSETELEM;
                    netlink::add_message(
                        &mut bytes,
                        kind,
                        flags,
                        sequence,
                        Some(family),
                        |bytes| bytes.extend_from_slice(&list),
                    );
                }
            }
        }
        netlink::add_batch_mark(&mut bytes, NFNL_MSG_BATCH_END, last as u32 + 1, |_| {});
        Batch { bytes, subjects }
    }
}

/// Appends one of rustables' messages with another number, other flags and what
/// `fill` appends. rustables sets NLM_F_ACK on each of its messages.
fn copy(
    bytes: &mut Vec<u8>,
    message: Option<Message<'_>>,
    flags: u32,
    sequence: u32,
    fill: impl FnOnce(&mut Vec<u8>),
) {
    let message = message.expect("rustables writes one message for each object");
    let start = bytes.len();
    let flags = message.flags & !(NLM_F_ACK as u16) | flags as u16;
    Message { flags, sequence, ..message }.write(bytes);
    fill(bytes);
    netlink::set_length(bytes, start);
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
