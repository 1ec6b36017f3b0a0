//! Whether the kubelet's directory of the settings is a kubelet's: without it no
//! pod's sidecar is recognised by its volume.
//!
//! I/O: looks at that directory, and at the names of this machine's processes.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::error::NodeError;

/// The names of the processes that hold a kubelet: k0s and kubeadm, MicroK8s.
const KUBELETS: [&str; 2] = ["kubelet", "kubelite"];

/// The kubelet's directory of the settings.
#[derive(Debug, Clone)]
pub(crate) struct KubeletDir {
    pub(crate) path: PathBuf,
    /// Whether the settings name it.
    pub(crate) is_set: bool,
}

/// Whether a problem makes `--check` fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Severity {
    Warning,
    Failure,
}

impl KubeletDir {
    /// What is wrong with it.
    pub(crate) fn problem(&self) -> Option<(NodeError, Severity)> {
        let path = &self.path;
        let reason = match fs::metadata(path.join("pods")) {
            Ok(meta) if meta.is_dir() => return None,
            Ok(_) => "its pods is not a directory".to_owned(),
            Err(error) if error.kind() == ErrorKind::NotFound => match path.is_dir() {
                true => "it has no directory pods".to_owned(),
                false => "there is no such directory".to_owned(),
            },
            Err(error) => format!("cannot look at its pods: {error}"),
        };
        // The image of a node is built before its kubelet has made the directory,
        // and a runtime may run without a kubelet.
        let may_come = !self.is_set && !path.exists() && !is_kubelet_here();
        let severity = if may_come { Severity::Warning } else { Severity::Failure };
        Some((NodeError::Kubelet { path: path.clone(), reason }, severity))
    }
}

/// Whether a kubelet runs beside us: a process of that name which sees the same
/// file systems. Where its links cannot be read, its name is enough.
fn is_kubelet_here() -> bool {
    let ours = fs::read_link("/proc/self/ns/mnt").ok();
    let is_kubelet = |process: &Path| {
        let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
        let theirs = || fs::read_link(process.join("ns/mnt")).ok();
        KUBELETS.contains(&name.trim_end()) && theirs().is_none_or(|it| Some(it) == ours)
    };
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes.map(|entry| entry.path()).any(|process| is_kubelet(&process))
}
