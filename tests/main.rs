//! The one integration binary; each module is a subject.

mod contract;
mod kernel;
mod support;
mod traffic;
