//! One rule's expressions, read as the sentence they make. The kernel's
//! expressions pass values through registers; ours always load, perhaps mask,
//! then compare, and end in a counter and a verdict.
//!
//! Pure.

use std::borrow::Cow;

use rustables::expr::ConnTrackState;
use rustables::sys::{
    NFT_CMP_EQ, NFT_CMP_NEQ, NFT_JUMP, NFT_NAT_DNAT, NFT_REG_VERDICT, NFT_REJECT_TCP_RST,
    NFT_RETURN, NFTA_BITWISE_DREG, NFTA_BITWISE_MASK, NFTA_BITWISE_OP, NFTA_BITWISE_SREG,
    NFTA_BITWISE_XOR, NFTA_CMP_DATA, NFTA_CMP_OP, NFTA_CMP_SREG, NFTA_COUNTER_BYTES,
    NFTA_COUNTER_PACKETS, NFTA_CT_DREG, NFTA_DATA_VALUE, NFTA_DATA_VERDICT, NFTA_EXPR_DATA,
    NFTA_EXPR_NAME, NFTA_IMMEDIATE_DATA, NFTA_IMMEDIATE_DREG, NFTA_LIST_ELEM, NFTA_LOOKUP_DREG,
    NFTA_LOOKUP_FLAGS, NFTA_LOOKUP_SET, NFTA_LOOKUP_SREG, NFTA_META_DREG, NFTA_NAT_FAMILY,
    NFTA_NAT_FLAGS, NFTA_NAT_REG_ADDR_MAX, NFTA_NAT_REG_ADDR_MIN, NFTA_NAT_REG_PROTO_MIN,
    NFTA_NAT_TYPE, NFTA_PAYLOAD_DREG, NFTA_REDIR_FLAGS, NFTA_REDIR_REG_PROTO_MAX,
    NFTA_REDIR_REG_PROTO_MIN, NFTA_REJECT_TYPE, NFTA_VERDICT_CHAIN, NFTA_VERDICT_CODE,
};

use super::field::{
    Field, address, conntrack, interface, meta, number, payload, port_mask, prefix_len, value,
};
use crate::nft::installed::{InstalledRule, Reading};
use crate::nft::netlink::{self, Attributes};
use crate::nft::uapi;
use crate::ruleset::{Family, Match, Op, Operand, Rule, Verdict};

/// The flag of a redirect or nat with given ports or addresses; the kernel
/// adds it by itself (`NF_NAT_RANGE_MAP_IPS`, `NF_NAT_RANGE_PROTO_SPECIFIED`).
const NAT_FLAGS: u32 = 1 | 2;

/// Reads a rule; the caller knows its handle.
pub(super) fn read(
    family: Family,
    expressions: Attributes<'_>,
    comment: Option<&str>,
) -> InstalledRule {
    let mut reader = Reader::new(family);
    let mut names = Vec::new();
    for expression in expressions.filter(|expression| expression.kind == NFTA_LIST_ELEM) {
        let parts = expression.nested();
        let name = parts.find(NFTA_EXPR_NAME).and_then(|name| name.text()).unwrap_or_default();
        let data = parts.find(NFTA_EXPR_DATA).map_or(Attributes(&[]), |data| data.nested());
        names.push(name.to_owned());
        if reader.expression(name, &data).is_none() {
            reader.foreign = true;
        }
    }
    let (packets, bytes) = reader.counter.unwrap_or_default();
    let whole = !reader.foreign && reader.loaded.is_none() && reader.counter.is_some();
    let reading = match reader.verdict {
        Some(verdict) if whole => Reading::Known(Rule {
            matches: reader.matches,
            verdict,
            comment: comment.map(|comment| Cow::Owned(comment.to_owned())),
        }),
        verdict => Reading::Foreign {
            expressions: names,
            verdict,
            conditional: reader.foreign || reader.loaded.is_some() || !reader.matches.is_empty(),
        },
    };
    InstalledRule { reading, packets, bytes, handle: 0 }
}

/// What has been read of a rule so far.
struct Reader {
    family: Family,
    matches: Vec<Match>,
    loaded: Option<Loaded>,
    /// A value for the verdict: its register and bytes.
    immediate: Option<(u32, Vec<u8>)>,
    counter: Option<(u64, u64)>,
    verdict: Option<Verdict>,
    foreign: bool,
}

