//! One rule as the expressions that make its sentence. Values pass through
//! register 1: load, perhaps mask, compare; then a counter and the verdict.
//!
//! Pure.

use std::net::IpAddr;

use rustables::expr::ConnTrackState;
use rustables::sys::{
    NFT_CMP_EQ, NFT_CMP_NEQ, NFT_CT_STATE, NFT_JUMP, NFT_META_IIFNAME, NFT_META_L4PROTO,
    NFT_META_OIFNAME, NFT_META_SKUID, NFT_NAT_DNAT, NFT_PAYLOAD_NETWORK_HEADER,
    NFT_PAYLOAD_TRANSPORT_HEADER, NFT_REG_1, NFT_REG_VERDICT, NFT_REJECT_TCP_RST, NFT_RETURN,
    NFTA_BITWISE_DREG, NFTA_BITWISE_LEN, NFTA_BITWISE_MASK, NFTA_BITWISE_SREG, NFTA_BITWISE_XOR,
    NFTA_CMP_DATA, NFTA_CMP_OP, NFTA_CMP_SREG, NFTA_COUNTER_BYTES, NFTA_COUNTER_PACKETS,
    NFTA_CT_DREG, NFTA_CT_KEY, NFTA_DATA_VALUE, NFTA_DATA_VERDICT, NFTA_EXPR_DATA, NFTA_EXPR_NAME,
    NFTA_IMMEDIATE_DATA, NFTA_IMMEDIATE_DREG, NFTA_LIST_ELEM, NFTA_LOOKUP_SET, NFTA_LOOKUP_SREG,
    NFTA_META_DREG, NFTA_META_KEY, NFTA_NAT_FAMILY, NFTA_NAT_REG_ADDR_MIN, NFTA_NAT_TYPE,
    NFTA_PAYLOAD_BASE, NFTA_PAYLOAD_DREG, NFTA_PAYLOAD_LEN, NFTA_PAYLOAD_OFFSET,
    NFTA_REDIR_REG_PROTO_MIN, NFTA_REJECT_TYPE, NFTA_RULE_EXPRESSIONS, NFTA_VERDICT_CHAIN,
    NFTA_VERDICT_CODE,
};

use crate::nft::{netlink, uapi};
use crate::ruleset::{Family, InterfacePattern, Match, Op, Operand, Rule, Verdict};

/// Appends a rule's expressions to the message that makes the rule.
pub(super) fn add_expressions(message: &mut Vec<u8>, family: Family, rule: &Rule) {
    netlink::add_nested(message, NFTA_RULE_EXPRESSIONS, |bytes| {
        for condition in &rule.matches {
            add_match(bytes, family, condition);
        }
        add(bytes, "counter", |data| {
            netlink::add_attribute(data, NFTA_COUNTER_BYTES, &[0; 8]);
            netlink::add_attribute(data, NFTA_COUNTER_PACKETS, &[0; 8]);
        });
        add_verdict(bytes, family, &rule.verdict);
    });
}

/// Appends the expression of this name, with the attributes that `fill`
/// appends.
fn add(bytes: &mut Vec<u8>, name: &str, fill: impl FnOnce(&mut Vec<u8>)) {
    netlink::add_nested(bytes, NFTA_LIST_ELEM, |bytes| {
        netlink::add_attribute(bytes, NFTA_EXPR_NAME, name.as_bytes());
        netlink::add_nested(bytes, NFTA_EXPR_DATA, fill);
    });
}

/// The same, for an expression whose attributes are all numbers.
fn add_numbers(bytes: &mut Vec<u8>, name: &str, attributes: &[(u16, u32)]) {
    add(bytes, name, |data| {
        for (kind, value) in attributes {
            netlink::add_u32(data, *kind, *value);
        }
    });
}

