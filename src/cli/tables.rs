//! The tables that are printed: those in the kernel, or those of a ruleset that
//! was only built, as they would be installed, with counters of zero.
//!
//! Pure.

use crate::config::profile::LAYOUTS;
use crate::nft::{Installed, InstalledChain, InstalledRule, InstalledTable, Place, Reading, reach};
use crate::ruleset::{Chain, HookPoint, Owner, Rule, Ruleset, Table, Verdict};

/// Whether the counters of rules are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counters {
    /// The rules are in the kernel.
    Shown,
    /// They are in no kernel.
    Hidden,
}

/// A ruleset as it would be installed.
pub(super) fn planned(ruleset: &Ruleset) -> Installed {
    Installed { tables: ruleset.tables.iter().map(planned_table).collect() }
}

fn planned_table(table: &Table) -> InstalledTable {
    InstalledTable {
        family: table.family,
        comment: table.owner.as_ref().map(Owner::to_string),
        owner: table.owner.clone(),
        sets: table.sets.clone(),
        chains: table.chains.iter().map(planned_chain).collect(),
        foreign: Vec::new(),
    }
}

fn planned_chain(chain: &Chain) -> InstalledChain {
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

/// The chains of a table in the order of evaluation: inbound before outbound,
/// after a chain those that it jumps to; unreachable chains come last.
pub(super) fn in_order(table: &InstalledTable) -> Vec<&InstalledChain> {
    let names = reached(table);
    let place = |chain: &InstalledChain| names.iter().position(|name| *name == chain.name);
    let mut chains: Vec<_> = table.chains.iter().collect();
    chains.sort_by_key(|chain| place(chain).unwrap_or(usize::MAX));
    chains
}

/// The ruleset that has chains of these names; none if no ruleset has.
pub(super) fn ruleset_of<'a>(chains: impl IntoIterator<Item = &'a str>) -> Option<&'static str> {
    let mut chains = chains.into_iter();
    let of = |chain: &str| LAYOUTS.iter().find(|layout| layout.chains.outbound == chain);
    chains.find_map(of).map(|layout| layout.name)
}

/// Whether any connection can be redirected or refused. A table without chains,
/// or without rules that end so, redirects nothing; nor does the probe rule.
pub(super) fn redirects(table: &InstalledTable) -> bool {
    let points = [HookPoint::Prerouting, HookPoint::Output];
    points.into_iter().any(|point| !reach::installed(table, point).is_empty())
}

/// The names of the chains that a base chain leads to, in the order of
/// evaluation.
fn reached(table: &InstalledTable) -> Vec<&str> {
    let mut bases: Vec<_> = table
        .chains
        .iter()
        .filter_map(|chain| match chain.place {
            Place::Base(hook) => {
                Some((hook.point == HookPoint::Output, hook.priority, chain.name.as_str()))
            }
            Place::Jumped | Place::Foreign(_) => None,
        })
        .collect();
    bases.sort_by_key(|(output, priority, _)| (*output, *priority));
    let mut names = Vec::new();
    for (_, _, name) in bases {
        follow(table, name, &mut names);
    }
    names
}

fn follow<'a>(table: &'a InstalledTable, name: &'a str, names: &mut Vec<&'a str>) {
    if names.contains(&name) {
        return;
    }
    let Some(chain) = table.chain(name) else { return };
    names.push(name);
    for rule in &chain.rules {
        if let Some(Rule { verdict: Verdict::Jump(target), .. }) = rule.known() {
            follow(table, target, names);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ruleset::{ChainKind, Family, Hook, PROBE_COMMENT};

    fn chain(name: &'static str, point: Option<HookPoint>, jumps: &[&'static str]) -> Chain {
        let hook = |point| Hook { kind: ChainKind::Nat, point, priority: -100 };
        let rule = |target: &&'static str| Rule {
            matches: Vec::new(),
            verdict: Verdict::Jump((*target).into()),
            comment: None,
        };
        let rules = jumps.iter().map(rule).collect();
        Chain { name: name.into(), hook: point.map(hook), rules }
    }

    fn table(chains: Vec<Chain>) -> InstalledTable {
        planned_table(&Table { family: Family::Ip, owner: None, sets: Vec::new(), chains })
    }

    #[test]
    fn a_table_redirects_only_if_a_base_chain_leads_to_a_redirection() {
        let to = |verdict, comment: Option<&'static str>| {
            let comment = comment.map(Into::into);
            let rule = Rule { matches: Vec::new(), verdict, comment };
            Chain { name: "end".into(), hook: None, rules: vec![rule] }
        };
        let out = || chain("out", Some(HookPoint::Output), &["end"]);
        let redirect = || to(Verdict::Redirect(15001), None);
        assert!(redirects(&table(vec![out(), redirect()])));
        assert!(redirects(&table(vec![out(), to(Verdict::RejectWithReset, None)])));
        for chains in [
            vec![],
            vec![out()],
            vec![redirect()],
            vec![out(), to(Verdict::Accept, None)],
            vec![out(), to(Verdict::Redirect(15001), Some(PROBE_COMMENT))],
        ] {
            assert!(!redirects(&table(chains.clone())), "{chains:?}");
        }
    }

    #[test]
    fn chains_stand_in_the_order_of_evaluation_also_in_a_circle() {
        let table = table(vec![
            chain("unused", None, &[]),
            chain("b", None, &["a", "nowhere"]),
            chain("a", None, &["b"]),
            chain("out", Some(HookPoint::Output), &["b"]),
            chain("c", None, &[]),
            chain("in", Some(HookPoint::Prerouting), &["c"]),
        ]);
        let names = in_order(&table);
        let names: Vec<_> = names.iter().map(|chain| chain.name.as_str()).collect();
        assert_eq!(names, ["in", "c", "out", "b", "a", "unused"]);
    }
}
