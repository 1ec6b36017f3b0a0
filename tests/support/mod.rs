//! What tests need of the machine.

pub(crate) mod netns;
