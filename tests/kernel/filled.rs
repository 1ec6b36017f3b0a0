//! Somebody in the pod with NET_ADMIN fills our tables, or others. What CHECK, DEL,
//! `inspect` and the audit read of it is bounded, and so is their memory.

use std::fmt::Write as _;

use osm_cni::nft::compare::check;
use osm_cni::nft::{Installed, NftSocket, encode};
use osm_cni::ruleset::{Chain, Elements, Family, Match, Owner, Ruleset, Set, Table, Verdict};

use super::samples::{self, rule};
use crate::support::netns::TestNetns;
use crate::support::plugin::{Call, conf, enabled};
use crate::support::strace;

/// So many foreign rules.
const RULES: usize = 50_000;

/// So many foreign elements.
const ELEMENTS: u32 = 600_000;

fn expected() -> Ruleset {
    Ruleset { tables: vec![samples::table(Family::Ip)] }
}

/// A namespace with the expected table after `change`.
fn with(change: impl FnOnce(&mut Table)) -> (TestNetns, NftSocket) {
    let netns = TestNetns::new();
    let mut nft = netns.nft();
    let mut ruleset = expected();
    change(&mut ruleset.tables[0]);
    nft.commit(&encode::replace(&ruleset, &[])).expect("committed");
    (netns, nft)
}

fn chain<'t>(table: &'t mut Table, name: &str) -> &'t mut Chain {
    table.chains.iter_mut().find(|chain| chain.name == name).expect("there")
}

fn add_rules(chain: &mut Chain) {
    let rule = rule(vec![Match::Tcp], Verdict::Return);
    chain.rules.extend(std::iter::repeat_n(rule, RULES));
}

fn add_elements(table: &mut Table) {
    let set = table.sets.iter_mut().find(|set| set.name == "addresses").expect("there");
    set.elements = Elements::Ipv4((0..ELEMENTS).map(|n| (0x0b00_0000 + n * 256).into()).collect());
}

/// How many rules and elements were read.
fn count(found: &Installed) -> (usize, usize) {
    let chains = found.tables.iter().flat_map(|table| &table.chains);
    let sets = found.tables.iter().flat_map(|table| &table.sets);
    (chains.map(|it| it.rules.len()).sum(), sets.map(|it| it.elements.count()).sum())
}

/// What CHECK says, and how many rules and elements it read for it.
fn checked(nft: &mut NftSocket) -> (String, usize, usize) {
    let found = nft.installed_up_to(&expected()).expect("read back");
    let (rules, elements) = count(&found);
    let difference = check(&expected(), &found, |_| false).expect_err("a difference");
    (difference.to_string(), rules, elements)
}

#[test]
fn foreign_elements_are_not_all_read() {
    let (_netns, mut nft) = with(add_elements);
    let (difference, _, elements) = checked(&mut nft);
    assert!(difference.ends_with("was added to set addresses"), "{difference}");
    assert!(elements < 10_000, "{elements} elements were read");
}

#[test]
fn foreign_rules_are_not_all_read() {
    let (_netns, mut nft) = with(|table| add_rules(chain(table, "OUTBOUND")));
    let (difference, rules, _) = checked(&mut nft);
    assert_eq!(
        difference,
        "table ip osm: rule 11 of chain OUTBOUND (meta l4proto tcp return) was added"
    );
    assert!(rules < 1000, "{rules} rules were read");
    let (_netns, mut nft) = with(|table| {
        let mut chain = Chain { name: "MORE".into(), hook: None, rules: Vec::new() };
        add_rules(&mut chain);
        table.chains.push(chain);
    });
    let (difference, rules, _) = checked(&mut nft);
    assert_eq!(difference, "table ip osm: chain MORE was added");
    assert!(rules < 1000, "{rules} rules were read");
}

#[test]
fn foreign_chains_and_sets_are_not_all_read() {
    let (_netns, mut nft) = with(|table| {
        let more = |n| Chain { name: format!("MORE{n}").into(), hook: None, rules: Vec::new() };
        table.chains.extend((0..20_000).map(more));
    });
    let found = nft.installed_up_to(&expected()).expect("read back");
    assert!(found.tables[0].chains.len() < 1000);
    assert_eq!(checked(&mut nft).0, "table ip osm: chain MORE0 was added");
    let (_netns, mut nft) = with(|table| {
        let elements = || Elements::Uids(Vec::new());
        let more = |n| Set { name: format!("more{n}").into(), elements: elements() };
        table.sets.extend((0..20_000).map(more));
    });
    let found = nft.installed_up_to(&expected()).expect("read back");
    assert!(found.tables[0].sets.len() < 1000);
    assert_eq!(checked(&mut nft).0, "table ip osm: set more0 was added");
}

