//! The changes of a configuration directory. Pure: `files.rs` carries them out.

use std::fmt;

use super::name::FileName;

/// What a file must hold when it is replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expect {
    /// Anything: the file is our own list.
    Ours,
    /// There must be no such file.
    Absent,
    /// The text that the new one was made of.
    Text(String),
}

/// One change of the directory, atomic in itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Replaces a file, or makes it.
    Write {
        name: FileName,
        text: String,
        /// Its permission bits.
        mode: u32,
        expect: Expect,
        /// A second name that keeps what is replaced.
        keep: Option<FileName>,
    },
    Rename {
        from: FileName,
        to: FileName,
    },
    Remove {
        name: FileName,
    },
    /// Sets a file's permission bits.
    SetMode {
        name: FileName,
        mode: u32,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Write { name, keep: None, .. } => write!(f, "wrote {name}"),
            Step::Write { name, keep: Some(copy), .. } => {
                write!(f, "wrote {name}, its original is {copy}")
            }
            Step::Rename { from, to } => write!(f, "renamed {from} to {to}"),
            Step::Remove { name } => write!(f, "removed {name}"),
            Step::SetMode { name, mode } => write!(f, "set the mode of {name} to {mode:04o}"),
        }
    }
}
