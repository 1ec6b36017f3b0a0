//! The kernel's answer to a message of a transaction.
//!
//! Pure.

use nix::errno::Errno;
use rustables::sys::{
    NLM_F_ACK_TLVS, NLM_F_CAPPED, NLMSG_ERROR, NLMSGERR_ATTR_MSG, NLMSGERR_ATTR_OFFS,
};

use super::encode::Batch;
use super::error::{NftError, Refusal};
use super::netlink::{self, Attributes, HEADER, Message, ne_u32};

/// `struct nlmsgerr` and what may follow it.
pub(super) struct Answer<'a> {
    /// 0, or a negative errno.
    pub(super) error: i32,
    /// The kernel's text.
    text: Option<&'a str>,
    /// The offset of the attribute at fault in the message.
    offset: Option<u32>,
}

impl<'a> Answer<'a> {
    /// Reads an answer; `None` if the message is no answer.
    pub(super) fn read(message: &Message<'a>) -> Option<Self> {
        if u32::from(message.kind) != NLMSG_ERROR {
            return None;
        }
        let error = ne_u32(message.body, 0)? as i32;
        let flags = u32::from(message.flags);
        // It contains our own message, whole or only its header.
        let echo =
            if flags & NLM_F_CAPPED != 0 { HEADER } else { ne_u32(message.body, 4)? as usize };
        let details = message.body.get(netlink::align(echo).saturating_add(4)..);
        let details = details.filter(|_| flags & NLM_F_ACK_TLVS != 0).unwrap_or_default();
        let details = Attributes(details);
        let offset = details.find(NLMSGERR_ATTR_OFFS as u16);
        Some(Answer {
            error,
            text: details.find(NLMSGERR_ATTR_MSG as u16).and_then(|text| text.text()),
            offset: offset.and_then(|offset| ne_u32(offset.value, 0)),
        })
    }
}

/// The error that this answer to a message of the batch means.
pub(super) fn refusal(batch: &Batch<'_>, sequence: u32, answer: Answer<'_>) -> NftError {
    let errno = Errno::from_raw(answer.error.wrapping_neg());
    // without nf_tables, nfnetlink refuses the batch's first message
    if sequence == 0 && errno == Errno::EOPNOTSUPP {
        return no_nf_tables(errno);
    }
    let refusal = Refusal::new(batch, sequence, errno, answer.text, answer.offset);
    NftError::Refused(Box::new(refusal))
}

/// The error of a kernel that does not speak to us about nf_tables.
pub(super) fn no_nf_tables(errno: Errno) -> NftError {
    let missing = match errno {
        Errno::EPERM => "nf_tables needs CAP_NET_ADMIN in the network namespace",
        _ => "the kernel has no nf_tables (module nf_tables, CONFIG_NF_TABLES)",
    };
    NftError::Unsupported { missing, errno }
}
