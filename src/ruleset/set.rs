//! Named sets: what a rule looks a port, an address or a uid up in.
//!
//! Pure.

use std::net::{Ipv4Addr, Ipv6Addr};

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
#[derive(Debug, Clone, PartialEq, Eq)]
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

/// So many elements are a small set.
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
