//! A rule as rustables' expressions. The kernel's expressions pass values
//! through registers: load, perhaps mask, then compare or look up, and at the
//! end a counter and a verdict.
//!
//! Pure.

use rustables::data_type::ip_to_vec;
use rustables::expr::{
    Bitwise, Cmp, CmpOp, ConnTrackState, Conntrack, ConntrackKey, Counter, ExpressionVariant,
    Immediate, Lookup, Meta, MetaType, Nat, NatType, Payload, RawExpression, Register, Reject,
    RejectType, VerdictKind,
};
use rustables::sys::{NFT_PAYLOAD_NETWORK_HEADER, NFT_PAYLOAD_TRANSPORT_HEADER};

use crate::nft::uapi::{self, protocol_family};
use crate::ruleset::{Family, InterfacePattern, Match, Op, Operand, Rule, Verdict};

/// The message that appends a rule to its chain.
pub(super) fn rule_message(
    family: Family,
    chain: &rustables::Chain,
    rule: &Rule,
) -> rustables::Rule {
    let mut message = rustables::Rule::new(chain).expect("our chains have names");
    for condition in &rule.matches {
        add_match(&mut message, family, condition);
    }
    message.add_expr(Counter::default().with_nb_bytes(0u64).with_nb_packets(0u64));
    add_verdict(&mut message, family, &rule.verdict);
    if let Some(comment) = &rule.comment {
        message.set_userdata(uapi::comment(comment));
    }
    message
}

fn add_match(rule: &mut rustables::Rule, family: Family, condition: &Match) {
    match condition {
        // [ meta load l4proto ] [ cmp eq 6 ]
        Match::Tcp => {
            rule.add_expr(Meta::new(MetaType::L4Proto));
            rule.add_expr(Cmp::new(CmpOp::Eq, [uapi::TCP]));
        }
        // [ ct load state ] [ bitwise & new ] [ cmp neq 0 ]
        Match::NewConnection => {
            rule.add_expr(Conntrack::new(ConntrackKey::State));
            add_mask(rule, &ConnTrackState::NEW.bits().to_ne_bytes());
            rule.add_expr(Cmp::new(CmpOp::Neq, [0; 4]));
        }
        // [ payload load 2b @ transport header + 2 ] [ bitwise ] [ cmp | lookup ]
        Match::DestinationPort { mask, value } => {
            add_payload(rule, NFT_PAYLOAD_TRANSPORT_HEADER, uapi::PORT_OFFSET, 2);
            if *mask != u16::MAX {
                add_mask(rule, &mask.to_be_bytes());
            }
            add_operand(rule, Op::Eq, value, |port| port.to_be_bytes().to_vec());
        }
        // [ payload load 4b @ network header + 16 ] [ bitwise ] [ cmp | lookup ]
        Match::DestinationAddress { op, prefix_len, value } => {
            let bytes = usize::from(family.address_bits() / 8);
            let offset = uapi::address_offset(family);
            add_payload(rule, NFT_PAYLOAD_NETWORK_HEADER, offset, bytes as u32);
            if *prefix_len < family.address_bits() {
                add_mask(rule, &uapi::prefix_mask(*prefix_len, bytes));
            }
            add_operand(rule, *op, value, |address| ip_to_vec(*address));
        }
        // [ meta load skuid ] [ cmp | lookup ], in the machine's byte order
        Match::SocketUid { op, value } => {
            rule.add_expr(Meta::new(MetaType::SkUid));
            add_operand(rule, *op, value, |uid| uid.to_ne_bytes().to_vec());
        }
        Match::InputInterface(pattern) => add_interface(rule, MetaType::IifName, pattern),
        Match::OutputInterface(pattern) => add_interface(rule, MetaType::OifName, pattern),
    }
}

fn add_payload(rule: &mut rustables::Rule, base: u32, offset: u32, len: u32) {
    let payload = Payload::default()
        .with_base(base)
        .with_offset(offset)
        .with_len(len)
        .with_dreg(Register::Reg1);
    rule.add_expr(payload);
}

/// `register & mask`, which the kernel has as `(register & mask) ^ 0`.
fn add_mask(rule: &mut rustables::Rule, mask: &[u8]) {
    let xor = vec![0; mask.len()];
    rule.add_expr(Bitwise::new(mask, xor).expect("mask and xor have one length"));
}

/// # Panics
/// Where a set is compared with `!=`, which no ruleset of ours does and
/// rustables has no attribute for.
fn add_operand<T>(
    rule: &mut rustables::Rule,
    op: Op,
    value: &Operand<T>,
    bytes: impl Fn(&T) -> Vec<u8>,
) {
    match value {
        Operand::One(value) => {
            let op = match op {
                Op::Eq => CmpOp::Eq,
                Op::Ne => CmpOp::Neq,
            };
            rule.add_expr(Cmp::new(op, bytes(value)));
        }
        Operand::InSet(name) => {
            assert_eq!(op, Op::Eq, "set {name} can only be compared with equal");
            rule.add_expr(Lookup::default().with_set(&**name).with_sreg(Register::Reg1));
        }
    }
}

/// [ meta load iifname ] [ cmp eq ]: a whole name is compared with its padding,
/// the beginning of one without. Every name begins with nothing.
fn add_interface(rule: &mut rustables::Rule, name: MetaType, pattern: &InterfacePattern) {
    let mut bytes = pattern.name.as_bytes().to_vec();
    bytes.truncate(uapi::INTERFACE_NAME - 1);
    if !pattern.prefix {
        bytes.resize(uapi::INTERFACE_NAME, 0);
    } else if bytes.is_empty() {
        return;
    }
    rule.add_expr(Meta::new(name));
    rule.add_expr(Cmp::new(CmpOp::Eq, bytes));
}

fn add_verdict(rule: &mut rustables::Rule, family: Family, verdict: &Verdict) {
    match verdict {
        Verdict::Return => rule.add_expr(Immediate::new_verdict(VerdictKind::Return)),
        Verdict::Accept => rule.add_expr(Immediate::new_verdict(VerdictKind::Accept)),
        Verdict::Jump(chain) => {
            rule.add_expr(Immediate::new_verdict(VerdictKind::Jump { chain: chain.to_string() }));
        }
        // [ immediate port ] [ redir ]: rustables has no redir; attribute 1 of
        // both is a register (NFTA_REDIR_REG_PROTO_MIN, NFTA_IMMEDIATE_DREG)
        Verdict::Redirect(port) => {
            rule.add_expr(Immediate::new_data(port.to_be_bytes().to_vec(), Register::Reg1));
            let register = Immediate::default().with_dreg(Register::Reg1);
            let redir = RawExpression::default().with_name("redir");
            rule.add_expr(redir.with_data(ExpressionVariant::from(register)));
        }
        // [ immediate address ] [ nat dnat ]
        Verdict::Dnat(address) => {
            rule.add_expr(Immediate::new_data(ip_to_vec(*address), Register::Reg1));
            let nat = Nat::default()
                .with_nat_type(NatType::DNat)
                .with_family(protocol_family(family))
                .with_ip_register(Register::Reg1);
            rule.add_expr(nat);
        }
        Verdict::RejectWithReset => {
            rule.add_expr(Reject::default().with_type(RejectType::TcpRst));
        }
    }
}
