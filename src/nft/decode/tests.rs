//! Laws of [`super`]: what the encoder writes is read back, and what we could
//! not have made is kept as words.

use super::*;
use crate::config::Ipv6Mode;
use crate::config::profile::{LAYOUTS, OSM_V0};
use crate::nft::{Reading, encode};
use crate::policy::Policy;
use crate::ruleset::build;
use crate::ruleset::sample::policy_with_lists;

#[test]
fn what_is_encoded_is_decoded() {
    for layout in LAYOUTS {
        for ipv6 in [Ipv6Mode::Bypass, Ipv6Mode::Redirect, Ipv6Mode::Reject] {
            let policy = Policy { ipv6, ..policy_with_lists(layout) };
            let ruleset = build(&policy, Some(&Owner::new("c1", "eth0")));
            let decoded = installed(encode::replace(&ruleset, &[]).bytes());
            assert_eq!(decoded.ruleset(), Some(ruleset), "{}", layout.name);
        }
    }
}

#[test]
fn an_expression_of_another_kind_makes_a_rule_foreign() {
    let ruleset = build(&policy_with_lists(&OSM_V0), None);
    let batch = encode::replace(&ruleset, &[]);
    // the same messages, with another name for the counters
    let mut bytes = batch.bytes().to_vec();
    let names: Vec<usize> =
        (0..bytes.len()).filter(|at| bytes[*at..].starts_with(b"counter")).collect();
    assert!(!names.is_empty());
    for at in names {
        bytes[at..at + 7].copy_from_slice(b"cOuNtEr");
    }
    let decoded = installed(&bytes);
    assert_eq!(decoded.ruleset(), None);
    let table = decoded.table(Family::Ip).expect("a table");
    let last = table.chain("PROXY_IN_REDIRECT").expect("a chain").rules.first();
    let expected = Reading::Foreign {
        expressions: ["meta", "cmp", "cOuNtEr", "immediate", "redir"].map(str::to_owned).to_vec(),
        verdict: Some(crate::ruleset::Verdict::Redirect(15003)),
        conditional: true,
    };
    assert_eq!(last.map(|rule| &rule.reading), Some(&expected));
}

#[test]
fn elements_are_sorted_and_those_that_come_twice_are_noticed() {
    let ruleset = build(&policy_with_lists(&OSM_V0), None);
    let batch = encode::replace(&ruleset, &[]);
    let once = batch.bytes().to_vec();
    assert!(!decoded(&once).1);
    // each element's message a second time
    let elements = Messages(&once).filter(|it| it.nft_kind() == Some(NFT_MSG_NEWSETELEM));
    let mut twice = once.clone();
    elements.for_each(|message| message.write(&mut twice));
    let (decoded, repeated) = decoded(&twice);
    assert!(repeated);
    assert_eq!(decoded.ruleset(), Some(ruleset));
}
