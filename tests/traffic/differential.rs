//! The same traffic, whatever the configuration: random ones go into one pod
//! as OSM's own rules, into one through the plugin, and into one as the text
//! that we print for iptables. The first is the yardstick.

use std::collections::BTreeMap;
use std::net::Ipv6Addr;

use osm_cni::ruleset::Family;

use super::configuration::{Configuration, Ipv6};
use super::pod::{Answer, Connection, From, Pod};
use super::random::Random;
use super::{Amount, again, osm, ours};
use crate::support::netns::TestNetns;

#[test]
fn every_connection_goes_where_osms_own_rules_send_it() {
    let amount = Amount::from_environment();
    println!("seed {}, {} configurations", amount.seed, amount.configurations);
    let [osm, ours, text] = [Pod::new(), Pod::new(), Pod::new()];
    let mut tally = BTreeMap::new();
    for seed in amount.seeds() {
        let mut random = Random::new(seed);
        let configuration = random.configuration();
        let connections = random.connections(&configuration, amount.connections);
        let rules = ours::ruleset(&configuration);
        let answers = std::thread::scope(|scope| {
            let osm = scope.spawn(|| {
                install_osm(&configuration, osm.netns());
                osm.connect(&connections)
            });
            let ours = scope.spawn(|| {
                ours::install(&configuration, ours.netns());
                ours.connect(&connections)
            });
            let text = scope.spawn(|| {
                let input = |family| ours::iptables_text(&rules, family);
                restore("nft", [input(Family::Ip), input(Family::Ip6)], text.netns());
                text.connect(&connections)
            });
            [osm, ours, text].map(|pod| pod.join().unwrap_or_else(|_| panic!("{}", again(seed))))
        });
        for (index, connection) in connections.iter().enumerate() {
            let wanted = wanted(&configuration, connection, answers[0][index]);
            for (name, answer) in [("our pod", answers[1][index]), ("our text", answers[2][index])]
            {
                assert_eq!(
                    answer,
                    wanted,
                    "{name}, connection {connection}: {}\n{configuration:#?}",
                    again(seed)
                );
            }
        }
        for (connection, answer) in connections.iter().zip(&answers[1]) {
            *tally.entry(kind(&configuration, connection, *answer)).or_insert(0) += 1;
        }
    }
    let made: usize = tally.values().sum();
    println!("{made} connections, each in three pods, no difference: {tally:?}");
    // A run that never saw one of these proves nothing about it.
    assert!(amount.configurations < 50 || tally.len() == 6, "{tally:?}");
}

/// What became of a connection, for the tally.
fn kind(of: &Configuration, connection: &Connection, answer: Answer) -> &'static str {
    match answer {
        Answer::Reset => "reset",
        Answer::World { .. } => "to the world",
        Answer::Pod { at, .. } if at == connection.to => "inside the pod",
        Answer::Pod { at, .. } if at.port() == of.proxy.outbound_port => "to the proxy, outbound",
        Answer::Pod { at, .. } if at.port() == of.proxy.inbound_port => "to the proxy, inbound",
        Answer::Pod { .. } => "to the pod's address",
    }
}

/// OSM's rules, through iptables' older backend.
pub(super) fn install_osm(of: &Configuration, netns: &TestNetns) {
    let ipv6 = match of.ipv6 {
        Ipv6::Bypass => String::new(),
        Ipv6::Redirect | Ipv6::Reject => osm::restore_input(of, true),
    };
    restore("legacy", [osm::restore_input(of, false), ipv6], netns);
}

/// Replaces both families' rules by these.
fn restore(backend: &str, [ipv4, ipv6]: [String; 2], netns: &TestNetns) {
    for (program, input) in [("iptables", ipv4), ("ip6tables", ipv6)] {
        let program = format!("{program}-{backend}-restore");
        // A table that the input does not name would keep the last rules.
        let empty = |table: &str| match input.contains(&format!("*{table}\n")) {
            true => String::new(),
            false => format!("*{table}\nCOMMIT\n"),
        };
        let input = format!("{}{}{input}", empty("nat"), empty("filter"));
        netns.run(&[&program], &input);
    }
}

/// What OSM's answer means for us: with `ipv6: reject`, what it sends to the
/// proxy is to be reset, and all else passes untouched.
fn wanted(of: &Configuration, connection: &Connection, answer: Answer) -> Answer {
    let Connection { from, to } = *connection;
    match answer {
        Answer::Pod { at, original } if of.ipv6 == Ipv6::Reject && to.is_ipv6() => {
            // PodIP's own translation leads to the application, not the proxy.
            let to_application = of.pod_ip
                && of.ipv6_in_result
                && from == From::Uid(of.proxy.uid)
                && to.ip() == Ipv6Addr::LOCALHOST;
            match at == to || to_application {
                true => Answer::Pod { at: to, original },
                false => Answer::Reset,
            }
        }
        other => other,
    }
}