fn add_match(bytes: &mut Vec<u8>, family: Family, condition: &Match) {
    match condition {
        // [ meta load l4proto ] [ cmp eq 6 ]
        Match::Tcp => {
            add_meta(bytes, NFT_META_L4PROTO);
            add_cmp(bytes, Op::Eq, &[uapi::TCP]);
        }
        // [ ct load state ] [ bitwise & new ] [ cmp neq 0 ]
        Match::NewConnection => {
            add_numbers(bytes, "ct", &[(NFTA_CT_DREG, NFT_REG_1), (NFTA_CT_KEY, NFT_CT_STATE)]);
            add_mask(bytes, &ConnTrackState::NEW.bits().to_ne_bytes());
            add_cmp(bytes, Op::Ne, &[0; 4]);
        }
        // [ payload load 2b @ transport header + 2 ] [ bitwise ] [ cmp | lookup ]
        Match::DestinationPort { mask, value } => {
            add_payload(bytes, NFT_PAYLOAD_TRANSPORT_HEADER, uapi::PORT_OFFSET, 2);
            if *mask != u16::MAX {
                add_mask(bytes, &mask.to_be_bytes());
            }
            match value {
                Operand::One(port) => add_cmp(bytes, Op::Eq, &port.to_be_bytes()),
                Operand::InSet(name) => add_lookup(bytes, Op::Eq, name),
            }
        }
        // [ payload load 4b @ network header + 16 ] [ bitwise ] [ cmp | lookup ]
        Match::DestinationAddress { op, prefix_len, value } => {
            let length = usize::from(family.address_bits() / 8);
            let offset = uapi::address_offset(family);
            add_payload(bytes, NFT_PAYLOAD_NETWORK_HEADER, offset, length as u32);
            if *prefix_len < family.address_bits() {
                add_mask(bytes, &uapi::prefix_mask(*prefix_len, length));
            }
            match value {
                Operand::One(IpAddr::V4(address)) => add_cmp(bytes, *op, &address.octets()),
                Operand::One(IpAddr::V6(address)) => add_cmp(bytes, *op, &address.octets()),
                Operand::InSet(name) => add_lookup(bytes, *op, name),
            }
        }
        // [ meta load skuid ] [ cmp | lookup ], in the machine's byte order
        Match::SocketUid { op, value } => {
            add_meta(bytes, NFT_META_SKUID);
            match value {
                Operand::One(uid) => add_cmp(bytes, *op, &uid.to_ne_bytes()),
                Operand::InSet(name) => add_lookup(bytes, *op, name),
            }
        }
        Match::InputInterface(pattern) => add_interface(bytes, NFT_META_IIFNAME, pattern),
        Match::OutputInterface(pattern) => add_interface(bytes, NFT_META_OIFNAME, pattern),
    }
}

fn add_meta(bytes: &mut Vec<u8>, key: u32) {
    add_numbers(bytes, "meta", &[(NFTA_META_DREG, NFT_REG_1), (NFTA_META_KEY, key)]);
}

fn add_payload(bytes: &mut Vec<u8>, base: u32, offset: u32, length: u32) {
    let attributes = [
        (NFTA_PAYLOAD_DREG, NFT_REG_1),
        (NFTA_PAYLOAD_BASE, base),
        (NFTA_PAYLOAD_OFFSET, offset),
        (NFTA_PAYLOAD_LEN, length),
    ];
    add_numbers(bytes, "payload", &attributes);
}

/// `register & mask`, which the kernel has as `(register & mask) ^ 0`.
fn add_mask(bytes: &mut Vec<u8>, mask: &[u8]) {
    add(bytes, "bitwise", |data| {
        netlink::add_u32(data, NFTA_BITWISE_SREG, NFT_REG_1);
        netlink::add_u32(data, NFTA_BITWISE_DREG, NFT_REG_1);
        netlink::add_u32(data, NFTA_BITWISE_LEN, mask.len() as u32);
        add_value(data, NFTA_BITWISE_MASK, mask);
        add_value(data, NFTA_BITWISE_XOR, &[0; 16][..mask.len()]);
    });
}

fn add_cmp(bytes: &mut Vec<u8>, op: Op, value: &[u8]) {
    let op = match op {
        Op::Eq => NFT_CMP_EQ,
        Op::Ne => NFT_CMP_NEQ,
    };
    add(bytes, "cmp", |data| {
        netlink::add_u32(data, NFTA_CMP_SREG, NFT_REG_1);
        netlink::add_u32(data, NFTA_CMP_OP, op);
        add_value(data, NFTA_CMP_DATA, value);
    });
}

