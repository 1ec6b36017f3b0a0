//! Rulesets by hand, with every kind of match, verdict and set.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use osm_cni::ruleset::{
    Chain, ChainKind, Elements, Family, Hook, HookPoint, InterfacePattern, Match, Op, Operand,
    Owner, Rule, Ruleset, Set, Table, Verdict,
};

/// An owner like any attachment's.
pub(crate) fn owner() -> Owner {
    Owner::new("0ec2af51a4b1", "eth0")
}

/// A rule.
pub(crate) fn rule(matches: Vec<Match>, verdict: Verdict) -> Rule {
    Rule { matches, verdict, comment: None }
}

/// A base chain's place.
pub(crate) fn hook(kind: ChainKind, point: HookPoint, priority: i32) -> Option<Hook> {
    Some(Hook { kind, point, priority })
}

/// `ip daddr`, or `ip6 daddr`.
pub(crate) fn daddr(op: Op, prefix_len: u8, address: &str) -> Match {
    let value = Operand::One(address.parse::<IpAddr>().expect("an address"));
    Match::DestinationAddress { op, prefix_len, value }
}

/// `tcp dport`
pub(crate) fn dport(mask: u16, port: u16) -> Match {
    Match::DestinationPort { mask, value: Operand::One(port) }
}

/// A member of a set.
pub(crate) fn in_set<T>(name: &'static str) -> Operand<T> {
    Operand::InSet(name.into())
}

/// Both families, each with everything that a ruleset can say.
pub(crate) fn everything() -> Ruleset {
    Ruleset { tables: vec![table(Family::Ip), table(Family::Ip6)] }
}

/// A table with everything.
pub(crate) fn table(family: Family) -> Table {
    let (address, net, len) = match family {
        Family::Ip => ("192.0.2.7", "10.96.0.0", 12),
        Family::Ip6 => ("2001:db8::7", "2001:db8:5::", 52),
    };
    let all = family.address_bits();
    let addresses = match family {
        Family::Ip => Elements::Ipv4((0..40).map(|n| Ipv4Addr::new(10, n, 3, 0)).collect()),
        Family::Ip6 => Elements::Ipv6(
            (0..40).map(|n| Ipv6Addr::new(0x2001, 0xdb8, n, 0, 0, 0, 0, 0)).collect(),
        ),
    };
    let sets = vec![
        Set { name: "addresses".into(), elements: addresses },
        Set { name: "ports".into(), elements: Elements::Ports(vec![1, 80, 443, 8000, 65535]) },
        Set { name: "blocks".into(), elements: Elements::Ports(vec![256, 8192]) },
        Set { name: "uids".into(), elements: Elements::Uids(vec![0, 1, 256, 1337, u32::MAX - 1]) },
        Set { name: "empty".into(), elements: Elements::Ports(vec![]) },
    ];
    let interface = InterfacePattern::exact;
    let prefix = |name: &'static str| InterfacePattern { name: name.into(), prefix: true };
    let mut inbound = vec![
        rule(vec![Match::Tcp, dport(u16::MAX, 15010)], Verdict::Return),
        rule(vec![Match::Tcp, dport(0xff00, 0x1f00)], Verdict::Return),
        rule(vec![Match::InputInterface(interface("net1"))], Verdict::Return),
        rule(vec![Match::InputInterface(prefix("veth"))], Verdict::Return),
        rule(vec![Match::InputInterface(interface("fifteen-bytes--"))], Verdict::Return),
    ];
    let ports = Match::DestinationPort { mask: u16::MAX, value: in_set("ports") };
    inbound.push(Rule {
        matches: vec![Match::Tcp, ports],
        verdict: Verdict::Return,
        comment: Some("inbound ports: mesh config".into()),
    });
    let blocks = Match::DestinationPort { mask: 0xff80, value: in_set("blocks") };
    inbound.push(rule(vec![Match::Tcp, blocks], Verdict::Return));
    inbound.push(rule(vec![Match::Tcp], Verdict::Jump("IN_REDIRECT".into())));

    let set = in_set("addresses");
    let masked = Match::DestinationAddress { op: Op::Eq, prefix_len: all - 8, value: set.clone() };
    let exact = Match::DestinationAddress { op: Op::Eq, prefix_len: all, value: set };
    let uid = |op, uid| Match::SocketUid { op, value: Operand::One(uid) };
    let loopback = family.loopback().to_string();
    let outbound = vec![
        rule(
            vec![
                Match::OutputInterface(interface("lo")),
                daddr(Op::Ne, all, &loopback),
                uid(Op::Eq, 1500),
            ],
            Verdict::Jump("IN_REDIRECT".into()),
        ),
        rule(vec![uid(Op::Ne, 0xdead_beef)], Verdict::Accept),
        rule(vec![Match::SocketUid { op: Op::Eq, value: in_set("uids") }], Verdict::Return),
        rule(vec![Match::OutputInterface(prefix("cilium_"))], Verdict::Return),
        rule(vec![daddr(Op::Eq, all, address)], Verdict::Return),
        rule(vec![daddr(Op::Eq, len, net)], Verdict::Return),
        rule(vec![daddr(Op::Ne, 8, &first_byte(family))], Verdict::Return),
        rule(vec![exact], Verdict::Return),
        rule(vec![masked], Verdict::Return),
        rule(vec![], Verdict::Jump("OUT_REDIRECT".into())),
    ];
    let dnat = vec![
        Match::Tcp,
        Match::OutputInterface(interface("lo")),
        daddr(Op::Eq, all, &loopback),
        uid(Op::Eq, 1500),
    ];
    let dnat = rule(dnat, Verdict::Dnat(address.parse().expect("an address")));
    let output = vec![dnat, rule(vec![Match::Tcp], Verdict::Jump("OUTBOUND".into()))];
    let prerouting = vec![rule(vec![Match::Tcp], Verdict::Jump("INBOUND".into()))];
    let to = |port| vec![rule(vec![Match::Tcp], Verdict::Redirect(port))];
    let reset = vec![rule(vec![Match::Tcp, Match::NewConnection], Verdict::RejectWithReset)];
    let nat = |point| hook(ChainKind::Nat, point, -100);
    let chain = |name: &'static str, hook, rules| Chain { name: name.into(), hook, rules };
    let chains = vec![
        chain("PREROUTING", nat(HookPoint::Prerouting), prerouting),
        chain("INBOUND", None, inbound),
        chain("IN_REDIRECT", None, to(15003)),
        chain("OUTPUT", nat(HookPoint::Output), output),
        chain("OUTBOUND", None, outbound),
        chain("OUT_REDIRECT", None, to(15001)),
        chain("RESET", hook(ChainKind::Filter, HookPoint::Output, 0), reset.clone()),
        chain("RESET_IN", hook(ChainKind::Filter, HookPoint::Prerouting, 0), reset),
    ];
    Table { family, owner: Some(owner()), sets, chains }
}

fn first_byte(family: Family) -> String {
    match family {
        Family::Ip => "100.0.0.0".to_owned(),
        Family::Ip6 => "fd00::".to_owned(),
    }
}
