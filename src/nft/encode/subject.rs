//! What a message of a transaction is about. Subjects borrow from the ruleset, so
//! that nothing is formatted unless something is refused.
//!
//! Pure.

use std::fmt;

use crate::ruleset::{Chain, Family, Set, TABLE, text};

/// What one message is about.
#[derive(Debug, Clone, Copy)]
pub(in crate::nft) enum Subject<'r> {
    /// A table.
    Table(Family),
    /// The removal of a table.
    NoTable(Family),
    /// A set.
    Set(Family, &'r Set),
    /// Elements of a set.
    Elements(Family, &'r Set),
    /// A chain.
    Chain(Family, &'r Chain),
    /// The rule of this index in a chain.
    Rule(Family, &'r Chain, usize),
}

impl Subject<'_> {
    /// The family of the table.
    pub(in crate::nft) fn family(&self) -> Family {
        match self {
            Subject::Table(family)
            | Subject::NoTable(family)
            | Subject::Set(family, _)
            | Subject::Elements(family, _)
            | Subject::Chain(family, _)
            | Subject::Rule(family, _, _) => *family,
        }
    }
}

impl fmt::Display for Subject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let family = self.family().as_str();
        match self {
            Subject::Table(_) => write!(f, "table {family} {TABLE}"),
            Subject::NoTable(_) => write!(f, "removal of table {family} {TABLE}"),
            Subject::Set(_, set) => write!(f, "set {} ({family} {TABLE})", set.name),
            Subject::Elements(_, set) => {
                write!(f, "elements of set {} ({family} {TABLE})", set.name)
            }
            Subject::Chain(_, chain) => write!(f, "chain {} ({family} {TABLE})", chain.name),
            Subject::Rule(_, chain, index) => {
                let (number, name) = (index + 1, &chain.name);
                let rule = text::rule(&chain.rules[*index], self.family());
                write!(f, "rule {number} of chain {name} ({family} {TABLE}): {rule}")
            }
        }
    }
}
