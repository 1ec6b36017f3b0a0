//! The first difference between the expected rules and the installed ones, and
//! its text.
//!
//! Pure.

use std::fmt;

use crate::ruleset::{Family, Owner, TABLE};

/// The first difference between the expected and the installed rules.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("table {} {TABLE}{kind}", family.as_str())]
pub struct Difference {
    /// The family of the table that it is in.
    pub(crate) family: Family,
    /// What it is.
    pub(crate) kind: DifferenceKind,
}

/// The kinds of differences, as they follow the table's name. Rules are given as
/// nft would write them, with their place in the chain, counted from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DifferenceKind {
    #[error(" is gone")]
    TableMissing,
    #[error(" should not be there")]
    TableExtra,
    /// A table by our name without any comment.
    #[error(" was not made by osm-cni")]
    TableUnmarked,
    /// A table by our name with the comment of somebody else.
    #[error(" was not made by osm-cni, its comment is {0:?}")]
    TableForeign(String),
    /// A table of another attachment.
    #[error(" belongs to {}, not to {}", attachment(.found), attachment(.expected))]
    OtherOwner { expected: Owner, found: Owner },
    /// A table with a layout that no release up to this one had.
    #[error(" has layout {found} instead of {expected}")]
    UnknownLayout { expected: u32, found: u32 },
    /// Something of a kind that we never make.
    #[error(" has a foreign {0}")]
    ObjectForeign(String),
    #[error(": set {0} is gone")]
    SetMissing(String),
    #[error(": set {0} was added")]
    SetExtra(String),
    #[error(": set {0} has another type")]
    SetType(String),
    #[error(": {element} is gone from set {set}")]
    ElementMissing { set: String, element: String },
    #[error(": {element} was added to set {set}")]
    ElementExtra { set: String, element: String },
    #[error(": chain {0} is gone")]
    ChainMissing(String),
    #[error(": chain {0} was added")]
    ChainExtra(String),
    /// A chain gets its packets from another hook.
    #[error(": chain {chain} has {found} instead of {expected}")]
    HookChanged { chain: String, expected: String, found: String },
    #[error(": {0} is gone")]
    RuleMissing(At),
    #[error(": {0} was added")]
    RuleExtra(At),
    #[error(": {0} was moved")]
    RuleMoved(At),
    #[error(": {expected} was changed to {found}")]
    RuleChanged { expected: At, found: String },
    /// No way leads from the base chains of this hook to this verdict.
    #[error(": no chain at hook {hook} leads to {verdict}")]
    NotReached { hook: &'static str, verdict: String },
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

fn attachment(owner: &Owner) -> String {
    format!("container {} interface {}", owner.container, owner.interface)
}
