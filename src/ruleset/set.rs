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

impl Set {
    /// How many elements the kernel shall make room for (nft's `size`): told
    /// beforehand, it does not make the hash anew again and again (`nft_rhash`
    /// in `net/netfilter/nft_set_hash.c`). None for a small set, and for ports,
    /// which lie in a bitmap.
    pub fn size(&self) -> Option<u32> {
        const SMALL: usize = 64;
        let size = match &self.elements {
            Elements::Ports(_) => 0,
            elements => elements.len(),
        };
        u32::try_from(size).ok().filter(|_| size > SMALL)
    }
}

impl Elements {
    /// How many elements there are.
    pub fn len(&self) -> usize {
        match self {
            Elements::Ipv4(all) => all.len(),
            Elements::Ipv6(all) => all.len(),
            Elements::Ports(all) => all.len(),
            Elements::Uids(all) => all.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
