//! The elements of sets. rustables makes six allocations for each element and
//! one message for all, whose length field has 16 bits; a list of an operator
//! has up to tens of thousands of elements.
//!
//! Pure.

use std::net::{Ipv4Addr, Ipv6Addr};

use rustables::sys::{
    NFTA_DATA_VALUE, NFTA_LIST_ELEM, NFTA_SET_ELEM_KEY, NFTA_SET_ELEM_LIST_ELEMENTS,
    NFTA_SET_ELEM_LIST_SET, NFTA_SET_ELEM_LIST_TABLE,
};

use crate::nft::netlink;
use crate::ruleset::{Elements, Set, TABLE};

/// How many bytes of elements one message has at most: an attribute's length has 16
/// bits.
const MAX_BYTES: usize = 48_000;

/// The attributes of the messages that add a set's elements, as many messages as
/// it takes.
pub(super) fn lists(set: &Set) -> Vec<Vec<u8>> {
    match &set.elements {
        Elements::Ipv4(all) => split(set, all, Ipv4Addr::octets),
        Elements::Ipv6(all) => split(set, all, Ipv6Addr::octets),
        Elements::Ports(all) => split(set, all, |port| port.to_be_bytes()),
        // the kernel compares a uid as it has it in memory
        Elements::Uids(all) => split(set, all, |uid| uid.to_ne_bytes()),
    }
}

/// `NFTA_LIST_ELEM { NFTA_SET_ELEM_KEY { NFTA_DATA_VALUE } }` for each element.
fn split<T, const N: usize>(set: &Set, all: &[T], key: impl Fn(&T) -> [u8; N]) -> Vec<Vec<u8>> {
    // one element; the others differ in their keys alone
    let mut element = Vec::new();
    netlink::add_nested(&mut element, NFTA_LIST_ELEM, |element| {
        netlink::add_nested(element, NFTA_SET_ELEM_KEY, |data| {
            netlink::add_attribute(data, NFTA_DATA_VALUE, &[0; N]);
        });
    });
    let start = element.len() - netlink::align(N);
    let parts = all.chunks(MAX_BYTES / element.len());
    let list = |part: &[T]| {
        let mut bytes = Vec::with_capacity(part.len() * element.len() + 64);
        netlink::add_attribute(&mut bytes, NFTA_SET_ELEM_LIST_TABLE, TABLE.as_bytes());
        netlink::add_attribute(&mut bytes, NFTA_SET_ELEM_LIST_SET, set.name.as_bytes());
        netlink::add_nested(&mut bytes, NFTA_SET_ELEM_LIST_ELEMENTS, |list| {
            let mut element = element.clone();
            for item in part {
                element[start..start + N].copy_from_slice(&key(item));
                list.extend_from_slice(&element);
            }
        });
        bytes
    };
    parts.map(list).collect()
}
