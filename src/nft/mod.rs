//! The kernel's side: rules become netlink messages and are read back. The only
//! module that knows netlink and rustables.
//!
//! [`socket`] is the I/O boundary to nf_tables; all else here is pure.

mod answer;
pub mod compare;
pub mod decode;
mod difference;
mod dump;
pub mod encode;
mod error;
mod hint;
mod installed;
pub(crate) mod netlink;
pub(crate) mod reach;
pub(crate) mod socket;
mod uapi;

pub(crate) use difference::Difference;
pub use error::{NftError, Refusal};
pub use installed::Installed;
pub(crate) use installed::{InstalledChain, InstalledRule, InstalledTable, Place, Reading};
pub use socket::{NftSocket, TableOwner};
