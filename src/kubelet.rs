//! The kubelet's directory of a pod: which volumes it has mounted. The kubelet
//! mounts them before it asks for the pod's network, so at ADD they tell
//! whether a sidecar was injected, without asking the API.
//!
//! A door: reads directories. Below the kubelet's own directory no link is
//! followed, since a pod's uid is untrusted and so is what its volumes hold.

use std::path::Path;

use nix::dir::{Dir, Type};
use nix::fcntl::{AtFlags, OFlag, open, openat};
use nix::sys::stat::{Mode, SFlag, fstatat};

use crate::pod::PodUid;
use crate::policy::Volumes;

const DIRECTORY: OFlag = OFlag::O_DIRECTORY.union(OFlag::O_CLOEXEC);

/// Below the kubelet's own directory.
const BELOW: OFlag = DIRECTORY.union(OFlag::O_NOFOLLOW);

/// Which of these are at `<kubelet_dir>/pods/<uid>/volumes/*/NAME`. Unknown
/// where the pod has no directory there.
pub fn volumes(kubelet_dir: &Path, uid: &PodUid, looked_for: &[String]) -> Volumes {
    let pod = open(&kubelet_dir.join("pods"), DIRECTORY, Mode::empty())
        .and_then(|pods| openat(&pods, uid.as_str(), BELOW, Mode::empty()));
    let Ok(pod) = pod else { return Volumes::Unknown };
    let mut mounted = Vec::new();
    // A pod without volumes has a directory all the same: then none is mounted.
    if let Ok(mut volumes) = Dir::openat(&pod, "volumes", BELOW, Mode::empty()) {
        for plugin in directories(&mut volumes) {
            let is_here = |name: &&String| is_directory(&volumes, &format!("{plugin}/{name}"));
            let names = looked_for.iter().filter(|name| is_name(name));
            mounted.extend(names.filter(is_here).cloned());
        }
    }
    Volumes::Mounted(mounted)
}

/// Whether this names an entry, and neither the directory itself nor another.
fn is_name(text: &str) -> bool {
    !matches!(text, "" | "." | "..") && !text.contains('/')
}

/// The names of the directories in a directory; links are none.
fn directories(of: &mut Dir) -> Vec<String> {
    let entries: Vec<_> = of.iter().filter_map(Result::ok).collect();
    let names = entries.iter().filter(|entry| match entry.file_type() {
        Some(kind) => kind == Type::Directory,
        // Some file systems do not tell.
        None => entry.file_name().to_str().is_ok_and(|name| is_directory(of, name)),
    });
    names
        .filter_map(|entry| entry.file_name().to_str().ok().map(str::to_owned))
        .filter(|name| is_name(name))
        .collect()
}

/// Whether this is a directory, and no link to one.
fn is_directory(of: &Dir, path: &str) -> bool {
    let found = fstatat(of, path, AtFlags::AT_SYMLINK_NOFOLLOW);
    found.is_ok_and(|stat| stat.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFDIR.bits())
}
