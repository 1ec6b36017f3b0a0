//! Compares a table of the same layout in full: chains, rules, sets and elements.
//!
//! Pure.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::found_text;
use crate::nft::difference::{At, DifferenceKind};
use crate::nft::installed::{InstalledChain, InstalledRule, InstalledTable, Place};
use crate::ruleset::{Chain, Family, Hook, Match, Rule, Set, Table, Verdict, text};

/// Extra objects are named first: a table that somebody filled may have been read only
/// in part.
pub(super) fn whole(
    expected: &Table,
    found: &InstalledTable,
    is_pods: &dyn Fn(IpAddr) -> bool,
) -> Result<(), DifferenceKind> {
    if let Some(object) = found.foreign.first() {
        return Err(DifferenceKind::ObjectForeign(object.clone()));
    }
    if let Some(chain) = found.chains.iter().find(|chain| expected.chain(&chain.name).is_none()) {
        return Err(DifferenceKind::ChainExtra(chain.name.clone()));
    }
    if let Some(set) = found.sets.iter().find(|set| expected.set(&set.name).is_none()) {
        return Err(DifferenceKind::SetExtra(set.name.to_string()));
    }
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
        rules(expected.family, chain, other, is_pods)?;
    }
    for set in &expected.sets {
        let other = found.sets.iter().find(|other| other.name == set.name);
        let other = other.ok_or_else(|| DifferenceKind::SetMissing(set.name.to_string()))?;
        elements(set, other)?;
    }
    Ok(())
}

fn rules(
    family: Family,
    chain: &Chain,
    other: &InstalledChain,
    is_pods: &dyn Fn(IpAddr) -> bool,
) -> Result<(), DifferenceKind> {
    let same = |rule: &Rule, other: &InstalledRule| {
        other.known().is_some_and(|other| same_rule(rule, other, is_pods))
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

/// Compares without the conditions that match every packet. Any address of the pod is
/// accepted in place of another.
fn same_rule(expected: &Rule, found: &Rule, is_pods: &dyn Fn(IpAddr) -> bool) -> bool {
    fn conditions(rule: &Rule) -> impl Iterator<Item = &Match> {
        rule.matches.iter().filter(|condition| match condition {
            Match::InputInterface(pattern) | Match::OutputInterface(pattern) => {
                !pattern.matches_all()
            }
            _ => true,
        })
    }
    let verdict = match (&expected.verdict, &found.verdict) {
        (Verdict::Dnat(expected), Verdict::Dnat(found)) => expected == found || is_pods(*found),
        (expected, found) => expected == found,
    };
    verdict && expected.comment == found.comment && conditions(expected).eq(conditions(found))
}

fn elements(set: &Set, other: &Set) -> Result<(), DifferenceKind> {
    if set.elements == other.elements {
        return Ok(());
    }
    let name = set.name.to_string();
    if set.elements.type_name() != other.elements.type_name() {
        return Err(DifferenceKind::SetType(name));
    }
    let (expected, found) = (set.elements.texts(), other.elements.texts());
    let not_in = |all: &[String], others: &[String]| {
        let others: BTreeSet<&String> = others.iter().collect();
        all.iter().find(|element| !others.contains(element)).cloned()
    };
    if found.len() <= expected.len()
        && let Some(element) = not_in(&expected, &found)
    {
        return Err(DifferenceKind::ElementMissing { set: name, element });
    }
    match not_in(&found, &expected) {
        Some(element) => Err(DifferenceKind::ElementExtra { set: name, element }),
        // The same elements in another order.
        None => Ok(()),
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
