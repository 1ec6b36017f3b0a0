//! The printer: a ruleset as text, for people and for programs that load it.
//! [`nft()`] prints what `nft list table` prints of the same rules in the
//! kernel; [`iptables()`] prints the form of OSM's own commands.
//!
//! Pure: it prints to the writer it is given.

mod iptables;
mod nft;

pub use iptables::iptables;
pub use nft::nft;
pub(crate) use nft::{hook, hook_point, rule, verdict};
