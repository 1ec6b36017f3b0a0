//! Shared by encoder and decoder: the types of sets and the comments, in the form that
//! nft gives them. The kernel stores both and does not interpret them.
//!
//! Pure.

use std::net::{Ipv4Addr, Ipv6Addr};

use rustables::data_type::DataType;
use rustables::{ChainPolicy, HookClass, ProtocolFamily};

use crate::ruleset::{self, Elements, Family};

/// The type of a comment among a table's or a rule's user data
/// (`NFTNL_UDATA_TABLE_COMMENT`, `NFTNL_UDATA_RULE_COMMENT`).
const UDATA_COMMENT: u8 = 0;

/// The type of a key's byte order among a set's user data
/// (`NFTNL_UDATA_SET_KEYBYTEORDER`).
const UDATA_SET_KEY_BYTE_ORDER: u8 = 0;

/// The longest comment that nft takes, in bytes.
const COMMENT_MAX: usize = 128;

/// nft's numbers for the types of keys that rustables has none for
/// (`TYPE_INET_SERVICE` and `TYPE_UID` in nftables' `include/datatype.h`).
const INET_SERVICE: u32 = 13;
const UID: u32 = 24;

/// An iptables target among a rule's expressions (`linux/netfilter/nf_tables_compat.h`).
pub(super) const NFTA_TARGET_NAME: u16 = 1;
pub(super) const NFTA_TARGET_INFO: u16 = 3;

/// The port of iptables' `REDIRECT --to-port`, from the target's
/// `struct nf_nat_ipv4_multi_range_compat`: one range of flags, two addresses and
/// two ports.
pub(super) fn redirect_target(info: &[u8]) -> Option<u16> {
    const NF_NAT_RANGE_PROTO_SPECIFIED: u32 = 2;
    let flags = u32::from_ne_bytes(info.get(4..8)?.try_into().ok()?);
    let port = |at: usize| Some(u16::from_be_bytes(info.get(at..at + 2)?.try_into().ok()?));
    let (first, last) = (port(16)?, port(18)?);
    (flags == NF_NAT_RANGE_PROTO_SPECIFIED && first == last).then_some(first)
}

/// The type of a set's keys: nft's number for it, and the bytes of a key.
pub(super) fn key_type(elements: &Elements) -> (u32, u32) {
    match elements {
        Elements::Ipv4(_) => (Ipv4Addr::TYPE, Ipv4Addr::LEN),
        Elements::Ipv6(_) => (Ipv6Addr::TYPE, Ipv6Addr::LEN),
        Elements::Ports(_) => (INET_SERVICE, 2),
        Elements::Uids(_) => (UID, 4),
    }
}

/// A set without elements whose keys are of this type; none if we make no such set.
pub(super) fn empty_set(type_id: u32, key_len: u32) -> Option<Elements> {
    let all = [
        Elements::Ipv4(Vec::new()),
        Elements::Ipv6(Vec::new()),
        Elements::Ports(Vec::new()),
        Elements::Uids(Vec::new()),
    ];
    all.into_iter().find(|elements| key_type(elements) == (type_id, key_len))
}

/// The user data that nft stores with a set: the byte order of its keys.
pub(super) fn set_userdata(elements: &Elements) -> Vec<u8> {
    const HOST: u32 = 1;
    const NETWORK: u32 = 2;
    let order = if matches!(elements, Elements::Uids(_)) { HOST } else { NETWORK };
    let mut bytes = vec![UDATA_SET_KEY_BYTE_ORDER, 4];
    bytes.extend_from_slice(&order.to_ne_bytes());
    bytes
}

/// Adds the element with this key; none if the key has another length.
pub(super) fn add_key(elements: &mut Elements, key: &[u8]) -> Option<()> {
    match elements {
        Elements::Ipv4(all) => all.push(Ipv4Addr::from(<[u8; 4]>::try_from(key).ok()?)),
        Elements::Ipv6(all) => all.push(Ipv6Addr::from(<[u8; 16]>::try_from(key).ok()?)),
        Elements::Ports(all) => all.push(u16::from_be_bytes(key.try_into().ok()?)),
        // the kernel keeps a uid as it has it in memory
        Elements::Uids(all) => all.push(u32::from_ne_bytes(key.try_into().ok()?)),
    }
    Some(())
}

/// A comment as user data: type, length, text and its NUL. Cut where nft would
/// refuse it.
pub(super) fn comment(text: &str) -> Vec<u8> {
    let mut end = text.len().min(COMMENT_MAX - 1);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let mut bytes = Vec::with_capacity(end + 3);
    bytes.extend_from_slice(&[UDATA_COMMENT, end as u8 + 1]);
    bytes.extend_from_slice(&text.as_bytes()[..end]);
    bytes.push(0);
    bytes
}

/// The comment among user data, if there is one.
pub(super) fn parse_comment(mut userdata: &[u8]) -> Option<&str> {
    loop {
        let [kind, length, rest @ ..] = userdata else { return None };
        let (value, rest) = rest.split_at_checked(usize::from(*length))?;
        if *kind == UDATA_COMMENT {
            let text = value.strip_suffix(&[0]).unwrap_or(value);
            return std::str::from_utf8(text).ok();
        }
        userdata = rest;
    }
}

/// `NF_ACCEPT`: a verdict, and the policy of our base chains.
pub(super) const ACCEPT: i32 = ChainPolicy::Accept as i32;

/// `NF_INET_PRE_ROUTING`
pub(super) const PREROUTING: u32 = HookClass::PreRouting as u32;

/// `NF_INET_LOCAL_OUT`
pub(super) const OUTPUT: u32 = HookClass::Out as u32;

/// `IPPROTO_TCP`
pub(super) const TCP: u8 = 6;

/// `(register & mask) ^ xor`. The kernel's headers called it `NFT_BITWISE_BOOL`
/// up to Linux 6.11 and `NFT_BITWISE_MASK_XOR` since, so it is our own: rustables
/// has the constants of whatever headers it was built with.
pub(super) const BITWISE_MASK_XOR: u32 = 0;

/// `IFNAMSIZ`: the bytes of an interface's name with its padding.
pub(super) const INTERFACE_NAME: usize = 16;

/// The offset of the destination port in a TCP header.
pub(super) const PORT_OFFSET: u32 = 2;

/// rustables' name for a family.
pub(super) fn protocol_family(family: Family) -> ProtocolFamily {
    match family {
        Family::Ip => ProtocolFamily::Ipv4,
        Family::Ip6 => ProtocolFamily::Ipv6,
    }
}

/// The offset of the destination address in an IP header.
pub(super) fn address_offset(family: Family) -> u32 {
    match family {
        Family::Ip => 16,
        Family::Ip6 => 24,
    }
}

/// A mask with this many leading ones.
pub(super) fn prefix_mask(prefix_len: u8, bytes: usize) -> Vec<u8> {
    ruleset::prefix_mask(prefix_len, 128).to_be_bytes()[..bytes].to_vec()
}
