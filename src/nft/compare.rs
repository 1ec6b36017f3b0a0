//! Is what the kernel has what a configuration asks for? The first difference
//! is named; counters, handles and the order of chains are none.
//!
//! Pure.

use std::fmt;

use super::decode::{Installed, InstalledChain, InstalledRule, InstalledTable, Place, Reading};
use crate::ruleset::{
    Chain, Elements, Family, Hook, Match, Owner, Rule, Ruleset, Set, TABLE, Table, Verdict, text,
};

/// The first difference between what should be and what is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The family of the table that it is in.
    pub family: Family,
    /// What it is.
    pub kind: DifferenceKind,
}

/// The kinds of differences. Rules are given as nft would write them, with
/// their place in the chain, counted from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DifferenceKind {
    /// The table is gone.
    TableMissing,
    /// There should be no table of this family.
    TableExtra,
    /// A table by our name that is not ours, with its comment.
    TableForeign(Option<String>),
    /// A table of another attachment.
    OtherOwner {
        /// Who should have it.
        expected: Owner,
        /// Who has it.
        found: Owner,
    },
    /// A table that another version of the plugin made.
    OtherLayout {
        /// The layout that it should have.
        expected: u32,
        /// The layout that it has.
        found: u32,
    },
    /// Something of a kind that we never make.
    ObjectForeign(String),
    /// A set is gone.
    SetMissing(String),
    /// A set is new.
    SetExtra(String),
    /// A set holds another type of elements.
    SetType(String),
    /// An element of a set is gone.
    ElementMissing {
        /// The set.
        set: String,
        /// The element.
        element: String,
    },
    /// An element of a set is new.
    ElementExtra {
        /// The set.
        set: String,
        /// The element.
        element: String,
    },
    /// A chain is gone.
    ChainMissing(String),
    /// A chain is new.
    ChainExtra(String),
    /// A chain gets its packets from somewhere else.
    HookChanged {
        /// The chain.
        chain: String,
        /// Where from it should.
        expected: String,
        /// Where from it does.
        found: String,
    },
    /// A rule is gone.
    RuleMissing(At),
    /// A rule is new.
    RuleExtra(At),
    /// A rule stands elsewhere in its chain.
    RuleMoved(At),
    /// A rule says something else.
    RuleChanged {
        /// The rule that should be there.
        expected: At,
        /// The rule that is.
        found: String,
    },
    /// No rule redirects to this port.
    RedirectMissing(u16),
    /// No base chain is at this hook.
    HookMissing(String),
}

/// A rule and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct At {
    /// The chain.
    pub chain: String,
    /// The place in the chain, from 1.
    pub number: usize,
    /// The rule in words.
    pub rule: String,
}

/// Compares what a configuration asks for with what is there, all of it.
///
/// # Errors
/// The first difference.
pub fn exact(expected: &Ruleset, found: &Installed) -> Result<(), Difference> {
    each(expected, found, |table, found| {
        let layout = |owner: &Option<Owner>| owner.as_ref().map(|owner| owner.layout);
        match (layout(&table.owner), layout(&found.owner)) {
            (Some(expected), Some(found)) if expected != found => {
                Err(DifferenceKind::OtherLayout { expected, found })
            }
            _ => whole(table, found),
        }
    })?;
    let extra = found.tables.iter().find(|table| expected.table(table.family).is_none());
    match extra.map(|table| table.family) {
        Some(family) => Err(Difference { family, kind: DifferenceKind::TableExtra }),
        None => Ok(()),
    }
}

/// Compares what another version of the plugin made: it need only have the
/// base chains and the redirects, by whatever names. An upgrade must not fail
/// pods that are well.
///
/// # Errors
/// The first difference.
pub fn other_layout(expected: &Ruleset, found: &Installed) -> Result<(), Difference> {
    each(expected, found, outline)
}

/// Compares the tables that should be there, one by one.
fn each(
    expected: &Ruleset,
    found: &Installed,
    compare: impl Fn(&Table, &InstalledTable) -> Result<(), DifferenceKind>,
) -> Result<(), Difference> {
    for table in &expected.tables {
        let family = table.family;
        let differs = |kind| Difference { family, kind };
        let found = found.table(family).ok_or(differs(DifferenceKind::TableMissing))?;
        owner(table, found).and_then(|()| compare(table, found)).map_err(differs)?;
    }
    Ok(())
}

