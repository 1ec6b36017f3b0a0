//! Laws of [`super`], on rulesets that went through the encoder and the decoder
//! instead of the kernel.

use super::*;
use crate::config::Ipv6Mode;
use crate::config::profile::{LAYOUTS, OSM_V0, OSM_V1};
use crate::nft::{Place, decode, encode};
use crate::pod::PodAddresses;
use crate::policy::{LocalProxy, Policy};
use crate::ruleset::sample::policy_with_lists;
use crate::ruleset::{Elements, InterfacePattern, Match, Operand, Rule, Verdict, build};

fn owned(policy: &Policy, interface: &str) -> Ruleset {
    build(policy, Some(&Owner::new("c1", interface)))
}

/// What the kernel would hold after this ruleset was set. It numbers rules in the
/// order in which they are made.
fn installed(ruleset: &Ruleset) -> Installed {
    let mut installed = decode::installed(encode::replace(ruleset, &[]).bytes());
    for table in &mut installed.tables {
        let rules = table.chains.iter_mut().flat_map(|chain| &mut chain.rules);
        rules.zip(10..).for_each(|(rule, handle)| rule.handle = handle);
    }
    installed
}

fn checked(expected: &Ruleset, found: &Installed) -> Result<(), String> {
    check(expected, found, |_| false).map_err(|difference| difference.to_string())
}

fn with_layout(mut ruleset: Ruleset, layout: u32) -> Ruleset {
    for table in &mut ruleset.tables {
        table.owner.as_mut().expect("an owner").layout = layout;
    }
    ruleset
}

fn pod_ip(ipv4: Option<[u8; 4]>, ipv6: Option<&str>) -> LocalProxy {
    let ipv6 = ipv6.map(|text| text.parse::<std::net::IpAddr>().expect("an address"));
    let ipv4 = ipv4.map(|octets| std::net::Ipv4Addr::from(octets).into());
    LocalProxy::PodIp(PodAddresses::new([ipv4, ipv6].into_iter().flatten().collect()))
}

#[test]
fn what_was_set_is_no_difference() {
    for layout in LAYOUTS {
        for ipv6 in [Ipv6Mode::Bypass, Ipv6Mode::Redirect, Ipv6Mode::Reject] {
            let ruleset = owned(&Policy { ipv6, ..policy_with_lists(layout) }, "eth0");
            assert_eq!(checked(&ruleset, &installed(&ruleset)), Ok(()));
        }
    }
}

#[test]
fn a_table_of_another_interface_need_only_lead_to_the_proxy() {
    let policy = policy_with_lists(&OSM_V1);
    let others = owned(&policy, "eth0");
    let settings_of_today = Policy { mesh: Default::default(), ..policy };
    let ours = owned(&settings_of_today, "net1");
    assert_eq!(checked(&ours, &installed(&others)), Ok(()));
    let mut empty = others.clone();
    empty.tables[0].chains.clear();
    assert_eq!(
        checked(&ours, &installed(&empty)),
        Err("table ip osm: no chain at hook prerouting leads to redirect to :15003".to_owned())
    );
    let mut foreign = others;
    foreign.tables[0].owner = Some(Owner::new("c2", "eth0"));
    let words =
        "table ip osm belongs to container c2 interface eth0, not to container c1 interface net1";
    assert_eq!(checked(&ours, &installed(&foreign)), Err(words.to_owned()));
}

#[test]
fn an_older_layout_need_only_lead_to_the_proxy() {
    let ours = owned(&policy_with_lists(&OSM_V1), "eth0");
    let todays = owned(&policy_with_lists(&OSM_V0), "eth0");
    let mut older = with_layout(todays.clone(), 1);
    assert_eq!(checked(&todays, &installed(&older)), Ok(()), "the same policy");
    let output = older.tables[0].chains.iter_mut().find(|chain| chain.name == "PROXY_OUTPUT");
    output.expect("there").rules.pop();
    assert_eq!(
        checked(&todays, &installed(&older)),
        Err("table ip osm: no chain at hook output leads to redirect to :15001".to_owned())
    );
    older.tables[0].chains.clear();
    older.tables[0].sets.clear();
    let found = checked(&ours, &installed(&older)).expect_err("an empty table");
    assert!(found.contains("no chain at hook prerouting leads to redirect to :15003"), "{found}");
}

