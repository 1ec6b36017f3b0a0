//! Netlink's framing: messages and attributes, written, and read with every
//! bound checked.
//!
//! Pure. Layouts are those of `include/uapi/linux/netlink.h` and
//! `include/uapi/linux/netfilter/nfnetlink.h`.

use rustables::sys::{
    NFNETLINK_V0, NFNL_SUBSYS_NFTABLES, NLA_F_NESTED, NLM_F_DUMP_INTR, NLM_F_REQUEST,
    NLMSG_MIN_TYPE,
};

use crate::ruleset::Family;

/// Bytes of `struct nlmsghdr`.
pub(crate) const HEADER: usize = 16;

/// Bytes of `struct nlmsghdr` and `struct nfgenmsg`.
pub(crate) const NF_HEADER: usize = HEADER + 4;

/// Bytes of `struct nlattr`.
const ATTRIBUTE_HEADER: usize = 4;

/// One netlink message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Message<'a> {
    /// `nlmsg_type`; for nf_tables the subsystem is in the upper byte.
    pub(crate) kind: u16,
    /// `nlmsg_flags`
    pub(crate) flags: u16,
    /// `nlmsg_seq`
    pub(crate) sequence: u32,
    /// All after `struct nlmsghdr`.
    pub(crate) body: &'a [u8],
}

impl<'a> Message<'a> {
    /// Which nf_tables message this is (`NFT_MSG_…`), if it is one.
    pub(crate) fn nft_kind(&self) -> Option<u32> {
        let ours = u32::from(self.kind >> 8) == NFNL_SUBSYS_NFTABLES;
        (ours && u32::from(self.kind) >= NLMSG_MIN_TYPE).then_some(u32::from(self.kind & 0xff))
    }

    /// The family of an nf_tables message (`NFPROTO_…`).
    pub(crate) fn family(&self) -> Option<u8> {
        self.body.first().copied()
    }

    /// The low 16 bits of the ruleset's generation, from `nfgenmsg.res_id`.
    pub(crate) fn generation(&self) -> Option<u16> {
        Some(u16::from_be_bytes([*self.body.get(2)?, *self.body.get(3)?]))
    }

    /// The attributes of an nf_tables message.
    pub(crate) fn attributes(&self) -> Attributes<'a> {
        Attributes(self.body.get(NF_HEADER - HEADER..).unwrap_or_default())
    }

    /// Writes the message. The sender's port (`nlmsg_pid`) is 0: the kernel does not
    /// check it in a request.
    pub(crate) fn write(&self, bytes: &mut Vec<u8>) {
        let mut header = [0; HEADER];
        header[..4].copy_from_slice(&((HEADER + self.body.len()) as u32).to_ne_bytes());
        header[4..6].copy_from_slice(&self.kind.to_ne_bytes());
        header[6..8].copy_from_slice(&self.flags.to_ne_bytes());
        header[8..12].copy_from_slice(&self.sequence.to_ne_bytes());
        bytes.extend_from_slice(&header);
        bytes.extend_from_slice(self.body);
        bytes.resize(align(bytes.len()), 0);
    }

    /// Whether the ruleset changed while it was being dumped.
    pub(crate) fn interrupted(&self) -> bool {
        u32::from(self.flags) & NLM_F_DUMP_INTR != 0
    }
}

/// The messages of one datagram. Ends at the first that does not fit.
#[derive(Debug, Clone)]
pub(crate) struct Messages<'a>(pub(crate) &'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Message<'a>> {
        let header = self.0.get(..HEADER)?;
        let length = ne_u32(header, 0)? as usize;
        let body = self.0.get(HEADER..length)?;
        let message = Message {
            kind: ne_u16(header, 4)?,
            flags: ne_u16(header, 6)?,
            sequence: ne_u32(header, 8)?,
            body,
        };
        self.0 = self.0.get(align(length)..).unwrap_or_default();
        Some(message)
    }
}

/// One netlink attribute; its value is as long as the kernel says, without
/// padding.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attribute<'a> {
    /// `nla_type` without the flags for nesting and byte order.
    pub(crate) kind: u16,
    /// The payload.
    pub(crate) value: &'a [u8],
}

impl<'a> Attribute<'a> {
    /// The attributes nested in this one.
    pub(crate) fn nested(&self) -> Attributes<'a> {
        Attributes(self.value)
    }

    /// A number in network byte order, as nf_tables has nearly all of them.
    pub(crate) fn u32(&self) -> Option<u32> {
        Some(u32::from_be_bytes(self.value.get(..4)?.try_into().ok()?))
    }

    /// See [`Attribute::u32`].
    pub(crate) fn u64(&self) -> Option<u64> {
        Some(u64::from_be_bytes(self.value.get(..8)?.try_into().ok()?))
    }

    /// A text up to its NUL.
    pub(crate) fn text(&self) -> Option<&'a str> {
        let end = self.value.iter().position(|byte| *byte == 0).unwrap_or(self.value.len());
        std::str::from_utf8(self.value.get(..end)?).ok()
    }
}

