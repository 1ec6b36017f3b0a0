//! The decoder: the kernel's dumps become tables, chains, rules and sets again,
//! with counters. What we could not have made is kept as words.
//!
//! Pure, for any bytes: every bound is checked, what is not known is skipped.

mod field;
mod rule;

use std::borrow::Cow;

use rustables::sys::{
    NFT_CHAIN_BASE, NFT_MSG_NEWCHAIN, NFT_MSG_NEWRULE, NFT_MSG_NEWSET, NFT_MSG_NEWSETELEM,
    NFT_MSG_NEWTABLE, NFT_TABLE_F_DORMANT, NFTA_CHAIN_FLAGS, NFTA_CHAIN_HOOK, NFTA_CHAIN_NAME,
    NFTA_CHAIN_POLICY, NFTA_CHAIN_TABLE, NFTA_CHAIN_TYPE, NFTA_DATA_VALUE, NFTA_HOOK_HOOKNUM,
    NFTA_HOOK_PRIORITY, NFTA_LIST_ELEM, NFTA_RULE_CHAIN, NFTA_RULE_EXPRESSIONS, NFTA_RULE_HANDLE,
    NFTA_RULE_TABLE, NFTA_RULE_USERDATA, NFTA_SET_ELEM_KEY, NFTA_SET_ELEM_LIST_ELEMENTS,
    NFTA_SET_ELEM_LIST_SET, NFTA_SET_ELEM_LIST_TABLE, NFTA_SET_FLAGS, NFTA_SET_KEY_LEN,
    NFTA_SET_KEY_TYPE, NFTA_SET_NAME, NFTA_SET_TABLE, NFTA_TABLE_FLAGS, NFTA_TABLE_NAME,
    NFTA_TABLE_USERDATA,
};

use super::installed::{Installed, InstalledChain, InstalledTable, Place};
use super::netlink::{self, Attributes, Message, Messages};
use super::uapi;
use crate::ruleset::{ChainKind, Elements, Family, Hook, HookPoint, Owner, Set, TABLE};

/// Reads the datagrams of a dump, one after the other: tables, chains, sets,
/// elements and rules in any order that has parents before children; a table
/// that comes again replaces the first. Objects of other tables are skipped.
pub fn installed(dump: &[u8]) -> Installed {
    decoded(dump).0
}

fn decoded(dump: &[u8]) -> (Installed, bool) {
    let mut decoder = Decoder::new(TABLE);
    for message in Messages(dump) {
        decoder.add(&message);
    }
    decoder.finish()
}

/// The tables of one name, as far as the dump has been read.
#[derive(Debug)]
pub(super) struct Decoder {
    table: &'static str,
    installed: Installed,
}

impl Decoder {
    /// Reads tables of this name; others are skipped.
    pub(super) fn new(table: &'static str) -> Self {
        Decoder { table, installed: Installed::default() }
    }

    /// Takes one more message. Returns how many of its objects are in the table.
    pub(super) fn add(&mut self, message: &Message<'_>) -> usize {
        let (Some(family), Some(kind)) = (family(message), message.nft_kind()) else { return 0 };
        if kind == NFT_MSG_NEWTABLE {
            let table = new_table(family, &message.attributes(), self.table);
            let Some(table) = table else { return 0 };
            self.installed.tables.retain(|table| table.family != family);
            self.installed.tables.push(table);
            return 1;
        }
        let name = self.table;
        self.table(family).map_or(0, |table| table.add(kind, &message.attributes(), name))
    }

    /// The table of this family, which is still being read.
    pub(super) fn table(&mut self, family: Family) -> Option<&mut InstalledTable> {
        self.installed.tables.iter_mut().find(|table| table.family == family)
    }

    /// The tables, and whether an element came twice. The kernel's hash tables
    /// grow in the background; a dump that meets one doing so repeats some
    /// elements and leaves out as many others.
    pub(super) fn finish(self) -> (Installed, bool) {
        let mut installed = self.installed;
        let mut repeated = false;
        installed.tables.sort_by_key(|table| table.family);
        // once for all messages: a set may have come in thousands
        for set in installed.tables.iter_mut().flat_map(|table| &mut table.sets) {
            repeated |= set.elements.sort();
        }
        (installed, repeated)
    }
}

/// The comment of a table's message.
pub(super) fn table_comment<'a>(message: &Message<'a>) -> Option<&'a str> {
    uapi::parse_comment(message.attributes().find(NFTA_TABLE_USERDATA)?.value)
}

fn family(message: &Message<'_>) -> Option<Family> {
    let families = [Family::Ip, Family::Ip6];
    families.into_iter().find(|family| message.family() == Some(netlink::protocol(*family)))
}

/// Whether an object is in a table of this name.
fn is_in(object: &Attributes<'_>, table: u16, name: &str) -> bool {
    object.find(table).and_then(|table| table.text()) == Some(name)
}

fn new_table(family: Family, table: &Attributes<'_>, name: &str) -> Option<InstalledTable> {
    if !is_in(table, NFTA_TABLE_NAME, name) {
        return None;
    }
    let userdata = table.find(NFTA_TABLE_USERDATA);
    let comment = userdata.and_then(|data| uapi::parse_comment(data.value));
    let flags = table.find(NFTA_TABLE_FLAGS).and_then(|flags| flags.u32()).unwrap_or_default();
    let dormant = flags & NFT_TABLE_F_DORMANT != 0;
    Some(InstalledTable {
        family,
        comment: comment.map(str::to_owned),
        owner: comment.and_then(Owner::parse),
        sets: Vec::new(),
        chains: Vec::new(),
        foreign: dormant.then(|| "flag dormant".to_owned()).into_iter().collect(),
    })
}