/// Whether both are the same attachment's.
fn owner(expected: &Table, found: &InstalledTable) -> Result<(), DifferenceKind> {
    let Some(owner) = &expected.owner else { return Ok(()) };
    match &found.owner {
        None => Err(DifferenceKind::TableForeign(found.comment.clone())),
        Some(other) if !owner.same_attachment(other) => {
            Err(DifferenceKind::OtherOwner { expected: owner.clone(), found: other.clone() })
        }
        Some(_) => Ok(()),
    }
}

fn whole(expected: &Table, found: &InstalledTable) -> Result<(), DifferenceKind> {
    for chain in &expected.chains {
        let name = || chain.name.to_string();
        let other = found.chain(&chain.name).ok_or_else(|| DifferenceKind::ChainMissing(name()))?;
        let same = match (chain.hook, &other.place) {
            (None, Place::Jumped) => true,
            (Some(hook), Place::Base(other)) => hook == *other,
            _ => false,
        };
        if !same {
            let (expected, found) = (place_text(chain.hook), installed_place_text(&other.place));
            return Err(DifferenceKind::HookChanged { chain: name(), expected, found });
        }
        rules(expected.family, chain, other)?;
    }
    for set in &expected.sets {
        let other = found.sets.iter().find(|other| other.name == set.name);
        let other = other.ok_or_else(|| DifferenceKind::SetMissing(set.name.to_string()))?;
        elements(set, other)?;
    }
    let extra = found.chains.iter().find(|chain| expected.chain(&chain.name).is_none());
    if let Some(chain) = extra {
        return Err(DifferenceKind::ChainExtra(chain.name.clone()));
    }
    if let Some(set) = found.sets.iter().find(|set| expected.set(&set.name).is_none()) {
        return Err(DifferenceKind::SetExtra(set.name.to_string()));
    }
    match found.foreign.first() {
        Some(object) => Err(DifferenceKind::ObjectForeign(object.clone())),
        None => Ok(()),
    }
}

fn rules(family: Family, chain: &Chain, other: &InstalledChain) -> Result<(), DifferenceKind> {
    let same = |rule: &Rule, other: &InstalledRule| {
        other.known().is_some_and(|other| canonical(rule).eq(canonical(other)))
    };
    let (expected, found) = (&chain.rules, &other.rules);
    let mismatch = expected.iter().zip(found).position(|(rule, other)| !same(rule, other));
    let index = match mismatch {
        Some(index) => index,
        None if expected.len() == found.len() => return Ok(()),
        None => expected.len().min(found.len()),
    };
    let at = |rule: String| At { chain: chain.name.to_string(), number: index + 1, rule };
    let (Some(rule), Some(other)) = (expected.get(index), found.get(index)) else {
        return Err(match expected.get(index) {
            Some(rule) => DifferenceKind::RuleMissing(at(text::rule(rule, family))),
            None => DifferenceKind::RuleExtra(at(found_text(&found[index], family))),
        });
    };
    // how often a rule should be there, and how often it is
    let wanted = |other: &InstalledRule| expected.iter().filter(|rule| same(rule, other)).count();
    let there = |rule: &Rule| found.iter().filter(|other| same(rule, other)).count();
    let is_gone = there(rule) < expected.iter().filter(|other| *other == rule).count();
    let is_new = match other.known() {
        Some(known) => there(known) > wanted(other),
        None => true,
    };
    let wanted_text = text::rule(rule, family);
    Err(match (is_gone, is_new) {
        (true, true) => DifferenceKind::RuleChanged {
            expected: at(wanted_text),
            found: found_text(other, family),
        },
        (true, false) => DifferenceKind::RuleMissing(at(wanted_text)),
        (false, true) => DifferenceKind::RuleExtra(at(found_text(other, family))),
        (false, false) => DifferenceKind::RuleMoved(at(wanted_text)),
    })
}

/// A rule's parts without what matches every packet.
fn canonical(rule: &Rule) -> impl Iterator<Item = (Option<&Match>, &Verdict, Option<&str>)> + '_ {
    let all = |condition: &&Match| match condition {
        Match::InputInterface(pattern) | Match::OutputInterface(pattern) => !pattern.matches_all(),
        _ => true,
    };
    let matches = rule.matches.iter().filter(all).map(Some).chain([None]);
    matches.map(|condition| (condition, &rule.verdict, rule.comment.as_deref()))
}

