//! What the tests share: the plugin as a process, namespaces, runtimes, pods.
//! `host` runs the machine's programs and writes files.

pub(crate) mod clock;
pub(crate) mod containerd;
pub(crate) mod cri;
pub(crate) mod envoy;
pub(crate) mod host;
pub(crate) mod image;
pub(crate) mod namespace;
pub(crate) mod netns;
pub(crate) mod newest;
pub(crate) mod plugin;
pub(crate) mod pod;
pub(crate) mod program;
pub(crate) mod rundir;
pub(crate) mod schema;
pub(crate) mod stepped;
pub(crate) mod strace;
mod wait;
pub(crate) mod world;

pub(crate) use wait::wait_for;
