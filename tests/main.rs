//! The one integration binary; each module is a subject.

mod containerd;
mod contract;
mod kernel;
mod node;
mod support;