/// A field in a register.
struct Loaded {
    register: u32,
    field: Field,
    mask: Option<Vec<u8>>,
}

impl Reader {
    fn new(family: Family) -> Self {
        Reader {
            family,
            matches: Vec::new(),
            loaded: None,
            immediate: None,
            counter: None,
            verdict: None,
            foreign: false,
        }
    }

    /// Takes one more expression; none if it is not one of ours, or not in its
    /// place.
    fn expression(&mut self, name: &str, data: &Attributes<'_>) -> Option<()> {
        if self.verdict.is_some() {
            return None;
        }
        match name {
            "meta" => self.load(number(data, NFTA_META_DREG)?, meta(data)?),
            "ct" => self.load(number(data, NFTA_CT_DREG)?, conntrack(data)?),
            "payload" => self.load(number(data, NFTA_PAYLOAD_DREG)?, payload(self.family, data)?),
            "bitwise" => self.bitwise(data),
            "cmp" => self.compare(data),
            "lookup" => self.look_up(data),
            "counter" => self.count(data),
            "immediate" => self.immediate(data),
            "redir" => self.redirect(data),
            "nat" => self.nat(data),
            "reject" => self.reject(data),
            "target" => self.target(data),
            _ => None,
        }
    }

    fn load(&mut self, register: u32, field: Field) -> Option<()> {
        let free = self.loaded.is_none() && self.counter.is_none();
        self.loaded = Some(Loaded { register, field, mask: None });
        free.then_some(())
    }

    fn bitwise(&mut self, data: &Attributes<'_>) -> Option<()> {
        let loaded = self.loaded.as_mut()?;
        let plain = loaded.mask.is_none()
            && number(data, NFTA_BITWISE_SREG)? == loaded.register
            && number(data, NFTA_BITWISE_DREG)? == loaded.register
            && number(data, NFTA_BITWISE_OP).unwrap_or_default() == uapi::BITWISE_MASK_XOR
            && value(data, NFTA_BITWISE_XOR)?.iter().all(|byte| *byte == 0);
        loaded.mask = Some(value(data, NFTA_BITWISE_MASK)?.to_vec());
        plain.then_some(())
    }

    fn compare(&mut self, data: &Attributes<'_>) -> Option<()> {
        let loaded = self.loaded.take()?;
        let op = match number(data, NFTA_CMP_OP)? {
            NFT_CMP_EQ => Op::Eq,
            NFT_CMP_NEQ => Op::Ne,
            _ => return None,
        };
        let value = value(data, NFTA_CMP_DATA)?;
        if number(data, NFTA_CMP_SREG)? != loaded.register {
            return None;
        }
        let plain = loaded.mask.is_none() && op == Op::Eq;
        let found = match loaded.field {
            Field::Protocol if plain && value == [uapi::TCP] => Match::Tcp,
            Field::State => {
                let new = ConnTrackState::NEW.bits().to_ne_bytes();
                let asks = op == Op::Ne && value == [0; 4] && loaded.mask.as_deref() == Some(&new);
                asks.then_some(Match::NewConnection)?
            }
            Field::Uid if loaded.mask.is_none() => {
                let uid = u32::from_ne_bytes(value.try_into().ok()?);
                Match::SocketUid { op, value: Operand::One(uid) }
            }
            Field::InputInterface if plain => Match::InputInterface(interface(value)?),
            Field::OutputInterface if plain => Match::OutputInterface(interface(value)?),
            Field::Port if op == Op::Eq => {
                let port = u16::from_be_bytes(value.try_into().ok()?);
                Match::DestinationPort {
                    mask: port_mask(loaded.mask.as_deref())?,
                    value: Operand::One(port),
                }
            }
            Field::Address(len) if value.len() == usize::from(len) => {
                let prefix_len = prefix_len(loaded.mask.as_deref(), len)?;
                let value = Operand::One(address(self.family, value)?);
                Match::DestinationAddress { op, prefix_len, value }
            }
            _ => return None,
        };
        self.matches.push(found);
        Some(())
    }

