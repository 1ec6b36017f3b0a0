//! What `osm-cni explain` says of every packet, for the prover: the evaluator's
//! decisions about a table, and what each of their conditions means.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use osm_cni::ruleset::eval::{Decisions, Direction, End, Packet, decisions, eval};
use osm_cni::ruleset::{
    Chain, ChainKind, Elements, Family, Hook, HookPoint, InterfacePattern, Match, Op, Operand,
    PROBE_COMMENT, Rule, Ruleset, Table, Verdict,
};
use serde_json::{Value, json};

/// The decisions about packets at both hooks.
pub(super) fn decided(table: &Table) -> Value {
    let at = |direction| {
        let tree = decisions(table, direction).expect("a whole ruleset");
        let mut tree_of =
            Tree { table, conditions: Vec::new(), meanings: Vec::new(), nodes: vec![] };
        tree_of.add(&tree);
        json!({"conditions": tree_of.meanings, "nodes": tree_of.nodes})
    };
    json!({"output": at(Direction::Outbound), "prerouting": at(Direction::Inbound)})
}

/// The decisions about the table without one rule, for each rule that another
/// does not make redundant.
pub(super) fn decided_without_a_rule(table: &Table) -> Vec<Value> {
    let mut all = Vec::new();
    for (at, chain) in table.chains.iter().enumerate() {
        for (index, rule) in chain.rules.iter().enumerate() {
            let probe = rule.comment.as_deref() == Some(PROBE_COMMENT);
            let end = rule.verdict == Verdict::Return && index + 1 == chain.rules.len();
            if end || rule.verdict == Verdict::Accept || probe {
                continue;
            }
            let mut less = table.clone();
            less.chains[at].rules.remove(index);
            let name = format!("rule {} of {}", index + 1, chain.name);
            all.push(json!({"without": name, "decisions": decided(&less)}));
        }
    }
    all
}

/// The end of a connection, in the prover's words.
pub(super) fn words(end: End) -> String {
    match end {
        End::Direct => "direct".to_owned(),
        End::Reset => "reset".to_owned(),
        End::ToProxy { port } => format!("redirect to :{port}"),
        End::ToAddress(address) => format!("dnat to {address}"),
    }
}

/// A tree as a list, in which a node comes after those that it leads to.
struct Tree<'a> {
    table: &'a Table,
    conditions: Vec<&'a Match>,
    meanings: Vec<Value>,
    nodes: Vec<Value>,
}

impl<'a> Tree<'a> {
    /// Adds a node and returns its place.
    fn add(&mut self, node: &Decisions<'a>) -> usize {
        let node = match node {
            Decisions::End(end) => json!(words(*end)),
            Decisions::If { condition, yes, no } => {
                let [yes, no] = [yes, no].map(|node| self.add(node));
                json!([self.condition(condition), yes, no])
            }
        };
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    fn condition(&mut self, condition: &'a Match) -> usize {
        if let Some(at) = self.conditions.iter().position(|other| *other == condition) {
            return at;
        }
        let meaning = Meaning::of(condition, self.table);
        meaning.check(condition, self.table);
        self.conditions.push(condition);
        self.meanings.push(meaning.json());
        self.conditions.len() - 1
    }
}

/// What a condition means: `field & mask` is one of the values, or none of them.
#[derive(Debug)]
enum Meaning {
    /// It holds for every packet that `explain` knows.
    Always,
    Port {
        mask: u16,
        values: Vec<u16>,
    },
    Address {
        mask: u128,
        values: Vec<u128>,
        equal: bool,
    },
    Uid {
        values: Vec<u32>,
        equal: bool,
    },
    Interface {
        pattern: InterfacePattern,
        inbound: bool,
    },
}

impl Meaning {
    fn of(condition: &Match, table: &Table) -> Self {
        let set = |name: &str| &table.set(name).expect("a set of the table").elements;
        match condition {
            Match::Tcp | Match::NewConnection => Meaning::Always,
            Match::DestinationPort { mask, value } => {
                let values = match value {
                    Operand::One(port) => vec![*port],
                    Operand::InSet(name) => match set(name) {
                        Elements::Ports(all) => all.clone(),
                        other => panic!("{condition:?}: {other:?}"),
                    },
                };
                Meaning::Port { mask: *mask, values }
            }
            Match::DestinationAddress { op, prefix_len, value } => {
                let values = match value {
                    Operand::One(address) => vec![number(*address)],
                    Operand::InSet(name) => match set(name) {
                        Elements::Ipv4(all) => {
                            all.iter().map(|one| number((*one).into())).collect()
                        }
                        Elements::Ipv6(all) => {
                            all.iter().map(|one| number((*one).into())).collect()
                        }
                        other => panic!("{condition:?}: {other:?}"),
                    },
                };
                let others = table.family.address_bits() - prefix_len;
                let mask = u128::MAX.checked_shl(others.into()).unwrap_or(0);
                let mask = mask & (u128::MAX >> (128 - table.family.address_bits()));
                Meaning::Address { mask, values, equal: *op == Op::Eq }
            }
            Match::SocketUid { op, value } => {
                let values = match value {
                    Operand::One(uid) => vec![*uid],
                    Operand::InSet(name) => match set(name) {
                        Elements::Uids(all) => all.clone(),
                        other => panic!("{condition:?}: {other:?}"),
                    },
                };
                Meaning::Uid { values, equal: *op == Op::Eq }
            }
            Match::InputInterface(pattern) => {
                Meaning::Interface { pattern: pattern.clone(), inbound: true }
            }
            Match::OutputInterface(pattern) => {
                Meaning::Interface { pattern: pattern.clone(), inbound: false }
            }
        }
    }

