//! The tests' node and pods, compiled into the benchmark: one node type and one
//! pod type for both. I/O: whatever those modules do.
#![allow(dead_code, unused_imports, reason = "the tests use more of these modules")]

#[path = "../tests/support/containerd.rs"]
pub(crate) mod containerd;
#[path = "../tests/support/cri/mod.rs"]
pub(crate) mod cri;
#[path = "../tests/support/host.rs"]
pub(crate) mod host;
#[path = "../tests/support/image.rs"]
pub(crate) mod image;
#[path = "../tests/support/namespace.rs"]
pub(crate) mod namespace;
#[path = "../tests/support/netns.rs"]
pub(crate) mod netns;
#[path = "../tests/support/pod.rs"]
pub(crate) mod pod;
#[path = "../tests/support/rundir.rs"]
pub(crate) mod rundir;
#[path = "../tests/support/wait.rs"]
mod wait;

pub(crate) use wait::wait_for;

/// The program that is measured.
pub(crate) mod program {
    use std::path::PathBuf;

    /// The release binary that `OSM_CNI_BIN` names.
    pub(crate) fn under_test() -> PathBuf {
        std::env::var_os("OSM_CNI_BIN").map(PathBuf::from).expect("make bench sets OSM_CNI_BIN")
    }
}
