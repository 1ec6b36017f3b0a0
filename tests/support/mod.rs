//! What the tests share: the plugin as a process, namespaces, runtimes.

pub(crate) mod netns;
pub(crate) mod plugin;
