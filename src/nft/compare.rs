//! Compares the installed rules with the expected ruleset. The first difference
//! is named. Counters, handles and the order of chains are not compared.
//!
//! Pure.

mod pod_ip;
mod whole;

use std::net::IpAddr;

use super::difference::{Difference, DifferenceKind};
use super::installed::{Installed, InstalledRule, InstalledTable, Reading};
use super::reach;
use crate::ruleset::{Family, HookPoint, LAYOUT_VERSION, Owner, Ruleset, Table, text};
use whole::whole;

/// The versions of the layout that older releases had.
const OLDER_LAYOUTS: std::ops::Range<u32> = 1..LAYOUT_VERSION;

/// Compares as CHECK does:
///
/// - ADD leaves a table that was made for another interface of the same pod, with
///   whatever settings. Its base chains need only lead to the proxy's ports.
/// - The same holds for a table with the layout of an older release, so that an upgrade
///   fails no pod.
/// - The address of `localProxyMode: PodIP` may be any that `is_pods` accepts,
///   since a plugin behind us may have added addresses. A family may lack the rule
///   if ADD did not set it, since that family's address came later.
///
/// # Errors
/// The first difference.
pub fn check(
    expected: &Ruleset,
    found: &Installed,
    is_pods: impl Fn(IpAddr) -> bool,
) -> Result<(), Difference> {
    let reduced = pod_ip::before_later_address(expected, found);
    compare(reduced.as_ref().unwrap_or(expected), found, |table, found| {
        let (Some(owner), Some(other)) = (&table.owner, &found.owner) else {
            return whole(table, found, &is_pods);
        };
        match extent(owner, other)? {
            Extent::Whole => whole(table, found, &is_pods),
            Extent::Outline => outline(table, found),
        }
    })
}

/// How much of a table [`check`] compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// All of it.
    Whole,
    /// Only where its base chains lead.
    Outline,
}

/// How much of `found`'s table is compared where one of `expected` should be.
///
/// # Errors
/// Nothing: the owner alone is a difference.
pub(super) fn extent(expected: &Owner, found: &Owner) -> Result<Extent, DifferenceKind> {
    if found.container != expected.container {
        return Err(other_owner(expected, found));
    }
    let older = OLDER_LAYOUTS.contains(&found.layout);
    if found.layout != expected.layout && !older {
        let (expected, found) = (expected.layout, found.layout);
        return Err(DifferenceKind::UnknownLayout { expected, found });
    }
    let same = !older && found.interface == expected.interface;
    Ok(if same { Extent::Whole } else { Extent::Outline })
}

/// Compares only where redirected connections end. The lists and the owner may
/// be those of other settings.
///
/// # Errors
/// The first difference.
pub(crate) fn redirection(expected: &Ruleset, found: &Installed) -> Result<(), Difference> {
    compare(expected, found, outline)
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
            let comment = found.comment.clone();
            let kind = comment.map_or(DifferenceKind::TableUnmarked, DifferenceKind::TableForeign);
            return Err(differs(kind));
        }
        tables(table, found).map_err(differs)?;
    }
    let extra = found.tables.iter().find(|table| expected.table(table.family).is_none());
    match extra.map(|table| table.family) {
        Some(family) => Err(Difference { family, kind: DifferenceKind::TableExtra }),
        None => Ok(()),
    }
}

/// Whether the base chains lead to wherever the expected ones do, by whatever
/// chains and names.
///
/// Anything that no release made is a difference, since it may change the path of
/// every packet: a flag such as `dormant`, or a rule whose verdict this program does
/// not know, such as `goto`.
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
    reaches(expected, found)
}

/// Whether iptables' own rules of IPv4 lead to wherever the expected ones do.
pub(crate) fn is_redirected_by_iptables(expected: &Ruleset, nat: &InstalledTable) -> bool {
    let table = expected.table(Family::Ip);
    // Such as the flag dormant.
    nat.foreign.is_empty() && table.is_some_and(|table| reaches(table, nat).is_ok())
}

/// Whether the base chains lead to wherever the expected ones do.
fn reaches(expected: &Table, found: &InstalledTable) -> Result<(), DifferenceKind> {
    let expected = InstalledTable::from(expected);
    let inbound = reach::reached(&expected, HookPoint::Prerouting);
    let mut outbound = reach::reached(&expected, HookPoint::Output);
    // osm-v1 also leads some of what the pod sends to the inbound port
    if outbound.iter().any(|verdict| !inbound.contains(verdict)) {
        outbound.retain(|verdict| !inbound.contains(verdict));
    }
    for (point, wanted) in [(HookPoint::Prerouting, inbound), (HookPoint::Output, outbound)] {
        let reached = reach::reached(found, point);
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

#[cfg(test)]
mod tests;
