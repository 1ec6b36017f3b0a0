//! Printer, evaluator and encoder held against each other: what we print is what
//! the kernel lists after ADD, and what we say about a connection is where it
//! goes. The probe rule's destination, which comparisons with OSM leave out, is
//! among the connections here.

use std::net::SocketAddr;

use super::pod::{Connection, From, Pod};
use super::random::Random;
use super::{Amount, again, ours};
use crate::support::netns::TestNetns;

#[test]
fn text_and_evaluation_say_what_the_kernel_does() {
    let amount = Amount::from_environment();
    println!("seed {}, {} configurations", amount.seed, amount.configurations);
    let pod = Pod::new();
    let fresh = TestNetns::new().without_duplicate_address_detection();
    for seed in amount.seeds() {
        let mut random = Random::new(seed);
        let configuration = random.configuration();
        let mut connections = random.connections(&configuration, amount.connections);
        let probes = [0, 1000, 65534].into_iter().filter(|uid| *uid != configuration.proxy.uid);
        let to = SocketAddr::V4(osm_cni::ruleset::PROBE);
        connections.extend(probes.map(|uid| Connection { from: From::Uid(uid), to }));
        ours::call("ADD", &configuration, pod.netns());
        ours::call("CHECK", &configuration, pod.netns());

        let rules = ours::ruleset(&configuration);
        let text = ours::nft_text(&rules);
        let listed = list(pod.netns());
        assert_eq!(normal(&listed), normal(&text), "{}", again(seed));
        fresh.run(&["nft", "-f", "-"], &format!("flush ruleset\n{text}"));
        assert_eq!(list(&fresh), listed, "loaded with nft; {}", again(seed));

        let answers = pod.connect(&connections);
        for (connection, answer) in connections.iter().zip(answers) {
            let end = ours::predicted(&rules, connection);
            assert!(
                ours::agrees(end, connection, answer),
                "connection {connection}: predicted {end:?}, was {answer:?}; {}\n{configuration:#?}",
                again(seed)
            );
        }
        ours::call("CHECK", &configuration, pod.netns());
        // a second interface is up, so the pod lives on and keeps its redirection
        let before = normal(&list(pod.netns()));
        ours::call("DEL", &configuration, pod.netns());
        assert_eq!(normal(&list(pod.netns())), before, "after DEL; {}", again(seed));
    }
}

fn list(netns: &TestNetns) -> String {
    netns.run(&["nft", "list", "ruleset"], "")
}

/// A list without what is free in it: how it is set in lines, and how often a
/// rule was hit.
fn normal(list: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut all = list.split_whitespace();
    while let Some(word) = all.next() {
        match word {
            "packets" | "bytes" => drop(all.next()),
            word => words.push(word.to_owned()),
        }
    }
    words
}
