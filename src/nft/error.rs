//! What can go wrong between us and nf_tables, in the kernel's own words where
//! it has any.
//!
//! Pure.

use std::io;

use nix::errno::Errno;
use rustables::sys::{
    NFT_MSG_NEWCHAIN, NFT_MSG_NEWRULE, NFT_MSG_NEWSET, NFT_MSG_NEWSETELEM, NFT_MSG_NEWTABLE,
    NFTA_EXPR_NAME, NFTA_RULE_EXPRESSIONS,
};

use super::encode::{Batch, Part};
use super::netlink::{Attributes, Messages, NF_HEADER, align};
use crate::ruleset::{Chain, ChainKind, Family, Hook, Match, Verdict};

/// How long an answer is waited for. The kernel answers before the sending
/// call returns, so this only bounds what can't happen.
pub(super) const PATIENCE_SECONDS: u32 = 5;

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

/// Which message the kernel refused, and all that it said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What the message was about, in words.
    pub what: String,
    /// The kernel's error.
    pub errno: Errno,
    /// The kernel's text, where it has one (`NLMSGERR_ATTR_MSG`).
    pub text: Option<String>,
    /// The attribute at fault, where the kernel points at one
    /// (`NLMSGERR_ATTR_OFFS`).
    pub attribute: Option<String>,
    /// What this kernel probably lacks.
    pub hint: Option<String>,
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
        let attribute =
            offset.and_then(|offset| attribute_at(batch.message(sequence)?, offset as usize));
        Refusal {
            what: batch.describe(sequence).unwrap_or_else(|| "the transaction".to_owned()),
            errno,
            text: text.filter(|text| !text.is_empty()).map(str::to_owned),
            attribute,
            hint: hint(batch, sequence, errno),
        }
    }
}

/// `ENOENT` for [`Errno::ENOENT`].
fn errno_name(errno: Errno) -> String {
    format!("{errno:?}")
}

/// What a kernel that answers so probably lacks. Where the kernel knows a
/// module but does not have it, it says ENOENT or EOPNOTSUPP.
fn hint(batch: &Batch<'_>, sequence: u32, errno: Errno) -> Option<String> {
    if errno == Errno::EPERM {
        return Some("CAP_NET_ADMIN in the pod's network namespace is needed".to_owned());
    }
    if !matches!(errno, Errno::ENOENT | Errno::EOPNOTSUPP | Errno::EAFNOSUPPORT) {
        return None;
    }
    let (family, part) = batch.part(sequence)?;
    let version = if family == Family::Ip { "IPv4" } else { "IPv6" };
    let rule = match part {
        Part::Table => {
            return Some(format!("the kernel lacks nf_tables for {version} (CONFIG_NF_TABLES)"));
        }
        Part::Chain(Chain { hook: Some(Hook { kind: ChainKind::Nat, .. }), .. }) => {
            return Some(format!(
                "the kernel lacks {version} nat for nf_tables (module nft_chain_nat, CONFIG_NFT_NAT)"
            ));
        }
        Part::Set | Part::Chain(_) => return None,
        Part::Rule(rule) => rule,
    };
    match &rule.verdict {
        Verdict::Redirect(_) => Some(format!(
            "the kernel lacks redirect for {version} (module nft_redir, CONFIG_NFT_REDIR)"
        )),
        Verdict::Dnat(_) => {
            Some(format!("the kernel lacks dnat for {version} (module nft_nat, CONFIG_NFT_NAT)"))
        }
        Verdict::RejectWithReset => Some(format!(
            "the kernel lacks reject for {version} (module nft_reject, CONFIG_NFT_REJECT; in prerouting Linux 5.9 or newer)"
        )),
        Verdict::Return | Verdict::Accept | Verdict::Jump(_) => rule
            .matches
            .contains(&Match::NewConnection)
            .then(|| "the kernel lacks ct matches (module nft_ct, CONFIG_NFT_CT)".to_owned()),
    }
}

/// The name of the attribute at this offset of a message; for a rule, its
/// expression.
fn attribute_at(message: &[u8], offset: usize) -> Option<String> {
    let kind = Messages(message).next()?.nft_kind()?;
    let mut at = NF_HEADER;
    for attribute in Attributes(message.get(NF_HEADER..)?) {
        let end = at + align(4 + attribute.value.len());
        if (at..end).contains(&offset) {
            if kind == NFT_MSG_NEWRULE && attribute.kind == NFTA_RULE_EXPRESSIONS {
                return expression_at(attribute.nested(), at + 4, offset);
            }
            return Some(attribute_name(kind, attribute.kind));
        }
        at = end;
    }
    None
}

fn expression_at(expressions: Attributes<'_>, mut at: usize, offset: usize) -> Option<String> {
    for (index, expression) in expressions.enumerate() {
        let end = at + align(4 + expression.value.len());
        if (at..end).contains(&offset) {
            let name = expression.nested().find(NFTA_EXPR_NAME)?.text()?;
            return Some(format!("expression {} ({name})", index + 1));
        }
        at = end;
    }
    None
}

fn attribute_name(message: u32, attribute: u16) -> String {
    let (group, names): (&str, &[&str]) = match message {
        NFT_MSG_NEWTABLE => ("TABLE", &["NAME", "FLAGS", "USE", "HANDLE", "PAD", "USERDATA"]),
        NFT_MSG_NEWCHAIN => {
            ("CHAIN", &["TABLE", "HANDLE", "NAME", "HOOK", "POLICY", "USE", "TYPE"])
        }
        NFT_MSG_NEWRULE => {
            ("RULE", &["TABLE", "CHAIN", "HANDLE", "EXPRESSIONS", "COMPAT", "POSITION", "USERDATA"])
        }
        NFT_MSG_NEWSET => (
            "SET",
            &[
                "TABLE",
                "NAME",
                "FLAGS",
                "KEY_TYPE",
                "KEY_LEN",
                "DATA_TYPE",
                "DATA_LEN",
                "POLICY",
                "DESC",
                "ID",
                "TIMEOUT",
                "GC_INTERVAL",
                "USERDATA",
            ],
        ),
        NFT_MSG_NEWSETELEM => ("SET_ELEM_LIST", &["TABLE", "SET", "ELEMENTS", "SET_ID"]),
        _ => ("", &[]),
    };
    match usize::from(attribute).checked_sub(1).and_then(|index| names.get(index)) {
        Some(name) => format!("attribute NFTA_{group}_{name}"),
        None => format!("attribute {attribute}"),
    }
}