    fn look_up(&mut self, data: &Attributes<'_>) -> Option<()> {
        let loaded = self.loaded.take()?;
        let plain = data.find(NFTA_LOOKUP_DREG).is_none()
            && number(data, NFTA_LOOKUP_FLAGS).unwrap_or_default() == 0
            && number(data, NFTA_LOOKUP_SREG)? == loaded.register;
        let name = data.find(NFTA_LOOKUP_SET)?.text()?.to_owned();
        if !plain {
            return None;
        }
        let found = match loaded.field {
            Field::Uid if loaded.mask.is_none() => {
                Match::SocketUid { op: Op::Eq, value: Operand::InSet(Cow::Owned(name)) }
            }
            Field::Port => {
                let value = Operand::InSet(Cow::Owned(name));
                Match::DestinationPort { mask: port_mask(loaded.mask.as_deref())?, value }
            }
            Field::Address(len) if len == self.family.address_bits() / 8 => {
                let prefix_len = prefix_len(loaded.mask.as_deref(), len)?;
                let value = Operand::InSet(Cow::Owned(name));
                Match::DestinationAddress { op: Op::Eq, prefix_len, value }
            }
            _ => return None,
        };
        self.matches.push(found);
        Some(())
    }

    fn count(&mut self, data: &Attributes<'_>) -> Option<()> {
        let number = |kind| data.find(kind).and_then(|number| number.u64()).unwrap_or_default();
        let counted = (number(NFTA_COUNTER_PACKETS), number(NFTA_COUNTER_BYTES));
        let first = self.counter.replace(counted).is_none();
        first.then_some(())
    }

    fn immediate(&mut self, data: &Attributes<'_>) -> Option<()> {
        let register = number(data, NFTA_IMMEDIATE_DREG)?;
        let content = data.find(NFTA_IMMEDIATE_DATA)?.nested();
        if register != NFT_REG_VERDICT {
            let value = content.find(NFTA_DATA_VALUE)?.value.to_vec();
            return self.immediate.replace((register, value)).is_none().then_some(());
        }
        let verdict = content.find(NFTA_DATA_VERDICT)?.nested();
        self.verdict = Some(match number(&verdict, NFTA_VERDICT_CODE)? as i32 {
            uapi::ACCEPT => Verdict::Accept,
            NFT_RETURN => Verdict::Return,
            NFT_JUMP => {
                let chain = verdict.find(NFTA_VERDICT_CHAIN)?.text()?;
                Verdict::Jump(Cow::Owned(chain.to_owned()))
            }
            _ => return None,
        });
        self.immediate.is_none().then_some(())
    }

    fn redirect(&mut self, data: &Attributes<'_>) -> Option<()> {
        let (register, port) = self.immediate.take()?;
        let port = u16::from_be_bytes(port.get(..2)?.try_into().ok()?);
        self.verdict = Some(Verdict::Redirect(port));
        let plain = number(data, NFTA_REDIR_REG_PROTO_MIN)? == register
            && number(data, NFTA_REDIR_REG_PROTO_MAX).is_none_or(|max| max == register)
            && number(data, NFTA_REDIR_FLAGS).unwrap_or_default() & !NAT_FLAGS == 0;
        plain.then_some(())
    }

    fn nat(&mut self, data: &Attributes<'_>) -> Option<()> {
        let (register, value) = self.immediate.take()?;
        let plain = number(data, NFTA_NAT_TYPE)? == NFT_NAT_DNAT
            && number(data, NFTA_NAT_FAMILY)? == u32::from(netlink::protocol(self.family))
            && number(data, NFTA_NAT_REG_ADDR_MIN)? == register
            && number(data, NFTA_NAT_REG_ADDR_MAX).is_none_or(|max| max == register)
            && data.find(NFTA_NAT_REG_PROTO_MIN).is_none()
            && number(data, NFTA_NAT_FLAGS).unwrap_or_default() & !NAT_FLAGS == 0;
        let whole = value.len() == usize::from(self.family.address_bits() / 8);
        let address = address(self.family, &value)?;
        (plain && whole).then(|| self.verdict = Some(Verdict::Dnat(address)))
    }

    /// An iptables target: never ours, but where it leads is of interest.
    fn target(&mut self, data: &Attributes<'_>) -> Option<()> {
        if data.find(uapi::NFTA_TARGET_NAME)?.text()? == "REDIRECT" {
            let port = uapi::redirect_target(data.find(uapi::NFTA_TARGET_INFO)?.value)?;
            self.verdict = Some(Verdict::Redirect(port));
        }
        None
    }

    fn reject(&mut self, data: &Attributes<'_>) -> Option<()> {
        let reset = number(data, NFTA_REJECT_TYPE)? == NFT_REJECT_TCP_RST;
        reset.then(|| self.verdict = Some(Verdict::RejectWithReset))
    }
}
