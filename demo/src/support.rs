//! The tests' network namespaces, compiled into the demonstration.
#![allow(dead_code, reason = "the tests use more of these modules")]

#[path = "../../tests/support/host.rs"]
pub(crate) mod host;
#[path = "../../tests/support/namespace.rs"]
pub(crate) mod namespace;
#[path = "../../tests/support/netns.rs"]
pub(crate) mod netns;
