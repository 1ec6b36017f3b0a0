//! What the evaluator does with all packets at once: every way through the
//! chains of a hook, as a tree of the conditions that are tested on it.
//!
//! It is the evaluator's own walk, with both answers given in turn to every
//! condition. So what is shown of the tree holds for [`super::eval`] and every packet.
//!
//! Pure.

use super::walk::Walk;
use super::{Direction, End, EvalError};
use crate::ruleset::{Match, Table};

/// What happens to a packet, by the conditions that hold for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decisions<'a> {
    /// It ends there.
    End(End),
    /// A condition is tested.
    If {
        /// The condition.
        condition: &'a Match,
        /// What happens if it holds.
        yes: Box<Decisions<'a>>,
        /// What happens if it does not hold.
        no: Box<Decisions<'a>>,
    },
}

/// What [`super::eval`] does with the packets of a direction in one table.
///
/// # Errors
/// A ruleset that is broken: see [`EvalError`].
pub fn decisions(table: &Table, direction: Direction) -> Result<Decisions<'_>, EvalError> {
    beyond(&[], table, direction)
}

/// The decisions after the first conditions got these answers.
fn beyond<'a>(
    given: &[bool],
    table: &'a Table,
    direction: Direction,
) -> Result<Decisions<'a>, EvalError> {
    let mut asked: Vec<&Match> = Vec::new();
    let mut answers = given.to_vec();
    let holds = |condition: &'a Match| {
        // A condition that was tested before has the same answer.
        if let Some(before) = asked.iter().position(|other| *other == condition) {
            return Ok(answers[before]);
        }
        asked.push(condition);
        if answers.len() < asked.len() {
            answers.push(true);
        }
        Ok(answers[asked.len() - 1])
    };
    let end = Walk { table, direction, holds, steps: Vec::new() }.hooks()?;
    let mut tree = Decisions::End(end);
    for (index, condition) in asked.into_iter().enumerate().skip(given.len()).rev() {
        let other = [&answers[..index], &[false]].concat();
        let no = Box::new(beyond(&other, table, direction)?);
        tree = Decisions::If { condition, yes: Box::new(tree), no };
    }
    Ok(tree)
}
