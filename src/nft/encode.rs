//! The encoder: a [`Ruleset`] becomes one batch of netlink messages. Each
//! message keeps its subject, so that a refusal says which rule was refused.
//!
//! Pure. rustables builds the messages; `writer` adds what it has no builder for.
//! The messages are those that nft sends for the same rules, so `nft list` shows
//! them and its output can be loaded again.

mod elements;
mod rule;
mod subject;
mod writer;

use super::netlink::{self, ne_u32};
use crate::ruleset::{Family, Ruleset};
pub(super) use subject::Subject;
use writer::Writer;

/// The generation of a namespace whose nf_tables have not seen a transaction
/// yet (`nf_tables_init_net` in `net/netfilter/nf_tables_api.c`).
pub const UNTOUCHED: u32 = 1;

/// A transaction ready to be sent. It borrows the ruleset for the names of its
/// messages.
#[derive(Debug)]
pub struct Batch<'r> {
    bytes: Vec<u8>,
    /// The n-th message has sequence number n + 1; 0 is the batch's own.
    subjects: Vec<Subject<'r>>,
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
    for table in &ruleset.tables {
        writer.delete(table.family);
        writer.table(table, false);
    }
    writer.finish(None)
}

/// The transaction that creates these tables. It is refused with EEXIST if there is a
/// table of ours already. With a generation, it is refused with ERESTART if the
/// namespace has another one; the kernel checks this before it changes anything.
///
/// A [`replace`] would do the same. But after a table was removed, closing the socket
/// waits until no packet can be in that table (`nft_rcv_nl_event` in
/// `net/netfilter/nf_tables_api.c`): some ten milliseconds per pod.
pub fn create(ruleset: &Ruleset, generation: Option<u32>) -> Batch<'_> {
    let mut writer = Writer::new();
    for table in &ruleset.tables {
        writer.table(table, true);
    }
    writer.finish(generation)
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
    /// The bytes for the kernel.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether there is nothing to do.
    pub(super) fn is_empty(&self) -> bool {
        self.subjects.is_empty()
    }

    /// The sequence number of the last message, whose answer comes last.
    pub(super) fn last_sequence(&self) -> u32 {
        self.subjects.len() as u32
    }

    /// What the message of this sequence number is about, in words; none for
    /// the batch as a whole.
    pub fn describe(&self, sequence: u32) -> Option<String> {
        Some(self.subject(sequence)?.to_string())
    }

    /// What the message of this sequence number is about.
    pub(super) fn subject(&self, sequence: u32) -> Option<Subject<'_>> {
        self.subjects.get((sequence as usize).checked_sub(1)?).copied()
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
