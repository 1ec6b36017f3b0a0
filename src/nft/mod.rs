//! Reading 3: the kernel's bytes. The only room that knows netlink and
//! rustables.
//!
//! [`encode`] and [`decode`] are pure; [`socket`] is the door to the kernel.

pub mod compare;
mod data;
pub mod decode;
mod dump;
pub mod encode;
mod error;
pub mod socket;
mod wire;

pub use compare::Difference;
pub use decode::Installed;
pub use encode::Batch;
pub use error::{NftError, Refusal};
pub use socket::{NftSocket, TableOwner};
