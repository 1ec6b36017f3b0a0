//! What can go wrong on the node's files, in the operator's words.

use std::path::PathBuf;

/// Why nothing may be changed now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Obstacle {
    /// No configuration that could be the pods' network.
    #[error(
        "no primary network configuration yet: waiting for the network's agent to write one (a list with this plugin alone would leave pods without network)"
    )]
    NoPrimary {
        /// Our own list, left over from a primary that is gone.
        stale: Option<String>,
    },
    /// A file that cannot be used is in the primary's place.
    #[error(
        "{name}: {reason}; nothing is changed until this file can be read or is gone, since runtimes stop at it too"
    )]
    Broken {
        /// The file's name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The primary's file sorts before our own list.
    #[error(
        "{primary} sorts before {conf_name}, so runtimes would never read our list: choose a --conf-name that sorts before {primary}, or --mode insert"
    )]
    Order {
        /// The primary's file.
        primary: String,
        /// Our own list's name.
        conf_name: String,
    },
    /// The primary is Multus.
    #[error(
        "{primary} is a Multus configuration, which would include {conf_name} and be included by it: use --mode insert with --conf-dir set to the directory that holds the configuration Multus delegates to, or name that file in Multus' clusterNetwork"
    )]
    Multus {
        /// The primary's file.
        primary: String,
        /// Our own list's name.
        conf_name: String,
    },
    /// The primary's version is one that our plugin does not speak.
    #[error(
        "{primary}: cniVersion {version} is not one that osm-cni speaks (0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0), so each pod would fail: use a newer osm-cni"
    )]
    Version {
        /// The primary's file.
        primary: String,
        /// Its version.
        version: String,
    },
    /// The name that a single plugin's list would get is taken.
    #[error(
        "{primary} would become {taken}, and that file exists already: remove one of the two, or use --mode own"
    )]
    Taken {
        /// The primary's file.
        primary: String,
        /// The file in the way.
        taken: String,
    },
}

/// An error of this room.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The directory's content does not allow our entry now.
    #[error("{dir}: {obstacle}", dir = .dir.display())]
    Obstacle {
        /// The configuration directory.
        dir: PathBuf,
        /// Why.
        obstacle: Obstacle,
    },
    /// A call on a file failed.
    #[error("cannot {action} {path}: {source}{remedy}", path = .path.display(), remedy = remedy(.source))]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A file was changed by somebody else while a new text was made of it.
    #[error("{path} changed while it was being edited: left as it is, to be looked at again", path = .0.display())]
    Changed(PathBuf),
    /// The settings file is of no use.
    #[error("{path}: {reason}", path = .path.display())]
    Settings {
        /// The file of `--config`.
        path: PathBuf,
        /// What is wrong in it.
        reason: String,
    },
    /// `--check`: the binary is not the one of this program.
    #[error(
        "{path} {what}: under CRI-O the list with our entry is then skipped, and the next one in the directory takes over without redirection; run osm-cni install", path = .path.display()
    )]
    Binary {
        /// The installed binary.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// `--check`: the configuration is not what it should be.
    #[error("{path}: {what}; run osm-cni install{hint}", path = .path.display())]
    NotCurrent {
        /// The file that should have our entry.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
        /// Who may be the cause, and the setting to change.
        hint: String,
    },
    /// The address for metrics cannot be listened on.
    #[error("cannot serve metrics on {address}: {source}; choose another --metrics address")]
    Metrics {
        /// The address as given.
        address: String,
        /// The system's answer.
        source: std::io::Error,
    },
}

impl NodeError {
    /// Whether waiting is of no use: somebody has to change the command line,
    /// the node's directories, or the network's own set-up.
    pub(crate) fn is_lasting(&self) -> bool {
        match self {
            Self::Obstacle { obstacle, .. } => {
                !matches!(obstacle, Obstacle::NoPrimary { .. } | Obstacle::Broken { .. })
            }
            Self::Changed(_) => false,
            _ => true,
        }
    }

    /// An error in the settings.
    pub(crate) fn settings(path: impl Into<PathBuf>, reason: String) -> Self {
        Self::Settings { path: path.into(), reason }
    }

    /// An error of a call on a file.
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
        source: impl Into<std::io::Error>,
    ) -> Self {
        Self::Io { action, path: path.into(), source: source.into() }
    }
}

/// What the operator can do about a refusal of the system.
fn remedy(error: &std::io::Error) -> &'static str {
    use std::io::ErrorKind as Kind;
    match error.kind() {
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
