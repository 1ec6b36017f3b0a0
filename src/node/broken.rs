//! Why a text is not a network configuration that can be chained into, and what
//! runtimes do with it. Pure.

use std::fmt;

/// What runtimes do with a configuration that cannot be chained into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Runtimes {
    /// containerd has no network until the file is gone, CRI-O skips it.
    Refuse,
    /// Both use it as it is.
    Take,
    /// It has no network name.
    Nameless,
    /// It depends on the release of the runtime.
    Depends,
}

/// Why a text is not a network configuration that can be chained into.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Broken {
    reason: String,
    pub(crate) runtimes: Runtimes,
    /// Whether the text is JSON at all.
    pub(crate) is_json: bool,
}

impl Broken {
    pub(crate) fn new(reason: impl Into<String>, runtimes: Runtimes) -> Self {
        Self { reason: reason.into(), runtimes, is_json: true }
    }

    pub(super) fn refused(reason: impl Into<String>) -> Self {
        Self::new(reason, Runtimes::Refuse)
    }

    /// A text that is not JSON, or a file that cannot be read.
    pub(crate) fn not_json(reason: impl Into<String>) -> Self {
        Self { is_json: false, ..Self::refused(reason) }
    }
}

impl fmt::Display for Runtimes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Runtimes::Refuse => {
                "containerd has no network while this file is there, CRI-O skips it and takes the next one"
            }
            Runtimes::Take => "containerd and CRI-O use it as it is, without redirection",
            Runtimes::Nameless => {
                "containerd reads it and fails for each pod, CRI-O names the network after the file"
            }
            Runtimes::Depends => "what containerd and CRI-O make of it depends on their releases",
        })
    }
}