/// Of these, CHECK compares the owner alone, or only where base chains lead.
#[test]
fn what_is_not_compared_is_not_read() {
    let other = |owner: Owner| {
        with(|table| {
            table.owner = Some(owner);
            add_elements(table);
        })
    };
    let (_netns, mut nft) = other(Owner::new("another", "eth0"));
    let (difference, rules, elements) = checked(&mut nft);
    assert!(difference.contains("belongs to container another"), "{difference}");
    assert_eq!((rules, elements), (0, 0));
    let older = Owner { layout: 1, ..samples::owner() };
    for owner in [Owner::new("0ec2af51a4b1", "net1"), older] {
        let (_netns, mut nft) = other(owner);
        let found = nft.installed_up_to(&expected()).expect("read back");
        assert_eq!(check(&expected(), &found, |_| false), Ok(()));
        assert_eq!(count(&found).1, 0, "elements");
    }
    let (_netns, mut nft) = with(add_elements);
    let none = Ruleset { tables: vec![samples::table(Family::Ip6)] };
    assert_eq!(count(&nft.installed_up_to(&none).expect("read back")), (0, 0));
}

/// Without anything to compare with, as for `inspect`.
#[test]
fn a_table_without_end_is_read_in_part_and_says_so() {
    let (_netns, mut nft) = with(|table| add_rules(chain(table, "OUTBOUND")));
    let found = nft.installed().expect("read back");
    let (rules, _) = count(&found);
    assert!(rules < RULES, "{rules} rules were read");
    let foreign = &found.tables[0].foreign;
    assert!(foreign[0].contains("not read"), "{foreign:?}");
    let (_netns, mut nft) = with(add_elements);
    let found = nft.installed().expect("read back");
    let (_, elements) = count(&found);
    assert!(elements < ELEMENTS as usize, "{elements} elements were read");
    assert!(found.tables[0].foreign[0].contains("not read"));
    // the next answer is another's
    assert_eq!(count(&nft.installed().expect("read back")).0, count(&found).0);
}

/// As the kernel counts it for a process that has ended.
#[test]
fn check_and_del_take_no_more_memory_for_it() {
    let conf = enabled(conf("1.0.0"));
    for chain in ["osm PROXY_OUTPUT", "other more"] {
        let netns = TestNetns::new();
        Call::new("ADD", &conf).netns(&netns.path()).run().ok();
        let mut script = "add table ip other\nadd chain ip other more\n".to_owned();
        for _ in 0..RULES {
            let _ = writeln!(script, "add rule ip {chain} tcp dport 7 return");
        }
        netns.nft_load(&script);
        for (verb, status) in [("CHECK", i32::from(chain.starts_with("osm"))), ("DEL", 0)] {
            let (answer, memory) = Call::new(verb, &conf).netns(&netns.path()).run_measured();
            assert_eq!(answer.status, Some(status), "{verb}, {chain}: {answer:?}");
            assert!(memory < 16 << 10, "{verb}, {chain}: {memory} KiB");
        }
    }
}

/// DEL asks whether another interface is up, and ends at the first.
#[test]
fn del_does_not_read_all_interfaces() {
    let conf = enabled(conf("1.0.0"));
    let netns = TestNetns::new();
    let mut script = String::new();
    for n in 0..500 {
        let _ = writeln!(script, "link add m{n} type veth peer name n{n}\nlink set m{n} up");
    }
    netns.run(&["ip", "-batch", "-"], &script);
    Call::new("ADD", &conf).netns(&netns.path()).run().ok();
    let (answer, trace) = strace::trace(&Call::new("DEL", &conf).netns(&netns.path()));
    answer.ok();
    assert!(netns.nft_list().contains("table ip osm"), "an interface is up");
    let answers = trace.lines("recvfrom").chain(trace.lines("recvmsg")).count();
    assert!(answers < 10, "{answers} answers were read");
}
