//! What can go wrong with the node's files. Pure.

use std::path::PathBuf;

use super::broken::Runtimes;
use super::name::FileName;

/// Why the directory must be left as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Obstacle {
    #[error(
        "no primary network configuration yet: waiting for the network's agent to write one (a list with this plugin alone would leave pods without network)"
    )]
    NoPrimary {
        /// Our own list, left over from a primary that is gone.
        stale: Option<FileName>,
    },
    /// The file in the primary's place cannot be chained into.
    #[error(
        "{name}: {reason}; {runtimes}; nothing is changed until this file is mended, or removed if it is a leftover"
    )]
    Unusable { name: FileName, reason: String, runtimes: Runtimes },
    #[error(
        "{primary} sorts before {conf_name}, so runtimes would never read our list: choose a --conf-name that sorts before {primary}, remove {primary} if it is a leftover, or use --mode insert"
    )]
    Order { primary: FileName, conf_name: FileName },
    #[error(
        "{conf_name} does not hold our entry, so it belongs to another program and is left alone: choose another --conf-name that sorts before it"
    )]
    NotOurs { conf_name: FileName },
    #[error(
        "{primary} is a Multus configuration, and a copy of it in {conf_name} could call itself: use --mode insert with the same --conf-dir, which puts our entry behind Multus into {primary} (Multus passes no pod annotations to the configurations that it calls, so the entry does not belong there)"
    )]
    Multus { primary: FileName, conf_name: FileName },
    #[error(
        "{primary} is named by the Multus configuration {multus} and must keep its name: use --mode own, or put our entry into {multus} with --mode insert where that file is the first one"
    )]
    Named { primary: FileName, multus: FileName },
    #[error(
        "{primary} has its plugins in a folder of the network's name, where our entry would not be the last one: use --mode own"
    )]
    Folder { primary: FileName },
    #[error(
        "{primary} has cniVersions, but no cniVersion of 0.3.0 or newer: a runtime before CNI 1.1 would call our entry without a version, and every pod of the node would fail: use --mode own, whose list has one, or add one to {primary}"
    )]
    Unversioned { primary: FileName },
    #[error(
        "{primary}: cniVersion {version} is not supported by osm-cni (0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0), so each pod would fail: use a newer osm-cni"
    )]
    Version { primary: FileName, version: String },
    #[error(
        "{primary} would become {taken}, and that file exists already: remove one of the two, or use --mode own"
    )]
    Taken { primary: FileName, taken: FileName },
}

/// Why the node's files are not as they should be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NodeError {
    #[error("{dir}: {obstacle}", dir = .dir.display())]
    Obstacle { dir: PathBuf, obstacle: Obstacle },
    #[error("cannot {action} {path}: {reason}{remedy}", path = .path.display(), remedy = remedy(*.kind))]
    Io { action: &'static str, path: PathBuf, reason: String, kind: std::io::ErrorKind },
    /// Another program changed a file while a new text was made of it.
    #[error("{path} changed while it was being edited: left as it is, to be tried again", path = .0.display())]
    Changed(PathBuf),
    #[error("{path}: {reason}", path = .path.display())]
    Settings { path: PathBuf, reason: String },
    /// `--check`: the binary is not the one of this program.
    #[error(
        "{path} {what}: CRI-O then skips the list with our entry and takes the next one in the directory, without redirection, and under containerd each pod fails; run osm-cni install", path = .path.display()
    )]
    Binary { path: PathBuf, what: &'static str },
    /// `--check`: the configuration is not what it should be.
    #[error("{path}: {what}; run osm-cni install{hint}", path = .path.display())]
    NotCurrent { path: PathBuf, what: &'static str, hint: String },
    /// `--check`: a program of the list is not there.
    #[error(
        "{path}: the list calls the program {program}, which is not in {dir}: CRI-O skips such a list and takes the next one, without redirection, and under containerd each pod fails; install the network's programs, or remove {primary} if its network was removed", path = .path.display(), dir = .dir.display()
    )]
    Program { path: PathBuf, program: String, dir: PathBuf, primary: FileName },
    /// `--check`: there is no kubelet to be found.
    #[error(
        "kubeletDir {path}: {reason}, so a pod's sidecar cannot be recognised by its volume: set kubeletDir to the directory that the kubelet's --root-dir names, and mount it (an empty list in sidecarVolumes switches the look off)", path = .path.display()
    )]
    Kubelet { path: PathBuf, reason: String },
    /// `--check --audit`: pods with a sidecar and without rules.
    #[error("{}; recreate these pods, or run osm-cni install --repair", .0.join("; "))]
    Around(Vec<String>),
    #[error(
        "{dir}: nothing of ours, and no network configuration at all: name the directory that the runtime reads with --conf-dir", dir = .0.display()
    )]
    NothingHere(PathBuf),
}

impl NodeError {
    /// Whether waiting is of no use at the start of `install`: the command line,
    /// the node's directories or the network's own set-up must be changed.
    pub(crate) fn is_lasting(&self) -> bool {
        match self {
            Self::Obstacle { obstacle, .. } => {
                !matches!(obstacle, Obstacle::NoPrimary { .. } | Obstacle::Unusable { .. })
            }
            Self::Io { .. } => true,
            _ => false,
        }
    }

    pub(crate) fn settings(path: impl Into<PathBuf>, reason: String) -> Self {
        Self::Settings { path: path.into(), reason }
    }

    /// An error of a call on a file.
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
        source: impl Into<std::io::Error>,
    ) -> Self {
        let source = source.into();
        let (reason, kind) = (source.to_string(), source.kind());
        Self::Io { action, path: path.into(), reason, kind }
    }
}

/// What the operator can do about an error of the system.
fn remedy(kind: std::io::ErrorKind) -> &'static str {
    use std::io::ErrorKind as Kind;
    match kind {
        Kind::NotFound => {
            "; make the directory, or name the right one with --bin-dir, --conf-dir or --config"
        }
        Kind::PermissionDenied => {
            "; run as root, or with the capability DAC_OVERRIDE where the directory is not root's"
        }
        Kind::ReadOnlyFilesystem => "; mount the directory writable",
        Kind::StorageFull | Kind::QuotaExceeded => {
            "; make room on its file system, what was there is unchanged"
        }
        _ => "",
    }
}
