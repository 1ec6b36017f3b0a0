//! The changes of a configuration directory. Pure: `files.rs` carries them out.
//!
//! Each step names what it replaces or removes as the snapshot saw it. If another
//! program has written there since, the step is not carried out.

use std::fmt;

use super::content::{Mark, Seen};
use super::name::FileName;

/// One change of the directory, atomic in itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Replaces a file, or makes it.
    Write {
        name: FileName,
        text: String,
        /// Its permission bits.
        mode: u32,
        /// What is replaced. `None`: there must be no such file.
        replaced: Option<Seen>,
        /// A second name that keeps what is replaced.
        keep: Option<FileName>,
        /// The mark of a file that this program makes as a whole.
        mark: Option<Mark>,
    },
    /// Renames a file to the name of a kept original.
    Keep { name: FileName, seen: Seen },
    /// Renames a kept original back to its own name.
    Restore {
        name: FileName,
        /// What is replaced. `None`: there must be no such file.
        replaced: Option<Seen>,
    },
    /// Removes a file.
    Remove { name: FileName, seen: Seen },
}

impl Step {
    /// The file that it makes, replaces, renames or removes.
    pub(crate) fn name(&self) -> &FileName {
        match self {
            Step::Write { name, .. }
            | Step::Keep { name, .. }
            | Step::Restore { name, .. }
            | Step::Remove { name, .. } => name,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Write { name, keep: None, .. } => write!(f, "wrote {name}"),
            Step::Write { name, keep: Some(copy), .. } => {
                write!(f, "wrote {name}, its original is {copy}")
            }
            Step::Keep { name, .. } => write!(f, "renamed {name} to {}", name.original()),
            Step::Restore { name, .. } => write!(f, "renamed {} to {name}", name.original()),
            Step::Remove { name, .. } => write!(f, "removed {name}"),
        }
    }
}
