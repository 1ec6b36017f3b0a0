//! The one integration binary; each module is a subject.

#![expect(
    clippy::disallowed_methods,
    reason = "tests run programs, enter namespaces and damage files; only the product's I/O is confined"
)]

mod cli;
mod containerd;
mod contract;
mod docs;
mod faults;
mod hostile;
mod kernel;
mod node;
mod packaging;
mod support;
mod traffic;