#[test]
fn a_layout_that_no_release_had_is_a_difference() {
    let ours = owned(&policy_with_lists(&OSM_V0), "eth0");
    for layout in [0, LAYOUT_VERSION + 1, 7] {
        let found = installed(&with_layout(ours.clone(), layout));
        let words = format!("table ip osm has layout {layout} instead of {LAYOUT_VERSION}");
        assert_eq!(checked(&ours, &found), Err(words));
    }
}

#[test]
fn pod_ip_is_any_address_that_the_result_has() {
    let with = |local_proxy| Policy { local_proxy, ..policy_with_lists(&OSM_V0) };
    let later = owned(&with(pod_ip(Some([10, 0, 0, 9]), None)), "eth0");
    let before = installed(&owned(&with(pod_ip(Some([10, 0, 0, 2]), None)), "eth0"));
    let has = |address: IpAddr| address == IpAddr::from([10, 0, 0, 2]);
    assert_eq!(check(&later, &before, has), Ok(()));
    let found = checked(&later, &before).expect_err("an address that the result has not");
    assert!(found.contains("was changed to") && found.ends_with("dnat to 10.0.0.2"), "{found}");
    // made for another interface: this result does not have that one's address
    let other = installed(&owned(&with(pod_ip(Some([10, 0, 0, 2]), None)), "net1"));
    assert_eq!(checked(&later, &other), Ok(()));
    let none = installed(&owned(&with(LocalProxy::Localhost), "eth0"));
    assert!(check(&later, &none, has).is_err(), "the rule is missing");
}

#[test]
fn an_address_of_another_family_that_came_later_is_no_difference() {
    let with = |local_proxy| {
        let ipv6 = Ipv6Mode::Redirect;
        owned(&Policy { local_proxy, ipv6, ..policy_with_lists(&OSM_V0) }, "eth0")
    };
    let later = with(pod_ip(Some([10, 0, 0, 2]), Some("fd00::2")));
    assert_eq!(checked(&later, &installed(&with(pod_ip(Some([10, 0, 0, 2]), None)))), Ok(()));
    assert_eq!(checked(&later, &installed(&with(pod_ip(None, Some("fd00::2"))))), Ok(()));
    let none = checked(&later, &installed(&with(pod_ip(None, None))));
    assert!(none.expect_err("no rule at all").contains("dnat to 10.0.0.2"));
}

#[test]
fn a_pod_ip_rule_that_was_removed_is_missing_in_either_family() {
    let ipv6 = Ipv6Mode::Redirect;
    let local_proxy = pod_ip(Some([10, 0, 0, 2]), Some("fd00::2"));
    let ruleset = owned(&Policy { local_proxy, ipv6, ..policy_with_lists(&OSM_V0) }, "eth0");
    for (family, address) in [(Family::Ip, "10.0.0.2"), (Family::Ip6, "fd00::2")] {
        let mut found = installed(&ruleset);
        let table = found.tables.iter_mut().find(|table| table.family == family).expect("there");
        let output = table.chains.iter_mut().find(|chain| chain.name == "OUTPUT");
        let rules = &mut output.expect("there").rules;
        let before = rules.len();
        rules.retain(|rule| !matches!(rule.known().expect("ours").verdict, Verdict::Dnat(_)));
        assert_eq!(rules.len() + 1, before);
        let difference = check(&ruleset, &found, |_| true).expect_err("a rule is gone").to_string();
        assert!(difference.ends_with(&format!("dnat to {address}) is gone")), "{difference}");
    }
}

#[test]
fn what_stands_behind_a_rule_for_all_connections_is_not_reached() {
    let expected = owned(&policy_with_lists(&OSM_V1), "eth0");
    let found = |matches: &[Match]| {
        let mut found = installed(&expected);
        let chains = &mut found.tables[0].chains;
        let output = chains.iter_mut().find(|chain| chain.name == "OUTPUT").expect("there");
        let rule = Rule { matches: matches.to_vec(), verdict: Verdict::Return, comment: None };
        let reading = Reading::Known(rule);
        output.rules.insert(0, InstalledRule { reading, packets: 0, bytes: 0, handle: 1 });
        redirection(&expected, &found).map_err(|it| it.to_string())
    };
    let any = InterfacePattern { name: "".into(), prefix: true };
    let lost = "table ip osm: no chain at hook output leads to redirect to :15001";
    for all in [
        &[][..],
        &[Match::Tcp],
        &[Match::Tcp, Match::NewConnection],
        &[Match::OutputInterface(any.clone())],
        &[Match::InputInterface(any)],
    ] {
        assert_eq!(found(all), Err(lost.to_owned()), "{all:?}");
    }
    let port = Match::DestinationPort { mask: u16::MAX, value: Operand::One(80) };
    let interface = InterfacePattern::exact("net1");
    for some in [port, Match::OutputInterface(interface.clone()), Match::InputInterface(interface)]
    {
        assert_eq!(found(&[Match::Tcp, some.clone()]), Ok(()), "{some:?}");
    }
}

