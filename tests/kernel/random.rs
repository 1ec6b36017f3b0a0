//! Laws over random rulesets and random bytes.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use osm_cni::nft::{Installed, NftSocket, compare, decode, encode};
use osm_cni::ruleset::{
    Chain, ChainKind, Elements, Family, HookPoint, InterfacePattern, Match, Op, Operand, Rule,
    Ruleset, Set, Table, Verdict,
};
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::samples;
use crate::support::netns::TestNetns;

const JUMPED: [&str; 3] = ["FIRST", "SECOND", "THIRD"];

fn address(family: Family) -> BoxedStrategy<IpAddr> {
    match family {
        Family::Ip => any::<u32>().prop_map(|bits| IpAddr::V4(Ipv4Addr::from(bits))).boxed(),
        Family::Ip6 => any::<u128>().prop_map(|bits| IpAddr::V6(Ipv6Addr::from(bits))).boxed(),
    }
}

fn operand<T: std::fmt::Debug + Clone + 'static>(
    one: impl Strategy<Value = T> + 'static,
    set: &'static str,
) -> BoxedStrategy<(Op, Operand<T>)> {
    let op = prop_oneof![Just(Op::Eq), Just(Op::Ne)];
    prop_oneof![
        3 => (op, one).prop_map(|(op, one)| (op, Operand::One(one))),
        1 => Just((Op::Eq, samples::in_set(set))),
    ]
    .boxed()
}

fn interface() -> impl Strategy<Value = InterfacePattern> {
    ("[a-zA-Z0-9._@-]{1,15}", any::<bool>())
        .prop_map(|(name, prefix)| InterfacePattern { name: name.into(), prefix })
}

fn condition(family: Family) -> BoxedStrategy<Match> {
    let mask = prop_oneof![Just(u16::MAX), (1u32..16).prop_map(|zeros| u16::MAX << zeros)];
    let ports = (mask, operand(any::<u16>(), "ports"));
    let prefix_len = 1..=family.address_bits();
    let addresses = (prefix_len, operand(address(family), "addresses"));
    prop_oneof![
        Just(Match::Tcp),
        Just(Match::NewConnection),
        ports.prop_map(|(mask, (_, value))| Match::DestinationPort { mask, value }),
        addresses.prop_map(|(prefix_len, (op, value))| Match::DestinationAddress {
            op,
            prefix_len,
            value
        }),
        operand(any::<u32>(), "uids").prop_map(|(op, value)| Match::SocketUid { op, value }),
        interface().prop_map(Match::InputInterface),
        interface().prop_map(Match::OutputInterface),
    ]
    .boxed()
}

/// A rule of the chain at this place among those that are jumped to.
fn random_rule(family: Family, place: usize) -> impl Strategy<Value = Rule> {
    let mut verdicts = vec![
        Just(Verdict::Return).boxed(),
        Just(Verdict::Accept).boxed(),
        any::<u16>().prop_map(Verdict::Redirect).boxed(),
        address(family).prop_map(Verdict::Dnat).boxed(),
        Just(Verdict::RejectWithReset).boxed(),
    ];
    // only onwards: loops are refused
    verdicts
        .extend(JUMPED.iter().skip(place).map(|name| Just(Verdict::Jump((*name).into())).boxed()));
    let comment = proptest::option::of("[ -~äöü€]{0,42}".prop_map(Into::into));
    (vec(condition(family), 0..5), proptest::strategy::Union::new(verdicts), comment)
        .prop_map(|(matches, verdict, comment)| Rule { matches, verdict, comment })
}

fn random_table(family: Family) -> impl Strategy<Value = Table> {
    fn list<T: Ord>(elements: BTreeSet<T>) -> Vec<T> {
        elements.into_iter().collect()
    }
    let addresses = match family {
        Family::Ip => btree_set(any::<u32>().prop_map(Ipv4Addr::from), 0..50)
            .prop_map(|all| Elements::Ipv4(list(all)))
            .boxed(),
        Family::Ip6 => btree_set(any::<u128>().prop_map(Ipv6Addr::from), 0..50)
            .prop_map(|all| Elements::Ipv6(list(all)))
            .boxed(),
    };
    let ports = btree_set(any::<u16>(), 0..50).prop_map(|all| Elements::Ports(list(all)));
    let uids = btree_set(any::<u32>(), 0..50).prop_map(|all| Elements::Uids(list(all)));
    let rules = move |place| vec(random_rule(family, place), 0..6);
    let chains = (rules(0), rules(0), rules(1), rules(2), rules(3), any::<i16>());
    (addresses, ports, uids, chains).prop_map(move |(addresses, ports, uids, chains)| {
        let set = |name: &'static str, elements| Set { name: name.into(), elements };
        let chain = |name: &'static str, hook, rules| Chain { name: name.into(), hook, rules };
        let (inbound, outbound, first, second, third, priority) = chains;
        // below -200 a nat chain would stand before conntrack
        let priority = i32::from(priority).max(-199);
        let nat = |point| samples::hook(ChainKind::Nat, point, priority);
        Table {
            family,
            owner: Some(samples::owner()),
            sets: vec![set("addresses", addresses), set("ports", ports), set("uids", uids)],
            chains: vec![
                chain("PREROUTING", nat(HookPoint::Prerouting), inbound),
                chain("OUTPUT", nat(HookPoint::Output), outbound),
                chain("FIRST", None, first),
                chain("SECOND", None, second),
                chain("THIRD", None, third),
                chain("FILTER", samples::hook(ChainKind::Filter, HookPoint::Output, 1), vec![]),
            ],
        }
    })
}

fn random_ruleset() -> impl Strategy<Value = Ruleset> {
    (random_table(Family::Ip), random_table(Family::Ip6))
        .prop_map(|(ip, ip6)| Ruleset { tables: vec![ip, ip6] })
}

fn config() -> ProptestConfig {
    ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() }
}

fn through_the_kernel(nft: &mut NftSocket, ruleset: &Ruleset) -> Installed {
    if let Err(err) = nft.commit(&encode::replace(ruleset, &[])) {
        panic!("{err}");
    }
    nft.installed().expect("read back")
}

#[test]
fn the_kernel_gives_back_what_it_was_given() {
    let netns = TestNetns::new();
    let nft = RefCell::new(netns.nft());
    let law = |ruleset: Ruleset| {
        let installed = through_the_kernel(&mut nft.borrow_mut(), &ruleset);
        prop_assert_eq!(compare::check(&ruleset, &installed, |_| false), Ok(()));
        prop_assert_eq!(installed.ruleset(), Some(ruleset));
        Ok(())
    };
    let outcome = TestRunner::new(config()).run(&random_ruleset(), law);
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_was_encoded_is_decoded(ruleset in random_ruleset()) {
        let batch = encode::replace(&ruleset, &[]);
        prop_assert_eq!(decode::installed(batch.bytes()).ruleset(), Some(ruleset));
    }

    #[test]
    fn damaged_bytes_are_read_without_a_panic(
        ruleset in random_ruleset(),
        spoils in vec((any::<prop::sample::Index>(), any::<u8>()), 1..40),
        end in any::<prop::sample::Index>(),
    ) {
        let mut bytes = encode::replace(&ruleset, &[]).bytes().to_vec();
        for (index, byte) in spoils {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        bytes.truncate(end.index(bytes.len() + 1));
        let installed = decode::installed(&bytes);
        let _ = compare::check(&ruleset, &installed, |_| false).map_err(|difference| difference.to_string());
        let _ = compare::check(&ruleset, &installed, |_| false);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in vec(any::<u8>(), 0..2000)) {
        let _ = decode::installed(&bytes);
    }
}
