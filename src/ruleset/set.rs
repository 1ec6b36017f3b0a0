//! Named sets: what a rule looks a port, an address or a uid up in.
//!
//! Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::Serialize;

use super::Name;

/// A named set. Its elements are sorted and without duplicates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    /// The name, unique in its table.
    pub name: Name,
    /// Type and elements.
    pub elements: Elements,
}

/// A set's elements by type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Elements {
    /// `ipv4_addr`
    Ipv4(Vec<Ipv4Addr>),
    /// `ipv6_addr`
    Ipv6(Vec<Ipv6Addr>),
    /// `inet_service`: ports, or the first ports of aligned blocks.
    Ports(Vec<u16>),
    /// `uid`
    Uids(Vec<u32>),
}

/// A set with up to this many elements is small.
const SMALL: usize = 64;

impl Set {
    /// The number of elements that the kernel allocates for (nft's `size`). With it
    /// the hash is not rebuilt while the set is filled (`nft_rhash` in
    /// `net/netfilter/nft_set_hash.c`). None for a small set, and for ports, which
    /// the kernel keeps in a bitmap.
    pub(crate) fn size(&self) -> Option<u32> {
        let size = match &self.elements {
            Elements::Ports(_) => 0,
            elements => elements.count(),
        };
        u32::try_from(size).ok().filter(|_| size > SMALL)
    }
}

impl Elements {
    /// How many elements there are.
    pub fn count(&self) -> usize {
        match self {
            Elements::Ipv4(all) => all.len(),
            Elements::Ipv6(all) => all.len(),
            Elements::Ports(all) => all.len(),
            Elements::Uids(all) => all.len(),
        }
    }

    /// nft's name for their type.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Elements::Ipv4(_) => "ipv4_addr",
            Elements::Ipv6(_) => "ipv6_addr",
            Elements::Ports(_) => "inet_service",
            Elements::Uids(_) => "uid",
        }
    }

    /// The elements as addresses; none if they are of another type.
    pub(crate) fn addresses(&self) -> Option<Vec<IpAddr>> {
        match self {
            Elements::Ipv4(all) => Some(all.iter().copied().map(IpAddr::from).collect()),
            Elements::Ipv6(all) => Some(all.iter().copied().map(IpAddr::from).collect()),
            Elements::Ports(_) | Elements::Uids(_) => None,
        }
    }

    /// The elements as ports; none if they are of another type.
    pub(crate) fn ports(&self) -> Option<&[u16]> {
        if let Elements::Ports(all) = self { Some(all) } else { None }
    }

    /// The elements as uids; none if they are of another type.
    pub(crate) fn uids(&self) -> Option<&[u32]> {
        if let Elements::Uids(all) = self { Some(all) } else { None }
    }

    /// The elements as nft writes them.
    pub(crate) fn texts(&self) -> Vec<String> {
        fn all(elements: &[impl ToString]) -> Vec<String> {
            elements.iter().map(ToString::to_string).collect()
        }
        match self {
            Elements::Ipv4(elements) => all(elements),
            Elements::Ipv6(elements) => all(elements),
            Elements::Ports(elements) => all(elements),
            Elements::Uids(elements) => all(elements),
        }
    }

    /// Sorts the elements and removes duplicates. Returns whether there were any.
    pub(crate) fn sort(&mut self) -> bool {
        fn all<T: Ord>(elements: &mut Vec<T>) -> bool {
            let before = elements.len();
            elements.sort_unstable();
            elements.dedup();
            elements.len() != before
        }
        match self {
            Elements::Ipv4(elements) => all(elements),
            Elements::Ipv6(elements) => all(elements),
            Elements::Ports(elements) => all(elements),
            Elements::Uids(elements) => all(elements),
        }
    }
}
