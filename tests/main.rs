//! The one integration binary; each module is a subject.

mod cli;
mod containerd;
mod contract;
mod kernel;
mod node;
mod support;
mod traffic;
