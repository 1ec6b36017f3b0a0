//! `validate` proves that outbound traffic is captured, as nobody and without
//! capabilities, and says in one sentence why it is not.

use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use osm_cni::netns::Netns;
use serde_json::json;

use super::node::{Node, document};
use super::osm_cni_line;
use crate::support::netns::TestNetns;

fn listen(netns: &TestNetns, port: u16) -> TcpListener {
    let netns = Netns::open(&netns.path()).expect("a network namespace");
    let listener = netns.run(|| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)));
    listener.expect("entered").expect("bound")
}

#[test]
fn it_succeeds_in_a_redirected_pod_as_nobody_without_capabilities() {
    for ruleset in ["osm-v0", "osm-v1"] {
        let node = Node::new("test", "web");
        let mut settings = document();
        settings["ruleset"] = json!(ruleset);
        node.add(&settings, &json!({}));
        let run = node.validate(&[]);
        assert!(run.ok().starts_with("captured: "), "{ruleset} {run:?}");
        assert!(run.ok().contains("inbound side can't be seen"), "{run:?}");
    }
}

#[test]
fn without_rules_it_fails_with_95_in_time() {
    let node = Node::new("test", "web");
    let refused = node.validate(&[]);
    assert!(refused.failed(95).contains("not captured: a connection to 192.0.2.1:80 was refused"));
    assert!(refused.stderr.contains("no rule in this pod"), "{refused:?}");
    // Nobody answers.
    node.world.exec(&["ip", "route", "del", "local", "default", "dev", "lo"]);
    let start = Instant::now();
    let silent = node.validate(&["--timeout", "500ms"]);
    assert!(silent.failed(95).contains("no answer to a connection to 192.0.2.1:80 within 500ms"));
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert_eq!(silent.stderr.lines().count(), 1, "one sentence: {silent:?}");
}

#[test]
fn with_an_outbound_rule_removed_it_fails_with_95() {
    let node = Node::new("test", "web");
    node.add(&document(), &json!({}));
    for chain in ["PROXY_REDIRECT", "PROXY_OUTPUT", "OUTPUT"] {
        node.pod.exec(&["nft", "flush", "chain", "ip", "osm", chain]);
        let run = node.validate(&["--timeout", "2s"]);
        assert!(
            run.failed(95).contains("no rule in this pod that sends it to port 15001"),
            "{run:?}"
        );
    }
}

#[test]
fn with_the_port_taken_it_fails_with_95() {
    let node = Node::new("test", "web");
    node.add(&document(), &json!({}));
    let _proxy = listen(&node.pod, 15001);
    let run = node.validate(&[]);
    assert!(run.failed(95).contains("port 15001 is taken"), "{run:?}");
}

#[test]
fn an_answer_of_another_is_no_proof() {
    let node = Node::new("test", "web");
    let world = listen(&node.world, 80);
    std::thread::spawn(move || {
        for stream in world.incoming() {
            let _ = stream.expect("a stream").write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let run = node.validate(&[]);
    assert!(run.failed(95).contains("something else answered at 192.0.2.1:80"), "{run:?}");
}

#[test]
fn an_excluded_target_is_not_captured_and_another_is() {
    let node = Node::new("test", "web");
    node.add(&json!({"traffic": {"outboundIPRangeInclusionList": ["10.0.0.0/8"]}}), &json!({}));
    node.validate(&["--timeout", "2s"]).failed(95);
    node.validate(&["--target", "10.1.2.3:80"]).ok();
    let mut settings = document();
    settings["proxy"] = json!({"outboundPort": 12345});
    node.add(&settings, &json!({}));
    node.validate(&["--listen", "12345"]).ok();
}

#[test]
fn without_a_route_it_says_that_a_route_is_missing() {
    let node = Node::new("test", "web");
    node.add(&document(), &json!({}));
    node.pod.exec(&["ip", "route", "del", "default"]);
    let run = node.validate(&[]);
    assert!(run.failed(95).contains("192.0.2.1:80 can't be reached at all"), "{run:?}");
}

#[test]
fn a_target_inside_the_pod_proves_nothing_and_is_refused() {
    for options in ["--target 127.0.0.1:80", "--target 0.0.0.0:80", "--listen 0", "--timeout 2h"] {
        osm_cni_line(&format!("validate {options}")).failed(2);
    }
}
