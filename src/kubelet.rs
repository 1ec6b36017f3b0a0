//! The kubelet's directory of a pod: which volumes it has mounted. The kubelet
//! mounts them before it asks for the pod's network, so at ADD they tell
//! whether a sidecar was injected, without asking the API.
//!
//! A door: reads directories. Below the kubelet's own directory no link is
//! followed, since a pod's uid is untrusted and so is what its volumes hold.

use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, RawDir, ResolveFlags, openat, openat2, statat,
};

use crate::pod::PodUid;
use crate::policy::Volumes;

const DIRECTORY: OFlags = OFlags::DIRECTORY.union(OFlags::CLOEXEC);

/// Below the kubelet's own directory.
const BELOW: OFlags = DIRECTORY.union(OFlags::NOFOLLOW);

/// Where a Secret is mounted, as OSM's configuration of the proxy is.
const SECRETS: &str = "kubernetes.io~secret";

/// Which of these are at `<kubelet_dir>/pods/<uid>/volumes/*/NAME`; the others
/// are not looked for where the first is at its usual place. Unknown where the
/// pod has no directory there.
pub fn volumes(kubelet_dir: &Path, uid: &PodUid, looked_for: &[String]) -> Volumes {
    let pods = openat(CWD, kubelet_dir.join("pods"), DIRECTORY | OFlags::PATH, Mode::empty());
    let Ok(pods) = pods else { return Volumes::Unknown };
    if let Some(first) = looked_for.first().filter(|name| is_name(name)) {
        let path = format!("{}/volumes/{SECRETS}/{first}", uid.as_str());
        // One look instead of a dozen. A kernel before 5.6 has no such call.
        let flags = DIRECTORY | OFlags::PATH;
        if openat2(&pods, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS).is_ok() {
            return Volumes::Mounted(vec![first.clone()]);
        }
    }
    let Ok(pod) = openat(&pods, uid.as_str(), BELOW, Mode::empty()) else {
        return Volumes::Unknown;
    };
    // A pod without volumes has a directory all the same: then none is mounted.
    let volumes = openat(&pod, "volumes", BELOW, Mode::empty());
    Volumes::Mounted(volumes.map(|volumes| mounted(&volumes, looked_for)).unwrap_or_default())
}

/// Which of these are one level below the directory of a pod's volumes.
fn mounted(volumes: &OwnedFd, looked_for: &[String]) -> Vec<String> {
    let mut mounted = Vec::new();
    // an entry takes 280 bytes at most
    let mut buffer = [MaybeUninit::uninit(); 2048];
    let mut entries = RawDir::new(volumes, &mut buffer);
    while let Some(Ok(entry)) = entries.next() {
        let Some(plugin) = entry.file_name().to_str().ok().filter(|name| is_name(name)) else {
            continue;
        };
        let is_plugin = match entry.file_type() {
            // Some file systems do not tell.
            FileType::Unknown => is_directory(volumes, plugin),
            kind => kind == FileType::Directory,
        };
        let is_here = |name: &&String| is_directory(volumes, &format!("{plugin}/{name}"));
        let names = looked_for.iter().filter(|name| is_plugin && is_name(name));
        mounted.extend(names.filter(is_here).cloned());
    }
    mounted
}

/// Whether this names an entry, and neither the directory itself nor another.
fn is_name(text: &str) -> bool {
    !matches!(text, "" | "." | "..") && !text.contains('/')
}

/// Whether this is a directory, and no link to one.
fn is_directory(of: &OwnedFd, path: &str) -> bool {
    let found = statat(of, path, AtFlags::SYMLINK_NOFOLLOW);
    found.is_ok_and(|found| FileType::from_raw_mode(found.st_mode) == FileType::Directory)
}
