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
pub mod reach;
pub mod socket;
mod uapi;

pub use difference::Difference;
pub use encode::Batch;
pub use error::{NftError, Refusal};
pub use installed::{Installed, InstalledChain, InstalledRule, InstalledTable, Place, Reading};
pub use socket::{NftSocket, TableOwner};