fn elements(set: &Set, other: &Set) -> Result<(), DifferenceKind> {
    fn first<T: Ord + fmt::Display>(
        name: &str,
        expected: &[T],
        found: &[T],
    ) -> Result<(), DifferenceKind> {
        if expected == found {
            return Ok(());
        }
        let set = name.to_owned();
        if let Some(gone) = expected.iter().find(|element| found.binary_search(element).is_err()) {
            return Err(DifferenceKind::ElementMissing { set, element: gone.to_string() });
        }
        match found.iter().find(|element| expected.binary_search(element).is_err()) {
            Some(new) => Err(DifferenceKind::ElementExtra { set, element: new.to_string() }),
            // the same elements in another order
            None => Ok(()),
        }
    }
    match (&set.elements, &other.elements) {
        (Elements::Ipv4(expected), Elements::Ipv4(found)) => first(&set.name, expected, found),
        (Elements::Ipv6(expected), Elements::Ipv6(found)) => first(&set.name, expected, found),
        (Elements::Ports(expected), Elements::Ports(found)) => first(&set.name, expected, found),
        (Elements::Uids(expected), Elements::Uids(found)) => first(&set.name, expected, found),
        _ => Err(DifferenceKind::SetType(set.name.to_string())),
    }
}

fn outline(expected: &Table, found: &InstalledTable) -> Result<(), DifferenceKind> {
    for hook in expected.chains.iter().filter_map(|chain| chain.hook) {
        if !found.chains.iter().any(|chain| chain.place == Place::Base(hook)) {
            return Err(DifferenceKind::HookMissing(place_text(Some(hook))));
        }
    }
    let redirect = |rule: &InstalledRule| match &rule.reading {
        Reading::Known(Rule { verdict: Verdict::Redirect(port), .. }) => Some(*port),
        Reading::Known(_) => None,
        Reading::Foreign { redirect, .. } => *redirect,
    };
    let ports: Vec<u16> =
        found.chains.iter().flat_map(|chain| &chain.rules).filter_map(redirect).collect();
    for rule in expected.chains.iter().flat_map(|chain| &chain.rules) {
        match rule.verdict {
            Verdict::Redirect(port) if !ports.contains(&port) => {
                return Err(DifferenceKind::RedirectMissing(port));
            }
            _ => {}
        }
    }
    Ok(())
}

fn found_text(rule: &InstalledRule, family: Family) -> String {
    match &rule.reading {
        Reading::Known(rule) => text::rule(rule, family),
        Reading::Foreign { expressions, .. } => format!("[{}]", expressions.join(" ")),
    }
}

fn place_text(hook: Option<Hook>) -> String {
    hook.map_or_else(|| "no hook".to_owned(), |hook| text::hook(&hook))
}

fn installed_place_text(place: &Place) -> String {
    match place {
        Place::Jumped => place_text(None),
        Place::Base(hook) => place_text(Some(*hook)),
        Place::Foreign(text) => text.clone(),
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule {} of chain {} ({})", self.number, self.chain, self.rule)
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use DifferenceKind::*;
        write!(f, "table {} {TABLE}", self.family.as_str())?;
        match &self.kind {
            TableMissing => write!(f, " is gone"),
            TableExtra => write!(f, " should not be there"),
            TableForeign(None) => write!(f, " was not made by osm-cni"),
            TableForeign(Some(comment)) => {
                write!(f, " was not made by osm-cni, its comment is {comment:?}")
            }
            OtherOwner { expected, found } => write!(
                f,
                " belongs to container {} interface {}, not to container {} interface {}",
                found.container, found.interface, expected.container, expected.interface
            ),
            OtherLayout { expected, found } => {
                write!(f, " has layout {found} instead of {expected}")
            }
            ObjectForeign(object) => write!(f, " has a foreign {object}"),
            SetMissing(set) => write!(f, ": set {set} is gone"),
            SetExtra(set) => write!(f, ": set {set} was added"),
            SetType(set) => write!(f, ": set {set} has another type"),
            ElementMissing { set, element } => write!(f, ": {element} is gone from set {set}"),
            ElementExtra { set, element } => write!(f, ": {element} was added to set {set}"),
            ChainMissing(chain) => write!(f, ": chain {chain} is gone"),
            ChainExtra(chain) => write!(f, ": chain {chain} was added"),
            HookChanged { chain, expected, found } => {
                write!(f, ": chain {chain} has {found} instead of {expected}")
            }
            RuleMissing(at) => write!(f, ": {at} is gone"),
            RuleExtra(at) => write!(f, ": {at} was added"),
            RuleMoved(at) => write!(f, ": {at} was moved"),
            RuleChanged { expected, found } => write!(f, ": {expected} was changed to {found}"),
            RedirectMissing(port) => write!(f, ": no rule redirects to port {port}"),
            HookMissing(hook) => write!(f, ": no chain has {hook}"),
        }
    }
}

impl std::error::Error for Difference {}
