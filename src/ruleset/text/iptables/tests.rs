//! Laws of [`super`].

use super::*;
use crate::ruleset::Set;

fn excluded(mask: u16, value: Operand<u16>, comment: Option<&'static str>) -> Rule {
    Rule {
        matches: vec![Match::Tcp, Match::DestinationPort { mask, value }],
        verdict: Verdict::Return,
        comment: comment.map(Into::into),
    }
}

fn printed(rules: Vec<Rule>, sets: Vec<Set>) -> String {
    let hook = Hook { kind: ChainKind::Nat, point: HookPoint::Output, priority: -100 };
    let chains = vec![Chain { name: "out".into(), hook: Some(hook), rules }];
    let table = Table { family: Family::Ip, owner: None, sets, chains };
    let mut out = Vec::new();
    iptables(&Ruleset { tables: vec![table] }, Family::Ip, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_list_of_ports_becomes_multiport_and_its_blocks_a_range() {
    let comment = Some("outbound ports: mesh config");
    let set = Set { name: "single".into(), elements: Elements::Ports(vec![6379, 7070]) };
    let rules = vec![
        excluded(0xffff, Operand::InSet("single".into()), comment),
        excluded(0xfff8, Operand::One(8000), comment),
        excluded(0xfffe, Operand::One(8008), comment),
        excluded(0xffff, Operand::One(8010), comment),
    ];
    assert_eq!(
        printed(rules, vec![set]),
        "*nat\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -p tcp --match multiport --dports 6379,7070,8000:8010 -m comment --comment \"outbound ports: mesh config\" -j RETURN\nCOMMIT\n"
    );
}

#[test]
fn multiport_takes_fifteen_and_a_range_counts_two() {
    let singles: Vec<Interval> = (0..16).map(|n| (2 * n + 1, 2 * n + 1)).collect();
    assert_eq!(multiport(&singles).len(), 2);
    let ranges: Vec<Interval> = (0..8).map(|n| (10 * n + 1, 10 * n + 3)).collect();
    let lists = multiport(&ranges);
    assert_eq!(lists.len(), 2);
    assert!(lists[1].ends_with(" 71:73"), "{lists:?}");
}

#[test]
fn the_proxys_own_ports_stand_one_a_line() {
    let rules = vec![
        excluded(0xffff, Operand::One(15010), None),
        excluded(0xffff, Operand::One(15901), None),
    ];
    let text = printed(rules, Vec::new());
    assert!(
        text.contains(
            "-A OUTPUT -p tcp --dport 15010 -j RETURN\n-A OUTPUT -p tcp --dport 15901 -j RETURN\n"
        ),
        "{text}"
    );
}

#[test]
fn the_highest_port_joins_without_overflow() {
    let rules = vec![
        excluded(0xffff, Operand::One(65535), None),
        excluded(0x8000, Operand::One(0x8000), None),
    ];
    assert!(printed(rules, Vec::new()).contains("--dport 32768:65535"));
}

#[test]
fn a_missing_set_is_an_error() {
    let rules = vec![excluded(0xffff, Operand::InSet("gone".into()), None)];
    let hook = Hook { kind: ChainKind::Nat, point: HookPoint::Output, priority: -100 };
    let chains = vec![Chain { name: "out".into(), hook: Some(hook), rules }];
    let table = Table { family: Family::Ip, owner: None, sets: Vec::new(), chains };
    let ruleset = Ruleset { tables: vec![table] };
    let error = iptables(&ruleset, Family::Ip, &mut Vec::new()).unwrap_err();
    assert!(error.to_string().contains("gone"), "{error}");
}