/// A row of attributes. Ends at the first that does not fit.
#[derive(Debug, Clone)]
pub(crate) struct Attributes<'a>(pub(crate) &'a [u8]);

impl<'a> Attributes<'a> {
    /// The first attribute of this kind.
    pub(crate) fn find(&self, kind: u16) -> Option<Attribute<'a>> {
        Iterator::find(&mut self.clone(), |attribute| attribute.kind == kind)
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Attribute<'a>> {
        let length = usize::from(ne_u16(self.0, 0)?);
        // NLA_TYPE_MASK: the two upper bits are flags
        let kind = ne_u16(self.0, 2)? & 0x3fff;
        let value = self.0.get(ATTRIBUTE_HEADER..length)?;
        self.0 = self.0.get(align(length)..).unwrap_or_default();
        Some(Attribute { kind, value })
    }
}

/// Appends a message to nf_tables, with the attributes that `fill` appends.
pub(crate) fn add_message(
    bytes: &mut Vec<u8>,
    kind: u32,
    flags: u32,
    sequence: u32,
    family: Option<Family>,
    fill: impl FnOnce(&mut Vec<u8>),
) {
    let kind = NFNL_SUBSYS_NFTABLES << 8 | kind;
    let nfgenmsg = [family.map_or(0, protocol), NFNETLINK_V0 as u8, 0, 0];
    add_headed(bytes, kind, flags, sequence, nfgenmsg, fill);
}

/// Appends a message that begins or ends a transaction of nf_tables.
pub(crate) fn add_batch_mark(
    bytes: &mut Vec<u8>,
    kind: u32,
    sequence: u32,
    fill: impl FnOnce(&mut Vec<u8>),
) {
    // here nfgenmsg.res_id names the subsystem
    let [high, low] = (NFNL_SUBSYS_NFTABLES as u16).to_be_bytes();
    add_headed(bytes, kind, 0, sequence, [0, NFNETLINK_V0 as u8, high, low], fill);
}

/// Appends `struct nlmsghdr`, `struct nfgenmsg` and what `fill` appends.
fn add_headed(
    bytes: &mut Vec<u8>,
    kind: u32,
    flags: u32,
    sequence: u32,
    nfgenmsg: [u8; 4],
    fill: impl FnOnce(&mut Vec<u8>),
) {
    let start = bytes.len();
    let message = Message {
        kind: kind as u16,
        flags: (NLM_F_REQUEST | flags) as u16,
        sequence,
        body: &nfgenmsg,
    };
    message.write(bytes);
    fill(bytes);
    set_length(bytes, start);
}

/// Writes the length of the message that starts here and ends with the bytes.
pub(crate) fn set_length(bytes: &mut [u8], start: usize) {
    let length = (bytes.len() - start) as u32;
    bytes[start..start + 4].copy_from_slice(&length.to_ne_bytes());
}

/// Appends an attribute, with its padding.
pub(crate) fn add_attribute(bytes: &mut Vec<u8>, kind: u16, value: &[u8]) {
    bytes.extend_from_slice(&attribute_header(kind, value.len()));
    bytes.extend_from_slice(value);
    bytes.extend_from_slice(&[0; 3][..align(value.len()) - value.len()]);
}

/// Appends a number in network byte order, as nf_tables has nearly all of them.
pub(crate) fn add_u32(bytes: &mut Vec<u8>, kind: u16, value: u32) {
    let [a, b, c, d] = attribute_header(kind, 4);
    let [e, f, g, h] = value.to_be_bytes();
    bytes.extend_from_slice(&[a, b, c, d, e, f, g, h]);
}

/// Appends an attribute that holds those which `fill` appends.
pub(crate) fn add_nested(bytes: &mut Vec<u8>, kind: u16, fill: impl FnOnce(&mut Vec<u8>)) {
    let start = bytes.len();
    bytes.extend_from_slice(&attribute_header(kind | NLA_F_NESTED as u16, 0));
    fill(bytes);
    let length = (bytes.len() - start) as u16;
    bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
}

/// `struct nlattr` for a value of this length.
fn attribute_header(kind: u16, length: usize) -> [u8; ATTRIBUTE_HEADER] {
    let [a, b] = ((ATTRIBUTE_HEADER + length) as u16).to_ne_bytes();
    let [c, d] = kind.to_ne_bytes();
    [a, b, c, d]
}

/// `NFPROTO_IPV4` or `NFPROTO_IPV6`.
pub(crate) fn protocol(family: Family) -> u8 {
    match family {
        Family::Ip => 2,
        Family::Ip6 => 10,
    }
}

/// The next multiple of four (`NLMSG_ALIGN`, `NLA_ALIGN`).
pub(crate) fn align(length: usize) -> usize {
    length.saturating_add(3) & !3
}

/// A number in the machine's byte order.
pub(crate) fn ne_u16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

/// See [`ne_u16`].
pub(crate) fn ne_u32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}
