//! Reading 3: the kernel's bytes. The only room that knows netlink and
//! rustables.
//!
//! [`encode`] and [`decode`] are pure; [`socket`] is the door to the kernel.

pub mod compare;
pub mod decode;
mod dump;
pub mod encode;
mod error;
mod netlink;
pub mod socket;
mod uapi;

pub use compare::Difference;
pub use decode::Installed;
pub use encode::Batch;
pub use error::{NftError, Refusal};
pub use socket::{NftSocket, TableOwner};
