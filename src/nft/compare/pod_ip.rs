//! `localProxyMode: PodIP` at CHECK: ADD set the rule for the families that the pod
//! had an address of, and a plugin behind us may have added one of the other family.
//!
//! Pure.

use crate::nft::installed::{Installed, InstalledTable};
use crate::ruleset::{Rule, Ruleset, Table, Verdict};

/// The expected rules without the PodIP rule of a family that had no address at ADD;
/// none if there is no such family.
///
/// No field of the call says what ADD knew, so the kernel's own numbers do: it
/// numbers the rules of a table in the order in which they are made
/// (`nf_tables_alloc_handle` in `net/netfilter/nf_tables_api.c`), and ADD makes all of
/// them in one transaction. A rule that was removed leaves a gap. A table that
/// somebody recreated as a whole without the rule has no gap, and is not detected.
pub(super) fn before_later_address(expected: &Ruleset, found: &Installed) -> Option<Ruleset> {
    // Without any address there is no ADD.
    found.tables.iter().find(|table| has_rule(table))?;
    let lacks_rule = |table: &&Table| {
        let has_one = table.chains.iter().flat_map(|chain| &chain.rules).any(is_pod_ip);
        let found = found.table(table.family);
        has_one && found.is_some_and(|found| !has_rule(found) && made_at_once(table, found))
    };
    let family = expected.tables.iter().find(lacks_rule)?.family;
    let mut reduced = expected.clone();
    for table in reduced.tables.iter_mut().filter(|table| table.family == family) {
        table.chains.iter_mut().for_each(|chain| chain.rules.retain(|rule| !is_pod_ip(rule)));
    }
    Some(reduced)
}

fn is_pod_ip(rule: &Rule) -> bool {
    matches!(rule.verdict, Verdict::Dnat(_))
}

fn has_rule(table: &InstalledTable) -> bool {
    let mut rules = table.chains.iter().flat_map(|chain| &chain.rules);
    rules.any(|rule| rule.known().is_some_and(is_pod_ip))
}

/// Whether the rules of the expected chains are numbered one after the other.
fn made_at_once(expected: &Table, found: &InstalledTable) -> bool {
    let chains = expected.chains.iter().filter_map(|chain| found.chain(&chain.name));
    let rules = chains.flat_map(|chain| &chain.rules);
    let handles: Vec<u64> = rules.map(|rule| rule.handle).collect();
    handles.is_sorted_by(|one, next| one.checked_add(1) == Some(*next))
}
