//! The domain: what the rules are. A [`Ruleset`] is built once from a
//! [`crate::policy::Policy`] and has three readers: the printer ([`text`]), the evaluator
//! ([`eval`]) and the encoder ([`crate::nft`]). A new match or verdict does not
//! compile until all three know it.
//!
//! Pure: no clock, no files, no kernel.

mod blocks;
mod build;
mod builder;
pub mod eval;
mod lists;
mod model;
mod osm_v0;
mod osm_v1;
mod owner;
mod probe;
mod provenance;
#[cfg(test)]
pub(crate) mod sample;
mod set;
pub mod text;

pub use crate::interface::InterfacePattern;
pub(crate) use blocks::prefix_mask;
pub(crate) use build::build;
pub use model::{
    Chain, ChainKind, Family, Hook, HookPoint, Match, Op, Operand, Rule, Ruleset, Table, Verdict,
};
pub(crate) use model::{Name, TABLE};
pub(crate) use owner::LAYOUT_VERSION;
pub use owner::Owner;
pub use probe::{PROBE, PROBE_COMMENT};
pub(crate) use provenance::{List, Origin, Provenance};
pub use set::{Elements, Set};
