//! The first difference between the expected rules and the installed ones, and
//! its text.
//!
//! Pure.

use std::fmt;

use crate::ruleset::{Family, Owner, TABLE};

/// The first difference between what should be and what is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The family of the table that it is in.
    pub(crate) family: Family,
    /// What it is.
    pub(crate) kind: DifferenceKind,
}

/// The kinds of differences. Rules are given as nft would write them, with
/// their place in the chain, counted from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DifferenceKind {
    /// The table is gone.
    TableMissing,
    /// There should be no table of this family.
    TableExtra,
    /// A table by our name that is not ours, with its comment.
    TableForeign(Option<String>),
    /// A table of another attachment.
    OtherOwner {
        /// Who should have it.
        expected: Owner,
        /// Who has it.
        found: Owner,
    },
    /// A table with a layout that no release up to this one had.
    UnknownLayout {
        /// The layout that it should have.
        expected: u32,
        /// The layout that it has.
        found: u32,
    },
    /// Something of a kind that we never make.
    ObjectForeign(String),
    /// A set is gone.
    SetMissing(String),
    /// A set is new.
    SetExtra(String),
    /// A set holds another type of elements.
    SetType(String),
    /// An element of a set is gone.
    ElementMissing {
        /// The set.
        set: String,
        /// The element.
        element: String,
    },
    /// An element of a set is new.
    ElementExtra {
        /// The set.
        set: String,
        /// The element.
        element: String,
    },
    /// A chain is gone.
    ChainMissing(String),
    /// A chain is new.
    ChainExtra(String),
    /// A chain gets its packets from somewhere else.
    HookChanged {
        /// The chain.
        chain: String,
        /// Where from it should.
        expected: String,
        /// Where from it does.
        found: String,
    },
    /// A rule is gone.
    RuleMissing(At),
    /// A rule is new.
    RuleExtra(At),
    /// A rule stands elsewhere in its chain.
    RuleMoved(At),
    /// A rule says something else.
    RuleChanged {
        /// The rule that should be there.
        expected: At,
        /// The rule that is.
        found: String,
    },
    /// No way leads from the base chains of this hook to this verdict.
    NotReached {
        /// The hook, as nft writes it.
        hook: &'static str,
        /// The verdict, as nft writes it.
        verdict: String,
    },
}

/// A rule and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct At {
    /// The chain.
    pub(crate) chain: String,
    /// The place in the chain, from 1.
    pub(crate) number: usize,
    /// The rule in words.
    pub(crate) rule: String,
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule {} of chain {} ({})", self.number, self.chain, self.rule)
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use DifferenceKind::*;
        write!(f, "table {} {TABLE}", self.family.as_str())?;
        match &self.kind {
            TableMissing => write!(f, " is gone"),
            TableExtra => write!(f, " should not be there"),
            TableForeign(None) => write!(f, " was not made by osm-cni"),
            TableForeign(Some(comment)) => {
                write!(f, " was not made by osm-cni, its comment is {comment:?}")
            }
            OtherOwner { expected, found } => write!(
                f,
                " belongs to container {} interface {}, not to container {} interface {}",
                found.container, found.interface, expected.container, expected.interface
            ),
            UnknownLayout { expected, found } => {
                write!(f, " has layout {found} instead of {expected}")
            }
            ObjectForeign(object) => write!(f, " has a foreign {object}"),
            SetMissing(set) => write!(f, ": set {set} is gone"),
            SetExtra(set) => write!(f, ": set {set} was added"),
            SetType(set) => write!(f, ": set {set} has another type"),
            ElementMissing { set, element } => write!(f, ": {element} is gone from set {set}"),
            ElementExtra { set, element } => write!(f, ": {element} was added to set {set}"),
            ChainMissing(chain) => write!(f, ": chain {chain} is gone"),
            ChainExtra(chain) => write!(f, ": chain {chain} was added"),
            HookChanged { chain, expected, found } => {
                write!(f, ": chain {chain} has {found} instead of {expected}")
            }
            RuleMissing(at) => write!(f, ": {at} is gone"),
            RuleExtra(at) => write!(f, ": {at} was added"),
            RuleMoved(at) => write!(f, ": {at} was moved"),
            RuleChanged { expected, found } => write!(f, ": {expected} was changed to {found}"),
            NotReached { hook, verdict } => {
                write!(f, ": no chain at hook {hook} leads to {verdict}")
            }
        }
    }
}

impl std::error::Error for Difference {}
