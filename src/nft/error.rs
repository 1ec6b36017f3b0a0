//! The errors of nf_tables, with the kernel's own text where it has one.
//!
//! Pure.

use std::io;

use super::encode::Batch;
use super::hint::{RefusedAt, hint, refused_at};
use nix::errno::Errno;

/// How long an answer is waited for. The kernel answers before the sending
/// call returns, so this bounds only what should never happen.
pub(super) const ANSWER_SECONDS: u32 = 5;

/// A failure to set or to read rules.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NftError {
    /// The kernel refused the transaction; nothing was changed.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// This kernel has no nf_tables, or does not let us use it.
    #[error("{missing} ({errno})")]
    Unsupported {
        /// What is missing, and what would help.
        missing: &'static str,
        /// What the kernel answered.
        errno: Errno,
    },
    /// The netlink socket itself failed.
    #[error("cannot {doing}")]
    Socket {
        /// What was being done.
        doing: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// No answer, or part of the answers was lost: whether the rules are in
    /// place is not known.
    #[error(
        "the kernel's answer was lost while trying to {doing}: the rules may or may not be in place"
    )]
    NoAnswer {
        /// What was being done.
        doing: &'static str,
    },
    /// The kernel refused to tell what is there.
    #[error("cannot {doing}: {} ({})", errno.desc(), errno_name(*errno))]
    Unreadable {
        /// What was being done.
        doing: &'static str,
        /// What the kernel answered.
        errno: Errno,
    },
    /// The rules were changed by others again and again while they were read.
    #[error("the rules kept changing while they were read")]
    Changing,
    /// The kernel's answer does not make sense.
    #[error("cannot {doing}: the kernel's answer is malformed")]
    Malformed {
        /// What was being done.
        doing: &'static str,
    },
}

impl NftError {
    /// Whether the kernel said that we may not do this.
    pub(crate) fn is_refused_permission(&self) -> bool {
        match self {
            NftError::Refused(refusal) => refusal.errno == Errno::EPERM,
            NftError::Unsupported { errno, .. } | NftError::Unreadable { errno, .. } => {
                *errno == Errno::EPERM
            }
            NftError::Socket { .. }
            | NftError::NoAnswer { .. }
            | NftError::Changing
            | NftError::Malformed { .. } => false,
        }
    }
}

/// Which message the kernel refused, and all that it said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What the message was about, in words.
    pub what: String,
    /// The kernel's error.
    pub errno: Errno,
    /// The kernel's text, where it has one (`NLMSGERR_ATTR_MSG`).
    pub(crate) text: Option<String>,
    /// The attribute at fault, where the kernel points at one
    /// (`NLMSGERR_ATTR_OFFS`).
    pub attribute: Option<String>,
    /// The module or capability that is probably missing.
    pub(crate) hint: Option<String>,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Refusal { what, errno, text, attribute, hint } = self;
        write!(f, "the kernel refused {what}: {} ({})", errno.desc(), errno_name(*errno))?;
        if let Some(text) = text {
            write!(f, ", \"{text}\"")?;
        }
        if let Some(attribute) = attribute {
            write!(f, ", at {attribute}")?;
        }
        if let Some(hint) = hint {
            write!(f, "; {hint}")?;
        }
        Ok(())
    }
}

impl Refusal {
    /// Names the message of this sequence number.
    pub(super) fn new(
        batch: &Batch<'_>,
        sequence: u32,
        errno: Errno,
        text: Option<&str>,
        offset: Option<u32>,
    ) -> Self {
        let at = offset.and_then(|offset| refused_at(batch.message(sequence)?, offset as usize));
        let expression = match &at {
            Some(RefusedAt::Expression { name, .. }) => Some(name.as_str()),
            Some(RefusedAt::Attribute(_)) | None => None,
        };
        let hint = hint(batch.subject(sequence), expression, errno);
        Refusal {
            what: batch.describe(sequence).unwrap_or_else(|| "the transaction".to_owned()),
            errno,
            text: text.filter(|text| !text.is_empty()).map(str::to_owned),
            attribute: at.map(|at| at.to_string()),
            hint,
        }
    }
}

/// `ENOENT` for [`Errno::ENOENT`].
fn errno_name(errno: Errno) -> String {
    format!("{errno:?}")
}