#[test]
fn an_audit_compares_only_where_redirected_connections_end() {
    let policy = Policy { ipv6: Ipv6Mode::Reject, ..policy_with_lists(&OSM_V1) };
    let expected = owned(&Policy { mesh: Default::default(), ..policy.clone() }, "eth0");
    let found = installed(&build(&policy, Some(&Owner::new("c2", "net1"))));
    let redirected = |found: &Installed| redirection(&expected, found).map_err(|it| it.to_string());
    assert_eq!(redirected(&found), Ok(()), "other lists, another owner");
    // IPv6 is refused alike in both directions, and each is looked at.
    for (family, chain, difference) in [
        (Family::Ip, "OUTPUT", "table ip osm: no chain at hook output leads to redirect to :15001"),
        (
            Family::Ip6,
            "OUTPUT",
            "table ip6 osm: no chain at hook output leads to reject with tcp reset",
        ),
        (
            Family::Ip6,
            "PREROUTING",
            "table ip6 osm: no chain at hook prerouting leads to reject with tcp reset",
        ),
    ] {
        let mut damaged = found.clone();
        let table = damaged.tables.iter_mut().find(|table| table.family == family).expect("there");
        let chain = table.chains.iter_mut().find(|it| it.name == chain).expect("there");
        chain.rules.clear();
        assert_eq!(redirected(&damaged), Err(difference.to_owned()));
    }
    let mut dormant = found;
    dormant.tables[0].foreign.push("flag dormant".to_owned());
    let words = "table ip osm has a foreign flag dormant";
    assert_eq!(redirected(&dormant), Err(words.to_owned()));
}

#[test]
fn rules_of_iptables_redirect_if_they_lead_to_both_ports_of_the_proxy() {
    let expected = owned(&policy_with_lists(&OSM_V1), "eth0");
    // iptables' REDIRECT is an expression that we do not have, with a known verdict.
    let mut nat = installed(&expected).tables.remove(0);
    for rule in nat.chains.iter_mut().flat_map(|chain| &mut chain.rules) {
        if let Some(redirect @ Verdict::Redirect(_)) = rule.known().map(|it| it.verdict.clone()) {
            let expressions = vec!["target".to_owned()];
            rule.reading =
                Reading::Foreign { expressions, verdict: Some(redirect), conditional: true };
        }
    }
    assert!(is_redirected_by_iptables(&expected, &nat));
    let mut dormant = nat.clone();
    dormant.foreign.push("flag dormant".to_owned());
    assert!(!is_redirected_by_iptables(&expected, &dormant));
    let chain = nat.chains.iter_mut().find(|chain| chain.name == "PREROUTING").expect("there");
    chain.rules.clear();
    assert!(!is_redirected_by_iptables(&expected, &nat));
    assert!(!is_redirected_by_iptables(&Ruleset::default(), &nat), "nothing is expected");
}

/// A rule that no ruleset of ours has.
fn another_rule() -> InstalledRule {
    let rule = Rule { matches: vec![Match::Tcp], verdict: Verdict::Accept, comment: None };
    InstalledRule { reading: Reading::Known(rule), packets: 0, bytes: 0, handle: 99 }
}

