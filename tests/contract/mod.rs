//! The contract that runtimes rely on: the binary as a process, every verb and
//! version, every error code.

mod attachment;
mod bad_input;
mod journal;
mod promises;
mod schema;
mod sizes;
mod verbs;