/// # Panics
/// Where a set is compared with `!=`, which no ruleset of ours does.
fn add_lookup(bytes: &mut Vec<u8>, op: Op, set: &str) {
    assert_eq!(op, Op::Eq, "set {set} can only be compared with equal");
    add(bytes, "lookup", |data| {
        netlink::add_attribute(data, NFTA_LOOKUP_SET, set.as_bytes());
        netlink::add_u32(data, NFTA_LOOKUP_SREG, NFT_REG_1);
    });
}

/// [ meta load iifname ] [ cmp eq ]: a whole name is compared with its padding,
/// the beginning of one without. Every name begins with nothing.
fn add_interface(bytes: &mut Vec<u8>, key: u32, pattern: &InterfacePattern) {
    let mut name = [0; uapi::INTERFACE_NAME];
    let length = pattern.name.len().min(name.len() - 1);
    name[..length].copy_from_slice(&pattern.name.as_bytes()[..length]);
    let compared = if pattern.prefix { &name[..length] } else { &name };
    if !compared.is_empty() {
        add_meta(bytes, key);
        add_cmp(bytes, Op::Eq, compared);
    }
}

fn add_verdict(bytes: &mut Vec<u8>, family: Family, verdict: &Verdict) {
    match verdict {
        Verdict::Return => add_code(bytes, NFT_RETURN, None),
        Verdict::Accept => add_code(bytes, uapi::ACCEPT, None),
        Verdict::Jump(chain) => add_code(bytes, NFT_JUMP, Some(chain)),
        // [ immediate port ] [ redir ]
        Verdict::Redirect(port) => {
            add_immediate(bytes, &port.to_be_bytes());
            add_numbers(bytes, "redir", &[(NFTA_REDIR_REG_PROTO_MIN, NFT_REG_1)]);
        }
        // [ immediate address ] [ nat dnat ]
        Verdict::Dnat(address) => {
            match address {
                IpAddr::V4(address) => add_immediate(bytes, &address.octets()),
                IpAddr::V6(address) => add_immediate(bytes, &address.octets()),
            }
            let attributes = [
                (NFTA_NAT_TYPE, NFT_NAT_DNAT),
                (NFTA_NAT_FAMILY, netlink::protocol(family).into()),
                (NFTA_NAT_REG_ADDR_MIN, NFT_REG_1),
            ];
            add_numbers(bytes, "nat", &attributes);
        }
        Verdict::RejectWithReset => {
            add_numbers(bytes, "reject", &[(NFTA_REJECT_TYPE, NFT_REJECT_TCP_RST)]);
        }
    }
}

/// [ immediate reg 1 value ]
fn add_immediate(bytes: &mut Vec<u8>, value: &[u8]) {
    add(bytes, "immediate", |data| {
        netlink::add_u32(data, NFTA_IMMEDIATE_DREG, NFT_REG_1);
        add_value(data, NFTA_IMMEDIATE_DATA, value);
    });
}

/// [ immediate reg 0 verdict ]
fn add_code(bytes: &mut Vec<u8>, code: i32, chain: Option<&str>) {
    add(bytes, "immediate", |data| {
        netlink::add_u32(data, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
        netlink::add_nested(data, NFTA_IMMEDIATE_DATA, |data| {
            netlink::add_nested(data, NFTA_DATA_VERDICT, |verdict| {
                netlink::add_u32(verdict, NFTA_VERDICT_CODE, code as u32);
                if let Some(chain) = chain {
                    netlink::add_attribute(verdict, NFTA_VERDICT_CHAIN, chain.as_bytes());
                }
            });
        });
    });
}

/// Appends a value that a register holds or is compared with.
fn add_value(bytes: &mut Vec<u8>, kind: u16, value: &[u8]) {
    netlink::add_nested(bytes, kind, |data| netlink::add_attribute(data, NFTA_DATA_VALUE, value));
}