#[test]
fn the_first_difference_of_a_table_is_named() {
    type Damage = fn(&mut InstalledTable);
    fn rules(table: &mut InstalledTable) -> &mut Vec<InstalledRule> {
        let chain = table.chains.iter_mut().find(|chain| chain.name == "PROXY_OUTPUT");
        &mut chain.expect("there").rules
    }
    fn elements(table: &mut InstalledTable) -> &mut Elements {
        &mut table
            .sets
            .iter_mut()
            .find(|it| it.name == "outbound_ports_mesh")
            .expect("there")
            .elements
    }
    let ruleset = owned(&policy_with_lists(&OSM_V0), "eth0");
    let damages: [(Damage, &str); 18] = [
        (|it| it.foreign.push("set x".to_owned()), "has a foreign set x"),
        (|it| drop(it.chains.remove(1)), "chain PROXY_INBOUND is gone"),
        (|it| it.chains[1].name = "X".to_owned(), "chain X was added"),
        (|it| drop(it.sets.remove(0)), "set outbound_ports_mesh is gone"),
        (|it| it.sets[0].name = "x".into(), "set x was added"),
        (|it| *elements(it) = Elements::Uids(vec![1]), "set outbound_ports_mesh has another type"),
        (|it| *elements(it) = Elements::Ports(vec![6379]), "7070 is gone from set outbound_ports"),
        (
            |it| *elements(it) = Elements::Ports(vec![6379, 7070, 80]),
            "80 was added to set outbound_ports",
        ),
        (
            |it| *elements(it) = Elements::Ports(vec![6379, 80]),
            "7070 is gone from set outbound_ports",
        ),
        (
            |it| it.chains[0].place = Place::Jumped,
            "chain PREROUTING has no hook instead of type nat",
        ),
        (
            |it| it.chains[1].place = Place::Foreign("type x".to_owned()),
            "chain PROXY_INBOUND has type x instead of no hook",
        ),
        (|it| drop(rules(it).remove(1)), "rule 2 of chain PROXY_OUTPUT (ip daddr 1.1.1.1 return"),
        (|it| drop(rules(it).pop()), "rule 8 of chain PROXY_OUTPUT (jump PROXY_REDIRECT) is gone"),
        (
            |it| rules(it).push(another_rule()),
            "rule 9 of chain PROXY_OUTPUT (meta l4proto tcp accept) was added",
        ),
        (
            |it| rules(it).insert(0, another_rule()),
            "rule 1 of chain PROXY_OUTPUT (meta l4proto tcp accept) was added",
        ),
        (|it| rules(it)[0] = another_rule(), "was changed to meta l4proto tcp accept"),
        (
            |it| rules(it).swap(0, 1),
            "rule 1 of chain PROXY_OUTPUT (tcp dport @outbound_ports_mesh return comment \"outbound ports: mesh config\") was moved",
        ),
        (
            |it| {
                let expressions = vec!["meta".to_owned(), "log".to_owned()];
                rules(it)[0].reading =
                    Reading::Foreign { expressions, verdict: None, conditional: true };
            },
            "was changed to [meta log]",
        ),
    ];
    for (damage, difference) in damages {
        let mut found = installed(&ruleset);
        damage(&mut found.tables[0]);
        let error = checked(&ruleset, &found).expect_err(difference);
        assert!(error.starts_with("table ip osm") && error.contains(difference), "{error}");
    }
}

#[test]
fn conditions_that_all_packets_meet_and_the_order_of_elements_are_no_difference() {
    let ruleset = owned(&policy_with_lists(&OSM_V0), "eth0");
    let mut found = installed(&ruleset);
    let any = InterfacePattern { name: "".into(), prefix: true };
    for rule in found.tables[0].chains.iter_mut().flat_map(|chain| &mut chain.rules) {
        let Reading::Known(rule) = &mut rule.reading else { panic!("{rule:?}") };
        rule.matches.insert(0, Match::OutputInterface(any.clone()));
        rule.matches.push(Match::InputInterface(any.clone()));
    }
    assert_eq!(checked(&ruleset, &found), Ok(()));
    let ports = found.tables[0].sets.iter_mut().find(|set| set.name == "outbound_ports_mesh");
    ports.expect("there").elements = Elements::Ports(vec![7070, 6379]);
    assert_eq!(checked(&ruleset, &found), Ok(()));
    let one = InterfacePattern::exact("net1");
    let chain = found.tables[0].chains.iter_mut().find(|chain| chain.name == "PROXY_OUTPUT");
    let Reading::Known(rule) = &mut chain.expect("there").rules[0].reading else { panic!() };
    rule.matches.insert(0, Match::OutputInterface(one));
    let error = checked(&ruleset, &found).expect_err("a condition more");
    assert!(error.contains("was changed to oifname \"net1\""), "{error}");
}