    fn json(&self) -> Value {
        match self {
            Meaning::Always => json!({"field": "always"}),
            Meaning::Port { mask, values } => {
                json!({"field": "port", "mask": mask, "values": values, "equal": true})
            }
            // JSON's numbers end at 64 bits.
            Meaning::Address { mask, values, equal } => {
                let values: Vec<String> = values.iter().map(u128::to_string).collect();
                json!({"field": "address", "mask": mask.to_string(), "values": values, "equal": equal})
            }
            Meaning::Uid { values, equal } => {
                json!({"field": "uid", "values": values, "equal": equal})
            }
            Meaning::Interface { pattern, inbound } => {
                let end = if pattern.prefix { "+" } else { "" };
                let hook = if *inbound { "prerouting" } else { "output" };
                json!({"field": "interface", "pattern": format!("{}{end}", pattern.name), "hook": hook})
            }
        }
    }

    /// Holds the evaluator's answer against this meaning: at each value, just
    /// beside it, and with each of its bits turned.
    fn check(&self, condition: &Match, table: &Table) {
        let alone = Alone::new(condition, table);
        let bits = table.family.address_bits();
        let usual = Point {
            address: address(1 << 20, table.family),
            port: 80,
            uid: Some(1000),
            interface: "eth0",
        };
        let is = |point: &Point, meant: bool| {
            assert_eq!(alone.holds(point), meant, "{condition:?} of {point:?}");
        };
        match self {
            Meaning::Always => is(&usual, true),
            Meaning::Port { mask, values } => {
                for port in around(values.iter().map(|one| u128::from(*one)), 16) {
                    let port = port as u16;
                    is(&Point { port, ..usual }, values.contains(&(port & mask)));
                }
            }
            Meaning::Address { mask, values, equal } => {
                for at in around(values.iter().copied(), bits) {
                    let meant = values.contains(&(at & mask)) == *equal;
                    is(&Point { address: address(at, table.family), ..usual }, meant);
                }
            }
            Meaning::Uid { values, equal } => {
                for uid in around(values.iter().map(|one| u128::from(*one)), 32) {
                    let uid = uid as u32;
                    is(&Point { uid: Some(uid), ..usual }, values.contains(&uid) == *equal);
                }
                is(&Point { uid: None, ..usual }, false);
            }
            Meaning::Interface { pattern: InterfacePattern { name, prefix }, .. } => {
                let longer = format!("{name}x");
                let shorter = name.get(1..).unwrap_or_default();
                for (interface, meant) in [
                    (&**name, true),
                    (&longer, *prefix),
                    (shorter, name.is_empty()),
                    ("other", *prefix && name.is_empty()),
                ] {
                    is(&Point { interface, ..usual }, meant);
                }
            }
        }
    }
}

/// The values, those just beside them, and those that differ in one bit.
fn around(values: impl Iterator<Item = u128>, bits: u8) -> Vec<u128> {
    let most = u128::MAX >> (128 - bits);
    let mut all = vec![0, most];
    for value in values {
        all.extend([value, value.wrapping_sub(1) & most, (value + 1) & most]);
        all.extend((0..bits).map(|bit| value ^ (1 << bit)));
    }
    all
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}

fn address(number: u128, family: Family) -> IpAddr {
    match family {
        Family::Ip => Ipv4Addr::from(number as u32).into(),
        Family::Ip6 => Ipv6Addr::from(number).into(),
    }
}

/// A packet, at either hook.
#[derive(Debug, Clone, Copy)]
struct Point<'a> {
    address: IpAddr,
    port: u16,
    uid: Option<u32>,
    interface: &'a str,
}

/// A ruleset in which one condition decides.
struct Alone {
    ruleset: Ruleset,
    direction: Direction,
}

impl Alone {
    fn new(condition: &Match, table: &Table) -> Self {
        let (direction, point) = match condition {
            Match::InputInterface(_) => (Direction::Inbound, HookPoint::Prerouting),
            _ => (Direction::Outbound, HookPoint::Output),
        };
        let verdict = Verdict::Redirect(1);
        let rule = Rule { matches: vec![condition.clone()], verdict, comment: None };
        let hook = Some(Hook { kind: ChainKind::Nat, point, priority: 0 });
        let chain = Chain { name: "ALONE".into(), hook, rules: vec![rule] };
        let table = Table { chains: vec![chain], owner: None, ..table.clone() };
        Alone { ruleset: Ruleset { tables: vec![table] }, direction }
    }

    fn holds(&self, point: &Point<'_>) -> bool {
        let inbound = self.direction == Direction::Inbound;
        let packet = Packet {
            direction: self.direction,
            destination: (point.address, point.port).into(),
            uid: point.uid,
            in_interface: inbound.then_some(point.interface),
            out_interface: (!inbound).then_some(point.interface),
        };
        eval(&self.ruleset, &packet).expect("a whole ruleset").end != End::Direct
    }
}
