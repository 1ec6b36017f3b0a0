//! What a message of a transaction is about. Subjects are indexes into the
//! ruleset, so that nothing is formatted unless something is refused.
//!
//! Pure.

use std::fmt;

use crate::ruleset::{Chain, Family, Rule, Ruleset, TABLE, text};

/// What one message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    AddTable(Family),
    DeleteTable(Family),
    Table(usize),
    Set(usize, usize),
    Elements(usize, usize),
    Chain(usize, usize),
    Rule(usize, usize, usize),
}

/// What a message makes, for hints at what a kernel lacks.
pub(in crate::nft) enum Part<'r> {
    /// A table, or its removal.
    Table,
    /// A set or its elements.
    Set,
    /// A chain.
    Chain(&'r Chain),
    /// A rule.
    Rule(&'r Rule),
}

/// The part of the ruleset that a message about this subject makes.
pub(super) fn part(subject: Subject, ruleset: Option<&Ruleset>) -> Option<(Family, Part<'_>)> {
    let tables = ruleset.map(|ruleset| ruleset.tables.as_slice()).unwrap_or_default();
    Some(match subject {
        Subject::AddTable(family) | Subject::DeleteTable(family) => (family, Part::Table),
        Subject::Table(table) => (tables.get(table)?.family, Part::Table),
        Subject::Set(table, _) | Subject::Elements(table, _) => {
            (tables.get(table)?.family, Part::Set)
        }
        Subject::Chain(table, chain) => {
            let table = tables.get(table)?;
            (table.family, Part::Chain(table.chains.get(chain)?))
        }
        Subject::Rule(table, chain, rule) => {
            let table = tables.get(table)?;
            (table.family, Part::Rule(table.chains.get(chain)?.rules.get(rule)?))
        }
    })
}

/// A subject with the ruleset that its indexes point into.
pub(super) struct Described<'r> {
    pub(super) subject: Subject,
    pub(super) ruleset: Option<&'r Ruleset>,
}

impl fmt::Display for Described<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = |index: usize| self.ruleset.and_then(|ruleset| ruleset.tables.get(index));
        let family = |index: usize| table(index).map_or("", |table| table.family.as_str());
        match self.subject {
            Subject::AddTable(family) => write!(f, "table {} {TABLE}", family.as_str()),
            Subject::DeleteTable(family) => {
                write!(f, "removal of table {} {TABLE}", family.as_str())
            }
            Subject::Table(index) => write!(f, "table {} {TABLE}", family(index)),
            Subject::Set(index, set) | Subject::Elements(index, set) => {
                let name = table(index).and_then(|table| table.sets.get(set));
                let part =
                    if matches!(self.subject, Subject::Set(..)) { "" } else { "elements of " };
                let name = name.map_or("", |set| &set.name);
                write!(f, "{part}set {name} ({} {TABLE})", family(index))
            }
            Subject::Chain(index, chain) => {
                let name = table(index).and_then(|table| table.chains.get(chain));
                let name = name.map_or("", |chain| &chain.name);
                write!(f, "chain {name} ({} {TABLE})", family(index))
            }
            Subject::Rule(index, chain, rule) => {
                let chain = table(index).and_then(|table| table.chains.get(chain));
                let name = chain.map_or("", |chain| &chain.name);
                write!(f, "rule {} of chain {name} ({} {TABLE})", rule + 1, family(index))?;
                let rule = chain.and_then(|chain| chain.rules.get(rule));
                match (rule, table(index)) {
                    (Some(rule), Some(table)) => {
                        write!(f, ": {}", text::rule(rule, table.family))
                    }
                    _ => Ok(()),
                }
            }
        }
    }
}
