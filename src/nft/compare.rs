//! What CHECK compares: the rules that the settings ask for with those that
//! the kernel holds.
//!
//! Pure.

use super::Installed;
use crate::ruleset::Ruleset;

/// The first difference found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Difference(String);

/// Compares everything but counters.
///
/// # Errors
/// The first difference.
pub fn exact(expected: &Ruleset, found: &Installed) -> Result<(), Difference> {
    match found.ruleset().as_ref() == Some(expected) {
        true => Ok(()),
        false => Err(Difference("the rules are not those of ADD".to_owned())),
    }
}

/// Compares what any layout has.
///
/// # Errors
/// The first difference.
pub fn other_layout(_: &Ruleset, found: &Installed) -> Result<(), Difference> {
    match found.tables.is_empty() {
        true => Err(Difference("the table is gone".to_owned())),
        false => Ok(()),
    }
}
