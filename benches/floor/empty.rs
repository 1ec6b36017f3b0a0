//! Floor 1: a program that does nothing. What is left is the kernel's work for
//! any process, and the start of Rust's runtime.

fn main() {}
