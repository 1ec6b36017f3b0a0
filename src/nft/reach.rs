//! Which verdicts new TCP connections can reach from a base chain. A rule with other
//! conditions than TCP may match or not: its verdict is reached, and so are the rules
//! after it.
//!
//! Pure.

use std::collections::BTreeSet;

use super::installed::{InstalledChain, InstalledRule, InstalledTable, Place, Reading};
use crate::ruleset::{HookPoint, Match, PROBE_COMMENT, Rule, Verdict};

/// A rule, as far as it counts here.
struct Step<'r> {
    verdict: &'r Verdict,
    /// Whether some new TCP connections pass the rule unmatched.
    conditional: bool,
}

/// Where redirected connections of a table end: every redirect and reset that
/// the base chains at this hook lead to.
pub(crate) fn reached(table: &InstalledTable, point: HookPoint) -> Vec<&Verdict> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    let is_base = |chain: &&InstalledChain| match &chain.place {
        Place::Base(hook) => hook.point == point,
        Place::Jumped | Place::Foreign(_) => false,
    };
    let mut waiting: Vec<_> = table.chains.iter().filter(is_base).collect();
    while let Some(chain) = waiting.pop() {
        if !seen.insert(chain.name.as_str()) {
            continue;
        }
        for Step { verdict, conditional } in chain.rules.iter().filter_map(step) {
            match verdict {
                Verdict::Jump(target) => {
                    waiting.extend(table.chains.iter().filter(|chain| chain.name == *target));
                    continue;
                }
                Verdict::Redirect(_) | Verdict::RejectWithReset => found.push(verdict),
                Verdict::Return | Verdict::Accept | Verdict::Dnat(_) => {}
            }
            if !conditional {
                break;
            }
        }
    }
    found
}

/// None for the probe rule, since it redirects only one destination, and for a rule
/// with a verdict that we do not have.
fn step(rule: &InstalledRule) -> Option<Step<'_>> {
    match &rule.reading {
        Reading::Known(Rule { comment, .. }) if comment.as_deref() == Some(PROBE_COMMENT) => None,
        Reading::Known(Rule { matches, verdict, .. }) => {
            Some(Step { verdict, conditional: matches.iter().any(is_condition) })
        }
        Reading::Foreign { verdict, conditional, .. } => {
            verdict.as_ref().map(|verdict| Step { verdict, conditional: *conditional })
        }
    }
}

/// Whether some new TCP connections do not match.
fn is_condition(condition: &Match) -> bool {
    match condition {
        Match::Tcp | Match::NewConnection => false,
        Match::InputInterface(pattern) | Match::OutputInterface(pattern) => !pattern.matches_all(),
        Match::DestinationPort { .. }
        | Match::DestinationAddress { .. }
        | Match::SocketUid { .. } => true,
    }
}
