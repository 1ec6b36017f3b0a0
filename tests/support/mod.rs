//! What the tests share: the plugin as a process, namespaces, runtimes.

pub mod netns;
pub mod plugin;
