//! Long lists hold: no buffer overflows, nothing is cut off.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use osm_cni::nft::compare::check;
use osm_cni::nft::encode;
use osm_cni::ruleset::{Chain, Elements, Family, Match, Op, Ruleset, Set, Table, Verdict};

use super::samples::{self, rule};
use crate::support::netns::TestNetns;

/// Sets of so many addresses, ports and uids, and rules that look into them.
pub(super) fn lists(family: Family, count: u32) -> Table {
    let addresses = match family {
        Family::Ip => {
            Elements::Ipv4((0..count).map(|n| Ipv4Addr::from(0x0a00_0000 + n * 256)).collect())
        }
        Family::Ip6 => Elements::Ipv6(
            (0..count)
                .map(|n| Ipv6Addr::from((0x2001_0db8 << 96) + (u128::from(n) << 64)))
                .collect(),
        ),
    };
    // the kernel walks a list for each port that it adds to a set
    let ports = (1..=count.min(3000) as u16).collect();
    let sets = vec![
        Set { name: "ranges".into(), elements: addresses },
        Set { name: "ports".into(), elements: Elements::Ports(ports) },
        Set { name: "uids".into(), elements: Elements::Uids((0..count).collect()) },
    ];
    let value = samples::in_set("ranges");
    let prefix_len = if family == Family::Ip { 24 } else { 64 };
    let range = Match::DestinationAddress { op: Op::Eq, prefix_len, value };
    let port = Match::DestinationPort { mask: u16::MAX, value: samples::in_set("ports") };
    let rules =
        vec![rule(vec![range], Verdict::Return), rule(vec![Match::Tcp, port], Verdict::Return)];
    let chains = vec![Chain { name: "LISTS".into(), hook: None, rules }];
    Table { family, owner: Some(samples::owner()), sets, chains }
}

#[test]
fn lists_of_thousands_come_back_whole() {
    for count in [1000, 5000, 10_000] {
        let netns = TestNetns::new();
        let mut nft = netns.nft();
        let ruleset = Ruleset { tables: vec![lists(Family::Ip, count), lists(Family::Ip6, count)] };
        nft.commit(&encode::replace(&ruleset, &[])).expect("committed");
        let installed = nft.installed().expect("read back");
        assert_eq!(check(&ruleset, &installed, |_| false), Ok(()), "{count} elements");
    }
}

#[test]
fn a_growing_set_is_read_whole() {
    let netns = TestNetns::new();
    let mut nft = netns.nft();
    for _ in 0..2 {
        let ruleset = Ruleset { tables: vec![lists(Family::Ip, 30_000)] };
        nft.commit(&encode::replace(&ruleset, &[])).expect("committed");
        let installed = nft.installed().expect("read back");
        assert_eq!(check(&ruleset, &installed, |_| false), Ok(()));
    }
}

#[test]
fn thousands_of_rules_are_one_transaction() {
    let netns = TestNetns::new();
    let mut nft = netns.nft();
    let rules = (1..=4000)
        .map(|port| rule(vec![Match::Tcp, samples::dport(u16::MAX, port)], Verdict::Return));
    let chains = vec![Chain { name: "LONG".into(), hook: None, rules: rules.collect() }];
    let table = Table { family: Family::Ip, owner: Some(samples::owner()), sets: vec![], chains };
    let ruleset = Ruleset { tables: vec![table] };
    nft.commit(&encode::replace(&ruleset, &[])).expect("committed");
    assert!(nft.installed().expect("read back").ruleset() == Some(ruleset));
}

#[test]
fn reading_back_takes_less_than_five_milliseconds() {
    let netns = TestNetns::new();
    let mut nft = netns.nft();
    let ruleset = samples::everything();
    nft.commit(&encode::replace(&ruleset, &[])).expect("committed");
    // other tests run beside this one: one quick dump of many is enough
    let quick = (0..200).any(|_| {
        let start = Instant::now();
        let installed = nft.installed().expect("read back");
        assert_eq!(check(&ruleset, &installed, |_| false), Ok(()));
        start.elapsed() < Duration::from_millis(5)
    });
    assert!(quick);
}
