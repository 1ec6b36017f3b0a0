//! The one integration binary; each module is a subject.

mod cli;
mod containerd;
mod contract;
mod faults;
mod hostile;
mod kernel;
mod node;
mod support;
mod traffic;
