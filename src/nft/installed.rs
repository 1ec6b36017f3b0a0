//! Our tables as the kernel has them: a ruleset with counters and handles, and
//! with what somebody else added.
//!
//! Pure.

use std::borrow::Cow;

use crate::ruleset::{Chain, Family, Hook, Owner, Rule, Ruleset, Set, Table, Verdict};

/// Our tables as they are in a network namespace.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Installed {
    /// The tables; IPv4's comes first.
    pub tables: Vec<InstalledTable>,
}

/// A table by our name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstalledTable {
    /// The family.
    pub(crate) family: Family,
    /// Its comment.
    pub(crate) comment: Option<String>,
    /// The attachment that it belongs to, if its comment is ours.
    pub(crate) owner: Option<Owner>,
    /// Its sets, in the order they were made, elements sorted.
    pub sets: Vec<Set>,
    /// Its chains, in the order they were made.
    pub chains: Vec<InstalledChain>,
    /// Objects in the table of kinds that we never make, in words.
    pub foreign: Vec<String>,
}

/// A chain of such a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstalledChain {
    /// The name.
    pub(crate) name: String,
    /// Where its packets come from.
    pub(crate) place: Place,
    /// The rules in order.
    pub rules: Vec<InstalledRule>,
}

/// Where a chain's packets come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// From other chains.
    Jumped,
    /// From the kernel.
    Base(Hook),
    /// From the kernel, in a way that none of our chains has.
    Foreign(String),
}

/// A rule of such a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstalledRule {
    /// The decoded rule.
    pub(crate) reading: Reading,
    /// Packets that it matched.
    pub packets: u64,
    /// Bytes that it matched.
    pub(crate) bytes: u64,
    /// The kernel's number for it.
    pub handle: u64,
}

/// The decoded rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reading {
    /// A rule that we could have made.
    Known(Rule),
    /// A rule that we could not have made.
    Foreign {
        /// The names of its expressions.
        expressions: Vec<String>,
        /// Its verdict, if it is one that we have.
        verdict: Option<Verdict>,
        /// Whether it has conditions.
        conditional: bool,
    },
}

impl From<&Ruleset> for Installed {
    /// The ruleset as it would be installed, with counters of zero.
    fn from(ruleset: &Ruleset) -> Self {
        Installed { tables: ruleset.tables.iter().map(InstalledTable::from).collect() }
    }
}

impl From<&Table> for InstalledTable {
    fn from(table: &Table) -> Self {
        InstalledTable {
            family: table.family,
            comment: table.owner.as_ref().map(Owner::to_string),
            owner: table.owner.clone(),
            sets: table.sets.clone(),
            chains: table.chains.iter().map(InstalledChain::from).collect(),
            foreign: Vec::new(),
        }
    }
}

impl From<&Chain> for InstalledChain {
    fn from(chain: &Chain) -> Self {
        let rules = chain.rules.iter().map(|rule| InstalledRule {
            reading: Reading::Known(rule.clone()),
            packets: 0,
            bytes: 0,
            handle: 0,
        });
        InstalledChain {
            name: chain.name.to_string(),
            place: chain.hook.map_or(Place::Jumped, Place::Base),
            rules: rules.collect(),
        }
    }
}

impl Installed {
    /// The table of one family.
    pub fn table(&self, family: Family) -> Option<&InstalledTable> {
        self.tables.iter().find(|table| table.family == family)
    }

    /// The ruleset, if all of it could have been made by us.
    pub fn ruleset(&self) -> Option<Ruleset> {
        let tables = self.tables.iter().map(InstalledTable::table).collect::<Option<_>>()?;
        Some(Ruleset { tables })
    }
}

impl InstalledTable {
    /// The chain of this name.
    pub fn chain(&self, name: &str) -> Option<&InstalledChain> {
        self.chains.iter().find(|chain| chain.name == name)
    }

    /// The table, if all of it could have been made by us.
    pub(crate) fn table(&self) -> Option<Table> {
        if !self.foreign.is_empty() {
            return None;
        }
        Some(Table {
            family: self.family,
            owner: self.owner.clone(),
            sets: self.sets.clone(),
            chains: self.chains.iter().map(InstalledChain::chain).collect::<Option<_>>()?,
        })
    }
}

impl InstalledChain {
    /// The chain, if all of it could have been made by us.
    fn chain(&self) -> Option<Chain> {
        let hook = match self.place {
            Place::Jumped => None,
            Place::Base(hook) => Some(hook),
            Place::Foreign(_) => return None,
        };
        let rules = self.rules.iter().map(|rule| rule.known().cloned());
        let name = Cow::Owned(self.name.clone());
        Some(Chain { name, hook, rules: rules.collect::<Option<_>>()? })
    }
}

impl InstalledRule {
    /// The rule, if it could have been made by us.
    pub fn known(&self) -> Option<&Rule> {
        match &self.reading {
            Reading::Known(rule) => Some(rule),
            Reading::Foreign { .. } => None,
        }
    }
}
