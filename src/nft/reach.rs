//! Which verdicts new TCP connections can reach from a base chain. Rules with
//! other conditions than TCP count as "perhaps": they may lead somewhere, and
//! they stop nothing.
//!
//! Pure.

use std::collections::BTreeSet;

use super::installed::{InstalledRule, InstalledTable, Place, Reading};
use crate::ruleset::{HookPoint, Match, PROBE_COMMENT, Rule, Table, Verdict};

/// Where redirected connections of a table end: every redirect and reset that
/// the base chains at this hook lead to.
pub(super) fn expected(table: &Table, point: HookPoint) -> Vec<&Verdict> {
    let chains = table.chains.iter().map(|chain| Chain {
        name: &chain.name,
        point: chain.hook.map(|hook| hook.point),
        steps: chain.rules.iter().filter_map(step).collect(),
    });
    ends(&chains.collect::<Vec<_>>(), point)
}

/// The same of an installed table.
pub(crate) fn installed(table: &InstalledTable, point: HookPoint) -> Vec<&Verdict> {
    let chains = table.chains.iter().map(|chain| Chain {
        name: &chain.name,
        point: match &chain.place {
            Place::Base(hook) => Some(hook.point),
            Place::Jumped | Place::Foreign(_) => None,
        },
        steps: chain.rules.iter().filter_map(installed_step).collect(),
    });
    ends(&chains.collect::<Vec<_>>(), point)
}

struct Chain<'r> {
    name: &'r str,
    point: Option<HookPoint>,
    steps: Vec<Step<'r>>,
}

/// A rule, as far as it counts here.
struct Step<'r> {
    verdict: &'r Verdict,
    /// Whether some new TCP connections pass the rule unmatched.
    conditional: bool,
}

/// None for the probe rule, which leads one destination alone to the proxy.
fn step(rule: &Rule) -> Option<Step<'_>> {
    let conditional = |condition: &Match| match condition {
        Match::Tcp | Match::NewConnection => false,
        Match::InputInterface(pattern) | Match::OutputInterface(pattern) => !pattern.matches_all(),
        Match::DestinationPort { .. }
        | Match::DestinationAddress { .. }
        | Match::SocketUid { .. } => true,
    };
    let is_probe = rule.comment.as_deref() == Some(PROBE_COMMENT);
    let conditional = rule.matches.iter().any(conditional);
    (!is_probe).then_some(Step { verdict: &rule.verdict, conditional })
}

fn installed_step(rule: &InstalledRule) -> Option<Step<'_>> {
    match &rule.reading {
        Reading::Known(rule) => step(rule),
        Reading::Foreign { verdict, conditional, .. } => {
            verdict.as_ref().map(|verdict| Step { verdict, conditional: *conditional })
        }
    }
}

fn ends<'r>(chains: &[Chain<'r>], point: HookPoint) -> Vec<&'r Verdict> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    let mut waiting: Vec<&Chain<'r>> =
        chains.iter().filter(|chain| chain.point == Some(point)).collect();
    while let Some(chain) = waiting.pop() {
        if !seen.insert(chain.name) {
            continue;
        }
        for Step { verdict, conditional } in &chain.steps {
            match verdict {
                Verdict::Jump(target) => {
                    waiting.extend(chains.iter().filter(|chain| chain.name == target));
                    continue;
                }
                Verdict::Redirect(_) | Verdict::RejectWithReset => found.push(*verdict),
                Verdict::Return | Verdict::Accept | Verdict::Dnat(_) => {}
            }
            if !conditional {
                break;
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::profile::{LAYOUTS, OSM_V0};
    use crate::ruleset::sample::{policy_with_lists, ruleset};

    fn ports(table: &Table, point: HookPoint) -> Vec<&Verdict> {
        expected(table, point)
    }

    #[test]
    fn our_base_chains_lead_to_the_proxys_ports() {
        for layout in LAYOUTS {
            let built = ruleset(&policy_with_lists(layout));
            let inbound = ports(&built.tables[0], HookPoint::Prerouting);
            assert_eq!(inbound, [&Verdict::Redirect(15003)], "{}", layout.name);
            let outbound = ports(&built.tables[0], HookPoint::Output);
            assert!(outbound.contains(&&Verdict::Redirect(15001)), "{}", layout.name);
        }
    }

    #[test]
    fn what_stands_behind_an_unconditional_return_is_not_reached() {
        let mut built = ruleset(&policy_with_lists(&OSM_V0));
        let table = &mut built.tables[0];
        let output = table.chains.iter_mut().find(|chain| chain.name == "OUTPUT");
        let rules = &mut output.expect("a base chain").rules;
        let matches = vec![Match::Tcp];
        rules.insert(1, Rule { matches, verdict: Verdict::Accept, comment: None });
        assert_eq!(ports(table, HookPoint::Output), [] as [&Verdict; 0]);
    }
}
