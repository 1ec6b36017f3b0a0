//! The volumes that the kubelet has mounted for a pod. It mounts them before it calls
//! the runtime for the pod's network, so at ADD they show whether a sidecar was
//! injected, without a request to the API server.
//!
//! I/O: reads directories. Below the kubelet's own directory no link is
//! followed, since a pod's uid is untrusted and so is what its volumes hold.
//! Only ENOENT and ENOTDIR mean that something is not there; whatever else goes
//! wrong is an error, since a pod with a sidecar must not be taken for one
//! without.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RawDir, openat, statat};
use rustix::io::{Errno, retry_on_intr};

use crate::pod::PodUid;

/// What is looked up.
#[derive(Debug, Clone, Copy)]
pub struct VolumeQuery<'a> {
    /// The kubelet's own directory.
    pub(crate) kubelet_dir: &'a Path,
    /// The pod.
    pub(crate) uid: &'a PodUid,
    /// The names of the volumes looked for.
    pub(crate) names: &'a [String],
}

/// What the node's disk knows of a pod's volumes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Volumes {
    /// There is no directory of pods: the setting `kubeletDir` may be wrong.
    NoPodsDirectory,
    /// The kubelet has no directory for the pod.
    NoPod,
    /// Of the volumes looked for, these are mounted.
    Mounted(Vec<String>),
}

/// The pod's volumes cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}", path.display())]
pub struct KubeletError {
    /// The directory.
    pub(crate) path: PathBuf,
    /// Why not.
    pub(crate) source: io::Error,
}

/// Opened only to look up what is in it.
const SEARCH: OFlags = OFlags::DIRECTORY.union(OFlags::CLOEXEC).union(OFlags::PATH);

/// Below the kubelet's own directory.
const BELOW: OFlags = OFlags::DIRECTORY.union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW);

/// Which of the volumes are at `<kubelet_dir>/pods/<uid>/volumes/*/NAME`.
///
/// # Errors
/// Anything but a directory that is not there.
pub fn volumes(query: &VolumeQuery<'_>) -> Result<Volumes, KubeletError> {
    let pods_path = query.kubelet_dir.join("pods");
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |errno: Errno| KubeletError { path, source: errno.into() }
    };
    let pods = there(retry_on_intr(|| openat(CWD, &pods_path, SEARCH, Mode::empty())));
    let Some(pods) = pods.map_err(failed(&pods_path))? else {
        return Ok(Volumes::NoPodsDirectory);
    };
    let pod_path = pods_path.join(query.uid.as_str());
    let pod =
        there(retry_on_intr(|| openat(&pods, query.uid.as_str(), BELOW | SEARCH, Mode::empty())));
    let Some(pod) = pod.map_err(failed(&pod_path))? else {
        return Ok(Volumes::NoPod);
    };
    let path = pod_path.join("volumes");
    let volumes = there(retry_on_intr(|| openat(&pod, "volumes", BELOW, Mode::empty())));
    match volumes.map_err(failed(&path))? {
        // A pod without volumes.
        None => Ok(Volumes::Mounted(Vec::new())),
        Some(volumes) => {
            mounted(&volumes, query.names).map(Volumes::Mounted).map_err(failed(&path))
        }
    }
}

/// None for what is not there.
fn there<T>(result: rustix::io::Result<T>) -> rustix::io::Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Which of these are one level below the directory of a pod's volumes, which
/// has a directory for each kind of volume.
fn mounted(volumes: &OwnedFd, names: &[String]) -> rustix::io::Result<Vec<String>> {
    let mut mounted = Vec::new();
    // an entry takes 280 bytes at most
    let mut buffer = [MaybeUninit::uninit(); 2048];
    let mut entries = RawDir::new(volumes, &mut buffer);
    loop {
        let entry = match entries.next() {
            Some(Ok(entry)) => entry,
            Some(Err(Errno::INTR)) => continue,
            Some(Err(errno)) => return Err(errno),
            None => return Ok(mounted),
        };
        let kind = entry.file_name();
        if matches!(kind.to_bytes(), b"." | b"..") {
            continue;
        }
        let kind = there(retry_on_intr(|| openat(volumes, kind, BELOW | SEARCH, Mode::empty())))?;
        let Some(kind) = kind else { continue };
        for name in names.iter().filter(|name| is_name(name)) {
            if is_directory(&kind, name)? {
                mounted.push(name.clone());
            }
        }
    }
}

/// Whether this names an entry, and neither the directory itself nor another.
fn is_name(text: &str) -> bool {
    !matches!(text, "" | "." | "..") && text.len() <= 255 && !text.contains(['/', '\0'])
}

/// Whether this is a directory, and no link to one.
fn is_directory(of: impl AsFd, name: &str) -> rustix::io::Result<bool> {
    let found = there(retry_on_intr(|| statat(of.as_fd(), name, AtFlags::SYMLINK_NOFOLLOW)))?;
    Ok(found.is_some_and(|found| FileType::from_raw_mode(found.st_mode) == FileType::Directory))
}
