//! A refusal names the message at fault, and nothing is changed.

use std::time::{Duration, Instant};

use osm_cni::nft::{NftError, NftSocket, Refusal, encode};
use osm_cni::ruleset::{Chain, Family, Match, Ruleset, Set, Table, Verdict};

use super::samples::{self, rule};
use crate::support::netns::TestNetns;

fn refused(nft: &mut NftSocket, ruleset: &Ruleset) -> Refusal {
    match nft.commit(&encode::replace(ruleset, &[])) {
        Err(NftError::Refused(refusal)) => *refusal,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn whichever_rule_is_bad_it_is_named_and_the_old_rules_stay() {
    let netns = TestNetns::new();
    let mut nft = netns.nft();
    let good = samples::everything();
    nft.commit(&encode::replace(&good, &[])).expect("committed");
    let before = netns.nft_list();
    for (table, chain) in [(0, 4), (0, 1), (1, 4)] {
        for number in 0..good.tables[table].chains[chain].rules.len() {
            let mut bad = good.clone();
            let family = bad.tables[table].family.as_str();
            let chain = &mut bad.tables[table].chains[chain];
            chain.rules[number].verdict = Verdict::Jump("NOWHERE".into());
            let name = chain.name.clone();
            let refusal = refused(&mut nft, &bad);
            let what = format!("rule {} of chain {name} ({family} osm): ", number + 1);
            assert!(refusal.what.starts_with(&what), "{refusal}");
            assert!(refusal.what.contains(" jump NOWHERE"), "{refusal}");
            assert_eq!(refusal.errno, nix::errno::Errno::ENOENT);
            let at = refusal.attribute.as_deref().unwrap_or_default();
            assert!(at.starts_with("expression ") && at.ends_with("(immediate)"), "{refusal}");
        }
    }
    assert_eq!(netns.nft_list(), before);
}

#[test]
fn where_nothing_was_a_refusal_leaves_nothing() {
    let netns = TestNetns::new();
    let mut nft = netns.nft();
    let mut bad = samples::everything();
    bad.tables[1].chains[7].rules[0].verdict = Verdict::Jump("NOWHERE".into());
    refused(&mut nft, &bad);
    assert_eq!(netns.nft_list(), "");
    // the socket is as good as new
    nft.commit(&encode::replace(&samples::everything(), &[])).expect("committed");
}

#[test]
fn a_bad_set_or_chain_is_named() {
    let netns = TestNetns::new();
    let mut nft = netns.nft();
    let long = "x".repeat(300);
    let mut bad = samples::everything();
    bad.tables[0].sets[2] = Set { name: long.clone().into(), ..bad.tables[0].sets[2].clone() };
    let refusal = refused(&mut nft, &bad);
    assert_eq!(refusal.what, format!("set {long} (ip osm)"));
    // Debian's 5.10, 6.1 and 6.12 point at no attribute here.
    let pointed_at = refusal.attribute.as_deref();
    assert!(pointed_at.is_none() || pointed_at == Some("attribute NFTA_SET_NAME"), "{refusal}");
    assert!(pointed_at.is_some() || kernel() < (6, 13), "{refusal}");
    let mut bad = samples::everything();
    bad.tables[1].chains.push(Chain { name: long.clone().into(), hook: None, rules: vec![] });
    let refusal = refused(&mut nft, &bad);
    assert_eq!(refusal.what, format!("chain {long} (ip6 osm)"));
    assert_eq!(netns.nft_list(), "");
}

/// Version and patch level of the running kernel.
fn kernel() -> (u32, u32) {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("a release");
    let mut numbers = release.split(['.', '-']).map(|number| number.parse().unwrap_or_default());
    (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default())
}

#[test]
fn a_redirect_outside_a_nat_chain_is_refused_by_its_name() {
    let netns = TestNetns::new();
    let mut nft = netns.nft();
    let mut bad = samples::everything();
    bad.tables[0].chains[6].rules = vec![rule(vec![Match::Tcp], Verdict::Redirect(15001))];
    let refusal = refused(&mut nft, &bad);
    println!("{refusal}");
    assert!(refusal.what.starts_with("rule 1 of chain RESET (ip osm)"), "{refusal}");
    assert_eq!(netns.nft_list(), "");
}

#[test]
fn a_loop_of_chains_is_refused() {
    let netns = TestNetns::new();
    let mut nft = netns.nft();
    let mut bad = samples::everything();
    let back = rule(vec![], Verdict::Jump("OUTBOUND".into()));
    bad.tables[0].chains[5].rules.insert(0, back);
    let refusal = refused(&mut nft, &bad);
    println!("{refusal}");
    assert_eq!(netns.nft_list(), "");
}

#[test]
fn thousands_of_refusals_name_the_first_and_do_not_hang() {
    let netns = TestNetns::new();
    let mut nft = netns.nft();
    let bad = |_| rule(vec![Match::Tcp], Verdict::Jump("NOWHERE".into()));
    let chain = Chain { name: "BAD".into(), hook: None, rules: (0..5000).map(bad).collect() };
    let table = Table {
        family: Family::Ip,
        owner: Some(samples::owner()),
        sets: vec![],
        chains: vec![chain],
    };
    let start = Instant::now();
    let refusal = refused(&mut nft, &Ruleset { tables: vec![table] });
    assert!(refusal.what.starts_with("rule 1 of chain BAD"), "{refusal}");
    // A hang would be seconds for each of them; emulated kernels take some.
    assert!(start.elapsed() < Duration::from_secs(60));
    nft.commit(&encode::replace(&samples::everything(), &[])).expect("committed");
}
