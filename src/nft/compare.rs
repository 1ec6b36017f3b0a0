//! Compares the installed rules with the expected ruleset. The first difference
//! is named; counters, handles and the order of chains are none.
//!
//! Pure.

use std::fmt;
use std::net::IpAddr;

use super::difference::{At, Difference, DifferenceKind};
use super::installed::{Installed, InstalledChain, InstalledRule, InstalledTable, Place, Reading};
use super::reach;
use crate::ruleset::{
    Chain, Elements, Family, Hook, HookPoint, LAYOUT_VERSION, Match, Owner, Rule, Ruleset, Set,
    Table, Verdict, text,
};

/// The versions of the layout that older releases had.
const OLDER_LAYOUTS: std::ops::Range<u32> = 1..LAYOUT_VERSION;

/// Compares all of it, to the last byte of the owner.
///
/// # Errors
/// The first difference.
pub fn exact(expected: &Ruleset, found: &Installed) -> Result<(), Difference> {
    compare(expected, found, |table, found| {
        if let (Some(expected), Some(found)) = (&table.owner, &found.owner)
            && !found.same_attachment(expected)
        {
            return Err(other_owner(expected, found));
        }
        whole(table, found, &|_| false)
    })
}

/// Compares as CHECK does:
///
/// - A table that was made for another interface of the same pod, by whatever
///   settings, stays as it is at ADD. It need only lead from its base chains to
///   the proxy's ports.
/// - So need a table with the layout of an older release, so that an upgrade
///   fails no pod.
/// - The address of `localProxyMode: PodIP` may be any that `is_pods` accepts,
///   since a plugin behind us may have added addresses. One family may lack the
///   rule, since its address may have come later.
///
/// # Errors
/// The first difference.
pub fn check(
    expected: &Ruleset,
    found: &Installed,
    is_pods: impl Fn(IpAddr) -> bool,
) -> Result<(), Difference> {
    let reduced = without_later_pod_ip(expected, found);
    compare(reduced.as_ref().unwrap_or(expected), found, |table, found| {
        let (Some(owner), Some(other)) = (&table.owner, &found.owner) else {
            return whole(table, found, &is_pods);
        };
        if other.container != owner.container {
            return Err(other_owner(owner, other));
        }
        let older = OLDER_LAYOUTS.contains(&other.layout);
        if other.layout != owner.layout && !older {
            let (expected, found) = (owner.layout, other.layout);
            return Err(DifferenceKind::UnknownLayout { expected, found });
        }
        if older || other.interface != owner.interface {
            return outline(table, found);
        }
        whole(table, found, &is_pods)
    })
}

/// Compares only where redirected connections end. The lists and the owner may
/// be those of other settings.
///
/// # Errors
/// The first difference.
pub fn redirection(expected: &Ruleset, found: &Installed) -> Result<(), Difference> {
    compare(expected, found, outline)
}

/// The expected rules without the rule of `localProxyMode: PodIP` in a family
/// that does not have it, where another family has it; none if that is not so.
fn without_later_pod_ip(expected: &Ruleset, found: &Installed) -> Option<Ruleset> {
    let is_dnat = |rule: &Rule| matches!(rule.verdict, Verdict::Dnat(_));
    let has_it = |family| {
        let table = found.table(family)?;
        let mut rules = table.chains.iter().flat_map(|chain| &chain.rules);
        Some(rules.any(|rule| rule.known().is_some_and(is_dnat)))
    };
    let families = [Family::Ip, Family::Ip6];
    let without = families.into_iter().find(|family| has_it(*family) == Some(false))?;
    families.into_iter().find(|family| has_it(*family) == Some(true))?;
    let mut reduced = expected.clone();
    for table in reduced.tables.iter_mut().filter(|table| table.family == without) {
        for chain in &mut table.chains {
            chain.rules.retain(|rule| !is_dnat(rule));
        }
    }
    Some(reduced)
}

fn other_owner(expected: &Owner, found: &Owner) -> DifferenceKind {
    DifferenceKind::OtherOwner { expected: expected.clone(), found: found.clone() }
}

/// Compares the tables that should be there, one by one, and finds those that
/// should not.
fn compare(
    expected: &Ruleset,
    found: &Installed,
    tables: impl Fn(&Table, &InstalledTable) -> Result<(), DifferenceKind>,
) -> Result<(), Difference> {
    for table in &expected.tables {
        let family = table.family;
        let differs = |kind| Difference { family, kind };
        let found = found.table(family).ok_or(differs(DifferenceKind::TableMissing))?;
        if table.owner.is_some() && found.owner.is_none() {
            return Err(differs(DifferenceKind::TableForeign(found.comment.clone())));
        }
        tables(table, found).map_err(differs)?;
    }
    let extra = found.tables.iter().find(|table| expected.table(table.family).is_none());
    match extra.map(|table| table.family) {
        Some(family) => Err(Difference { family, kind: DifferenceKind::TableExtra }),
        None => Ok(()),
    }
}

/// Compares a table of the same layout: chains, rules, sets and elements.
fn whole(
    expected: &Table,
    found: &InstalledTable,
    is_pods: &dyn Fn(IpAddr) -> bool,
) -> Result<(), DifferenceKind> {
    if let (Some(expected), Some(found)) = (&expected.owner, &found.owner)
        && expected.layout != found.layout
    {
        let (expected, found) = (expected.layout, found.layout);
        return Err(DifferenceKind::UnknownLayout { expected, found });
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

/// Compares without the conditions that match every packet, and with any of the
/// pod's addresses as good as another.
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
    fn first<T: Ord + fmt::Display>(
        name: &str,
        expected: &[T],
        found: &[T],
    ) -> Result<(), DifferenceKind> {
        if expected == found {
            return Ok(());
        }
        let set = name.to_owned();
        if found.len() <= expected.len()
            && let Some(gone) =
                expected.iter().find(|element| found.binary_search(element).is_err())
        {
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

/// Whether the base chains lead to wherever the expected ones do, by whatever
/// chains and names.
///
/// What no release made is a difference, since it may change every way: a flag
/// such as `dormant`, or a rule whose verdict this program does not know, such
/// as `goto`.
fn outline(expected: &Table, found: &InstalledTable) -> Result<(), DifferenceKind> {
    if let Some(object) = found.foreign.first() {
        return Err(DifferenceKind::ObjectForeign(object.clone()));
    }
    let mut rules = found.chains.iter().flat_map(|chain| &chain.rules);
    let unknown =
        |rule: &&InstalledRule| matches!(rule.reading, Reading::Foreign { verdict: None, .. });
    if let Some(rule) = rules.find(unknown) {
        let text = found_text(rule, found.family);
        return Err(DifferenceKind::ObjectForeign(format!("rule {text}")));
    }
    let inbound = reach::expected(expected, HookPoint::Prerouting);
    let mut outbound = reach::expected(expected, HookPoint::Output);
    // osm-v1 also leads some of what the pod sends to the inbound port
    if outbound.iter().any(|verdict| !inbound.contains(verdict)) {
        outbound.retain(|verdict| !inbound.contains(verdict));
    }
    for (point, wanted) in [(HookPoint::Prerouting, inbound), (HookPoint::Output, outbound)] {
        let reached = reach::installed(found, point);
        if let Some(verdict) = wanted.iter().find(|verdict| !reached.contains(verdict)) {
            let verdict = text::verdict(verdict);
            return Err(DifferenceKind::NotReached { hook: text::hook_point(point), verdict });
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

#[cfg(test)]
mod tests;
