//! An attachment's whole life for every kind of settings: ADD, CHECK, damage
//! that CHECK names, ADD again, DEL. And lists of ten thousand.

use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

use super::newest::configurations;
use crate::support::netns::TestNetns;
use crate::support::plugin::{Call, annotated, conf};

#[test]
fn every_kind_of_settings_lives_through_add_check_damage_and_del() {
    for (name, conf) in configurations() {
        println!("{name}");
        let netns = TestNetns::new();
        let call = |verb| Call::new(verb, &conf).netns(&netns.path()).run();
        call("ADD").ok();
        call("CHECK").ok();
        let before = netns.nft_list();
        netns.nft_load("flush chain ip osm OUTPUT");
        let difference = call("CHECK").error(103);
        assert!(difference.contains("OUTPUT"), "{name}: {difference}");
        call("ADD").ok();
        assert_eq!(netns.nft_list(), before, "{name}: ADD again");
        call("CHECK").ok();
        call("DEL").ok();
        assert_eq!(netns.nft_list(), "", "{name}: after DEL");
        call("DEL").ok();
    }
}

/// Ten thousand ranges: those that are excluded are, and no others.
#[test]
fn ten_thousand_ranges_are_excluded_and_their_neighbours_are_not() {
    let netns = TestNetns::new();
    let ranges: Vec<String> =
        (0..10_000).map(|n| format!("10.{}.{}.0/25", n / 250, n % 250)).collect();
    let conf = long(&ranges);
    Call::new("ADD", &conf).netns(&netns.path()).run().ok();
    Call::new("CHECK", &conf).netns(&netns.path()).run().ok();

    // Every address is this namespace's own.
    netns.exec(&["ip", "route", "add", "local", "10.0.0.0/8", "dev", "lo"]);
    let inside = osm_cni::netns::Netns::open(&netns.path()).expect("a network namespace");
    inside.run(|| served(&["proxy", "application"], &[15001, 80])).expect("entered");
    for n in [0, 1, 249, 250, 4_999, 9_998, 9_999] {
        for (host, expected) in [(1, "application"), (127, "application"), (128, "proxy")] {
            let address: SocketAddr = format!("10.{}.{}.{host}:80", n / 250, n % 250)
                .parse()
                .expect("an address and a port");
            let answer = inside.run(|| ask(address)).expect("entered");
            assert_eq!(answer, expected, "{address}");
        }
    }
    Call::new("DEL", &conf).netns(&netns.path()).run().ok();
    assert_eq!(netns.nft_list(), "");
}

fn long(ranges: &[String]) -> Value {
    annotated(
        conf("1.0.0"),
        json!({
            "openservicemesh.io/sidecar-injection": "enabled",
            "openservicemesh.io/outbound-ip-range-exclusion-list": ranges.join(","),
        }),
    )
}

/// Listens on each port and answers each connection with the port's name, as
/// long as the test runs.
fn served(names: &[&'static str], ports: &[u16]) {
    for (name, port) in names.iter().copied().zip(ports) {
        let listener = TcpListener::bind(("0.0.0.0", *port)).expect("a free port");
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let _ = std::io::Write::write_all(&mut stream, name.as_bytes());
            }
        });
    }
}

fn ask(address: SocketAddr) -> String {
    let limit = Duration::from_secs(20);
    let mut stream = TcpStream::connect_timeout(&address, limit).expect("a connection");
    stream.set_read_timeout(Some(limit)).expect("a time limit");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}
