//! The one integration binary; each module is a subject.

mod containerd;
mod contract;
mod support;
