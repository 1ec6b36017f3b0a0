//! The kubelet's directory of a pod: which volumes it has mounted. The kubelet
//! mounts them before it asks for the pod's network, so at ADD they tell
//! whether a sidecar was injected, without asking the API.
//!
//! A door: reads directories. Below the kubelet's own directory no link is
//! followed, since a pod's uid is untrusted and so is what its volumes hold.

use std::os::fd::OwnedFd;
use std::path::Path;

use nix::dir::{Dir, Type};
use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::Mode;

use crate::pod::PodUid;
use crate::policy::Volumes;

const DIRECTORY: OFlag = OFlag::O_DIRECTORY.union(OFlag::O_CLOEXEC);

/// The names below `<kubelet_dir>/pods/<uid>/volumes/*/`. Unknown where the
/// pod has no directory there.
pub fn volumes(kubelet_dir: &Path, uid: &PodUid) -> Volumes {
    let below = |parent: &OwnedFd, name: &str| {
        openat(parent, name, DIRECTORY | OFlag::O_NOFOLLOW, Mode::empty())
    };
    let pod = open(&kubelet_dir.join("pods"), DIRECTORY, Mode::empty())
        .and_then(|pods| below(&pods, uid.as_str()));
    let Ok(pod) = pod else { return Volumes::Unknown };
    let mut mounted = Vec::new();
    // A pod without volumes has a directory all the same: then none is mounted.
    if let Ok(volumes) = below(&pod, "volumes") {
        for plugin in directories(&volumes) {
            if let Ok(plugin) = below(&volumes, &plugin) {
                mounted.extend(directories(&plugin));
            }
        }
    }
    Volumes::Mounted(mounted)
}

/// The directories in a directory; links are none.
fn directories(of: &OwnedFd) -> Vec<String> {
    let dir = Dir::openat(of, ".", DIRECTORY, Mode::empty());
    let entries = dir.into_iter().flatten().filter_map(Result::ok);
    let directories = entries.filter(|entry| match entry.file_type() {
        Some(kind) => kind == Type::Directory,
        // Some file systems do not tell: opening the entry does.
        None => openat(of, entry.file_name(), DIRECTORY | OFlag::O_NOFOLLOW, Mode::empty()).is_ok(),
    });
    directories
        .filter_map(|entry| entry.file_name().to_str().ok().map(str::to_owned))
        .filter(|name| name != "." && name != "..")
        .collect()
}