impl InstalledTable {
    /// Adds what is in this table, and returns how many objects that are.
    fn add(&mut self, kind: u32, object: &Attributes<'_>, name: &str) -> usize {
        let table = match kind {
            NFT_MSG_NEWCHAIN => NFTA_CHAIN_TABLE,
            NFT_MSG_NEWSET => NFTA_SET_TABLE,
            NFT_MSG_NEWSETELEM => NFTA_SET_ELEM_LIST_TABLE,
            NFT_MSG_NEWRULE => NFTA_RULE_TABLE,
            _ => return 0,
        };
        if !is_in(object, table, name) {
            return 0;
        }
        match kind {
            NFT_MSG_NEWCHAIN => self.chains.extend(new_chain(object)),
            NFT_MSG_NEWSET => self.add_set(object),
            NFT_MSG_NEWSETELEM => return self.add_elements(object).unwrap_or_default(),
            _ => self.add_rule(object),
        }
        1
    }

    fn add_set(&mut self, set: &Attributes<'_>) {
        let Some(name) = set.find(NFTA_SET_NAME).and_then(|name| name.text()) else { return };
        match empty_set(set) {
            Some(elements) => self.sets.push(Set { name: Cow::Owned(name.to_owned()), elements }),
            None => self.foreign.push(format!("set {name}")),
        }
    }

    fn add_elements(&mut self, list: &Attributes<'_>) -> Option<usize> {
        let name = list.find(NFTA_SET_ELEM_LIST_SET)?.text()?;
        let set = self.sets.iter_mut().find(|set| set.name == name)?;
        let elements = list.find(NFTA_SET_ELEM_LIST_ELEMENTS)?.nested();
        let mut elements = elements.filter(|element| element.kind == NFTA_LIST_ELEM);
        let before = set.elements.count();
        let known = elements.all(|element| {
            let key = element.nested().find(NFTA_SET_ELEM_KEY).and_then(|key| {
                let value = key.nested().find(NFTA_DATA_VALUE)?;
                uapi::add_key(&mut set.elements, value.value)
            });
            key.is_some()
        });
        if !known {
            self.foreign.push(format!("element of set {name}"));
        }
        Some(set.elements.count() - before)
    }

    fn add_rule(&mut self, rule: &Attributes<'_>) {
        let chain = rule.find(NFTA_RULE_CHAIN).and_then(|chain| chain.text());
        let family = self.family;
        let Some(chain) = self.chains.iter_mut().find(|at| Some(&*at.name) == chain) else {
            return;
        };
        let comment = rule.find(NFTA_RULE_USERDATA);
        let comment = comment.and_then(|userdata| uapi::parse_comment(userdata.value));
        let expressions = rule.find(NFTA_RULE_EXPRESSIONS).map_or(Attributes(&[]), |e| e.nested());
        let mut rule_read = rule::read(family, expressions, comment);
        let handle = rule.find(NFTA_RULE_HANDLE).and_then(|handle| handle.u64());
        rule_read.handle = handle.unwrap_or_default();
        chain.rules.push(rule_read);
    }
}

/// A set without elements, if it is one that we make: no interval, no map, no
/// timeout.
fn empty_set(set: &Attributes<'_>) -> Option<Elements> {
    let flags = set.find(NFTA_SET_FLAGS).and_then(|flags| flags.u32()).unwrap_or_default();
    if flags != 0 {
        return None;
    }
    uapi::empty_set(set.find(NFTA_SET_KEY_TYPE)?.u32()?, set.find(NFTA_SET_KEY_LEN)?.u32()?)
}

fn new_chain(chain: &Attributes<'_>) -> Option<InstalledChain> {
    let name = chain.find(NFTA_CHAIN_NAME)?.text()?.to_owned();
    Some(InstalledChain { name, place: place(chain), rules: Vec::new() })
}

fn place(chain: &Attributes<'_>) -> Place {
    let Some(hook) = chain.find(NFTA_CHAIN_HOOK) else { return Place::Jumped };
    let number = hook.nested().find(NFTA_HOOK_HOOKNUM).and_then(|number| number.u32());
    let priority = hook.nested().find(NFTA_HOOK_PRIORITY).and_then(|priority| priority.u32());
    let kind = chain.find(NFTA_CHAIN_TYPE).and_then(|kind| kind.text()).unwrap_or_default();
    let policy = chain.find(NFTA_CHAIN_POLICY).and_then(|policy| policy.u32());
    let flags = chain.find(NFTA_CHAIN_FLAGS).and_then(|flags| flags.u32()).unwrap_or_default();
    let (number, priority) = (number.unwrap_or(u32::MAX), priority.unwrap_or_default() as i32);
    let point = match number {
        uapi::PREROUTING => Some(HookPoint::Prerouting),
        uapi::OUTPUT => Some(HookPoint::Output),
        _ => None,
    };
    let known = match kind {
        "nat" => Some(ChainKind::Nat),
        "filter" => Some(ChainKind::Filter),
        _ => None,
    };
    let accepts = policy == Some(uapi::ACCEPT as u32);
    let plain = accepts && flags & !NFT_CHAIN_BASE == 0;
    match (known, point) {
        (Some(kind), Some(point)) if plain => Place::Base(Hook { kind, point, priority }),
        _ => {
            let policy = if accepts { "accept" } else { "drop" };
            Place::Foreign(format!("type {kind} hook {number} priority {priority} policy {policy}"))
        }
    }
}

#[cfg(test)]
mod tests;
