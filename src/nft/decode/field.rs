//! The fields that our rules load into a register, and the values that they are
//! compared with.
//!
//! Pure.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rustables::sys::{
    NFT_CT_STATE, NFT_META_IIFNAME, NFT_META_L4PROTO, NFT_META_OIFNAME, NFT_META_SKUID,
    NFT_PAYLOAD_NETWORK_HEADER, NFT_PAYLOAD_TRANSPORT_HEADER, NFTA_CT_DIRECTION, NFTA_CT_KEY,
    NFTA_DATA_VALUE, NFTA_META_KEY, NFTA_PAYLOAD_BASE, NFTA_PAYLOAD_LEN, NFTA_PAYLOAD_OFFSET,
};

use crate::nft::netlink::{Attribute, Attributes};
use crate::nft::uapi::{self, INTERFACE_NAME};
use crate::ruleset::{Family, InterfacePattern};

/// The fields that our matches look at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Protocol,
    State,
    Uid,
    InputInterface,
    OutputInterface,
    Port,
    /// The first bytes of the destination address.
    Address(u8),
}

/// The part of the packet's headers that a payload expression loads.
pub(super) fn payload(family: Family, data: &Attributes<'_>) -> Option<Field> {
    let offset = number(data, NFTA_PAYLOAD_OFFSET)?;
    let len = number(data, NFTA_PAYLOAD_LEN)?;
    match number(data, NFTA_PAYLOAD_BASE)? {
        NFT_PAYLOAD_TRANSPORT_HEADER if (offset, len) == (uapi::PORT_OFFSET, 2) => {
            Some(Field::Port)
        }
        // nft loads only the bytes of a prefix that it compares
        NFT_PAYLOAD_NETWORK_HEADER if offset == uapi::address_offset(family) => {
            let len = u8::try_from(len).ok()?;
            (1..=family.address_bits() / 8).contains(&len).then_some(Field::Address(len))
        }
        _ => None,
    }
}

/// What a meta expression loads.
pub(super) fn meta(data: &Attributes<'_>) -> Option<Field> {
    match number(data, NFTA_META_KEY)? {
        NFT_META_L4PROTO => Some(Field::Protocol),
        NFT_META_SKUID => Some(Field::Uid),
        NFT_META_IIFNAME => Some(Field::InputInterface),
        NFT_META_OIFNAME => Some(Field::OutputInterface),
        _ => None,
    }
}

/// What a ct expression loads.
pub(super) fn conntrack(data: &Attributes<'_>) -> Option<Field> {
    let state = number(data, NFTA_CT_KEY)? == NFT_CT_STATE;
    (state && data.find(NFTA_CT_DIRECTION).is_none()).then_some(Field::State)
}

/// A name with its padding, or the beginning of one.
pub(super) fn interface(value: &[u8]) -> Option<InterfacePattern> {
    let prefix = value.len() < INTERFACE_NAME;
    let end = value.iter().position(|byte| *byte == 0).unwrap_or(value.len());
    let (name, padding) = value.split_at_checked(end)?;
    let plain = padding.iter().all(|byte| *byte == 0) && (!prefix || padding.is_empty());
    let whole = value.len() <= INTERFACE_NAME && (prefix || !padding.is_empty());
    let name = Cow::Owned(std::str::from_utf8(name).ok()?.to_owned());
    (plain && whole).then_some(InterfacePattern { name, prefix })
}

/// The bits of a port that are compared.
pub(super) fn port_mask(mask: Option<&[u8]>) -> Option<u16> {
    match mask {
        None => Some(u16::MAX),
        Some(mask) => Some(u16::from_be_bytes(mask.try_into().ok()?)),
    }
}

/// The prefix length of an address of which this many bytes were loaded.
pub(super) fn prefix_len(mask: Option<&[u8]>, len: u8) -> Option<u8> {
    let Some(mask) = mask else { return Some(len * 8) };
    let ones: u32 = mask.iter().map(|byte| byte.count_ones()).sum();
    let ones = u8::try_from(ones).ok()?;
    (mask == uapi::prefix_mask(ones, len.into())).then_some(ones)
}

/// An address of which the first bytes are given.
pub(super) fn address(family: Family, first: &[u8]) -> Option<IpAddr> {
    fn whole<const N: usize>(first: &[u8]) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        bytes.get_mut(..first.len())?.copy_from_slice(first);
        Some(bytes)
    }
    Some(match family {
        Family::Ip => IpAddr::V4(Ipv4Addr::from(whole::<4>(first)?)),
        Family::Ip6 => IpAddr::V6(Ipv6Addr::from(whole::<16>(first)?)),
    })
}

/// The number in this attribute.
pub(super) fn number(data: &Attributes<'_>, kind: u16) -> Option<u32> {
    data.find(kind).and_then(|number| number.u32())
}

/// The bytes in this attribute.
pub(super) fn value<'a>(data: &Attributes<'a>, kind: u16) -> Option<&'a [u8]> {
    let found: Attribute<'a> = data.find(kind)?.nested().find(NFTA_DATA_VALUE)?;
    Some(found.value)
}
