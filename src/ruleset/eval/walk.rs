//! A walk through the chains of a table. What its conditions say of the packet
//! is another's answer: [`super::conditions`] for one packet,
//! [`super::decisions()`] for all of them.
//!
//! Pure.

use super::{Direction, End, EvalError, MAX_JUMPS, Step};
use crate::ruleset::{Chain, HookPoint, Match, Name, Rule, Table, Verdict};

/// Where a packet goes after a chain.
enum Flow {
    /// On to the rule after the jump; in a base chain, on to the next one.
    Back,
    /// On to the next base chain.
    Accept,
    /// No further.
    End(End),
}

/// A packet on its way.
pub(super) struct Walk<'a, F> {
    pub(super) table: &'a Table,
    pub(super) direction: Direction,
    /// Whether a condition holds.
    pub(super) holds: F,
    pub(super) steps: Vec<Step<'a>>,
}

/// A set that is missing, or of another type.
pub(super) struct NoSuchSet(pub(super) Name);

impl<'a, F: FnMut(&'a Match) -> Result<bool, NoSuchSet>> Walk<'a, F> {
    /// Passes the base chains of the packet's hook.
    pub(super) fn hooks(&mut self) -> Result<End, EvalError> {
        let point = match self.direction {
            Direction::Inbound => HookPoint::Prerouting,
            Direction::Outbound => HookPoint::Output,
        };
        let hooked = |chain: &'a Chain| {
            chain.hook.filter(|hook| hook.point == point).map(|hook| (hook.priority, chain))
        };
        let mut bases: Vec<_> = self.table.chains.iter().filter_map(hooked).collect();
        // Stable: of the same priority, the one made first comes first.
        bases.sort_by_key(|(priority, _)| *priority);
        for (_, chain) in bases {
            match self.chain(chain, 0)? {
                Flow::End(end) => return Ok(end),
                Flow::Back | Flow::Accept => {}
            }
        }
        Ok(End::Direct)
    }

    fn chain(&mut self, chain: &'a Chain, depth: usize) -> Result<Flow, EvalError> {
        if depth > MAX_JUMPS {
            return Err(EvalError::TooDeep { chain: chain.name.clone() });
        }
        for (index, rule) in chain.rules.iter().enumerate() {
            let matched = self.all_hold(chain, index, rule)?;
            self.steps.push(Step { chain, index, rule, matched });
            if !matched {
                continue;
            }
            match &rule.verdict {
                Verdict::Return => return Ok(Flow::Back),
                Verdict::Accept => return Ok(Flow::Accept),
                Verdict::Redirect(port) => return Ok(Flow::End(End::ToProxy { port: *port })),
                Verdict::Dnat(address) => return Ok(Flow::End(End::ToAddress(*address))),
                Verdict::RejectWithReset => return Ok(Flow::End(End::Reset)),
                Verdict::Jump(name) => {
                    let target = self.table.chain(name).ok_or_else(|| EvalError::NoChain {
                        chain: chain.name.clone(),
                        index,
                        target: name.clone(),
                    })?;
                    match self.chain(target, depth + 1)? {
                        Flow::Back => {}
                        done => return Ok(done),
                    }
                }
            }
        }
        Ok(Flow::Back)
    }

    fn all_hold(&mut self, chain: &Chain, index: usize, rule: &'a Rule) -> Result<bool, EvalError> {
        for condition in &rule.matches {
            let holds = (self.holds)(condition).map_err(|NoSuchSet(set)| EvalError::NoSet {
                chain: chain.name.clone(),
                index,
                set,
            })?;
            if !holds {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
