//! What is printed of rules, wherever they come from: a ruleset that was built
//! (no counters) or what the kernel holds (counters, and perhaps rules that
//! are not ours). Chains stand in the order of evaluation.
//!
//! Pure.

use crate::nft::Installed;
use crate::nft::decode::{InstalledRule, InstalledTable, Place, Reading};
use crate::ruleset::{Chain, Family, Hook, HookPoint, Owner, Rule, Ruleset, Set, Table, Verdict};

/// A table.
#[derive(Debug)]
pub(super) struct TableView<'a> {
    pub(super) family: Family,
    pub(super) comment: Option<String>,
    pub(super) owner: Option<&'a Owner>,
    pub(super) sets: &'a [Set],
    pub(super) chains: Vec<ChainView<'a>>,
    /// What is in the table and is of no kind that we make.
    pub(super) foreign: &'a [String],
}

/// A chain.
#[derive(Debug)]
pub(super) struct ChainView<'a> {
    pub(super) name: &'a str,
    pub(super) hook: Option<Hook>,
    /// A place in the kernel that none of our chains has.
    pub(super) foreign_place: Option<&'a str>,
    pub(super) rules: Vec<RuleView<'a>>,
}

/// A rule.
#[derive(Debug)]
pub(super) struct RuleView<'a> {
    pub(super) reading: RuleReading<'a>,
    /// None where the rules are in no kernel.
    pub(super) counter: Option<Counter>,
}

/// What a rule says.
#[derive(Debug)]
pub(super) enum RuleReading<'a> {
    /// One that we could have made.
    Known(&'a Rule),
    /// Another's, in words.
    Foreign(String),
}

/// What the kernel counted, and its number for the rule.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counter {
    pub(super) packets: u64,
    pub(super) bytes: u64,
    pub(super) handle: u64,
}

/// The tables of a ruleset.
pub(super) fn of_ruleset(ruleset: &Ruleset) -> Vec<TableView<'_>> {
    ruleset.tables.iter().map(of_table).collect()
}

/// The tables that are in the kernel.
pub(super) fn of_installed(installed: &Installed) -> Vec<TableView<'_>> {
    installed.tables.iter().map(of_installed_table).collect()
}

fn of_table(table: &Table) -> TableView<'_> {
    let chains = table.chains.iter().map(|chain| ChainView {
        name: &chain.name,
        hook: chain.hook,
        foreign_place: None,
        rules: built_rules(chain),
    });
    TableView {
        family: table.family,
        comment: table.owner.as_ref().map(Owner::to_string),
        owner: table.owner.as_ref(),
        sets: &table.sets,
        chains: in_order(chains.collect()),
        foreign: &[],
    }
}

fn built_rules(chain: &Chain) -> Vec<RuleView<'_>> {
    let known = chain.rules.iter().map(RuleReading::Known);
    known.map(|reading| RuleView { reading, counter: None }).collect()
}

fn of_installed_table(table: &InstalledTable) -> TableView<'_> {
    let chains = table.chains.iter().map(|chain| ChainView {
        name: &chain.name,
        hook: match chain.place {
            Place::Base(hook) => Some(hook),
            Place::Jumped | Place::Foreign(_) => None,
        },
        foreign_place: match &chain.place {
            Place::Foreign(place) => Some(place),
            Place::Jumped | Place::Base(_) => None,
        },
        rules: chain.rules.iter().map(of_installed_rule).collect(),
    });
    TableView {
        family: table.family,
        comment: table.comment.clone(),
        owner: table.owner.as_ref(),
        sets: &table.sets,
        chains: in_order(chains.collect()),
        foreign: &table.foreign,
    }
}

fn of_installed_rule(rule: &InstalledRule) -> RuleView<'_> {
    let reading = match &rule.reading {
        Reading::Known(rule) => RuleReading::Known(rule),
        Reading::Foreign { expressions, .. } => {
            RuleReading::Foreign(format!("not osm-cni's: {}", expressions.join(" ")))
        }
    };
    let counter = Counter { packets: rule.packets, bytes: rule.bytes, handle: rule.handle };
    RuleView { reading, counter: Some(counter) }
}

/// What arrives comes first, then what is sent; after a chain those it jumps
/// to; chains that nothing leads to come last.
fn in_order(mut chains: Vec<ChainView<'_>>) -> Vec<ChainView<'_>> {
    let mut bases: Vec<_> = chains
        .iter()
        .filter_map(|chain| Some((chain.hook?, chain.name)))
        .map(|(hook, name)| (hook.point == HookPoint::Output, hook.priority, name))
        .collect();
    bases.sort_by_key(|(output, priority, _)| (*output, *priority));
    let mut names = Vec::new();
    for (_, _, name) in bases {
        follow(&chains, name, &mut names);
    }
    let place = |chain: &ChainView<'_>| names.iter().position(|name| *name == chain.name);
    chains.sort_by_key(|chain| place(chain).unwrap_or(usize::MAX));
    chains
}

fn follow<'a>(chains: &[ChainView<'a>], name: &'a str, names: &mut Vec<&'a str>) {
    if names.contains(&name) {
        return;
    }
    let Some(chain) = chains.iter().find(|chain| chain.name == name) else { return };
    names.push(name);
    for rule in &chain.rules {
        if let RuleReading::Known(Rule { verdict: Verdict::Jump(target), .. }) = &rule.reading {
            follow(chains, target, names);
        }
    }
}
