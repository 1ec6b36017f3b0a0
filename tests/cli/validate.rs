//! `validate` proves that outbound traffic is captured, as nobody and without
//! capabilities, and says in one sentence why it is not.

use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use osm_cni::netns::Netns;
use serde_json::json;

use super::node::{Node, document};
use super::osm_cni_line;
use crate::support::netns::TestNetns;

fn listen(netns: &TestNetns, address: Ipv4Addr, port: u16) -> TcpListener {
    let netns = Netns::open(&netns.path()).expect("a network namespace");
    let listener = netns.run(|| TcpListener::bind((address, port)));
    listener.expect("entered").expect("bound")
}

#[test]
fn it_succeeds_in_a_redirected_pod_as_nobody_without_capabilities() {
    for ruleset in ["osm-v0", "osm-v1", "fsm"] {
        let node = Node::new("test", "web");
        let mut settings = document();
        settings["ruleset"] = json!(ruleset);
        node.add(&settings, &json!({}));
        let run = node.validate(&[]);
        assert!(run.ok().starts_with("captured: a connection to 127.0.2.1:15099"), "{run:?}");
        assert!(run.ok().contains("inbound side can't be seen"), "{run:?}");
    }
}

#[test]
fn no_list_and_no_route_spares_the_default_target() {
    let node = Node::new("test", "web");
    let lists = json!({"traffic": {
        "outboundIPRangeExclusionList": ["0.0.0.0/0", "127.0.0.0/8"],
        "outboundPortExclusionList": ["1-65535"],
        "outboundUIDExclusionList": [65534],
    }});
    node.add(&lists, &json!({}));
    node.pod.exec(&["ip", "route", "flush", "table", "main"]);
    node.validate(&[]).ok();
    node.add(&json!({"traffic": {"outboundIPRangeInclusionList": ["10.0.0.0/8"]}}), &json!({}));
    node.validate(&[]).ok();
    let mut settings = document();
    settings["proxy"] = json!({"outboundPort": 12345});
    node.add(&settings, &json!({}));
    node.validate(&["--listen", "12345"]).ok();
}

#[test]
fn without_rules_it_fails_with_95_in_time_and_says_what_was_tried_and_what_helps() {
    let node = Node::new("test", "web");
    let start = Instant::now();
    let refused = node.validate(&["--timeout", "1s"]);
    let took = start.elapsed();
    assert!((1..5).contains(&took.as_secs()), "{took:?}");
    for part in [
        "not captured within 1s: 127.0.2.1:15099 refused the connection",
        "older than osm-cni on its node",
        "no sidecar was injected",
        "osm-cni inspect NS/NAME",
    ] {
        assert!(refused.failed(95).contains(part), "{part}: {refused:?}");
    }
    // The world answers for each address, until nobody does.
    let targets = ["--target", "192.0.2.1:80", "--target", "192.0.2.2:80", "--timeout", "1s"];
    let both = node.validate(&targets);
    for part in ["192.0.2.1:80 refused the connection", "192.0.2.2:80 refused the connection"] {
        assert!(both.failed(95).contains(part), "{both:?}");
    }
    node.world.exec(&["ip", "route", "del", "local", "default", "dev", "lo"]);
    let start = Instant::now();
    let silent = node.validate(&targets);
    let took = start.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    for part in ["no answer from 192.0.2.1:80", "no answer from 192.0.2.2:80"] {
        assert!(silent.failed(95).contains(part), "{silent:?}");
    }
}

#[test]
fn with_the_way_to_the_proxy_cut_it_fails_with_95() {
    let node = Node::new("test", "web");
    node.add(&document(), &json!({}));
    // The probe rule stands in OUTPUT; all else is proven by another target.
    for (chain, target) in [("PROXY_REDIRECT", "192.0.2.1:80"), ("OUTPUT", "127.0.2.1:15099")] {
        node.pod.exec(&["nft", "flush", "chain", "ip", "osm", chain]);
        let run = node.validate(&["--timeout", "1s", "--target", target]);
        assert!(run.failed(95).contains("sent a connection to port 15001"), "{run:?}");
    }
}

#[test]
fn rules_that_come_while_it_tries_are_proven() {
    let node = Node::new("test", "web");
    let run = node.meanwhile(
        15099,
        || node.validate(&["--timeout", "60s"]),
        || node.add(&document(), &json!({})),
    );
    assert!(run.ok().starts_with("captured: "), "{run:?}");
}

#[test]
fn with_the_port_taken_it_fails_with_95() {
    let node = Node::new("test", "web");
    node.add(&document(), &json!({}));
    let _proxy = listen(&node.pod, Ipv4Addr::UNSPECIFIED, 15001);
    let run = node.validate(&["--timeout", "1s"]);
    assert!(run.failed(95).contains("port 15001 is taken"), "{run:?}");
}

#[test]
fn an_answer_of_another_is_no_proof() {
    let node = Node::new("test", "web");
    let world = listen(&node.world, Ipv4Addr::UNSPECIFIED, 80);
    std::thread::spawn(move || {
        for stream in world.incoming() {
            let _ = stream.expect("a stream").write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let run = node.validate(&["--target", "192.0.2.1:80", "--timeout", "1s"]);
    assert!(run.failed(95).contains("something else answered at 192.0.2.1:80"), "{run:?}");
}

/// Whoever owns the target connects back to the port and passes all bytes on.
#[test]
fn a_relay_at_the_target_is_no_proof() {
    let node = Node::new("test", "web");
    let world = listen(&node.world, Ipv4Addr::UNSPECIFIED, 80);
    let outside = node.world.path();
    std::thread::spawn(move || {
        let netns = Netns::open(&outside).expect("a network namespace");
        for stream in world.incoming() {
            let mut to_validator = stream.expect("a stream");
            let back = netns.run(|| TcpStream::connect(("10.88.0.6", 15001))).expect("entered");
            let Ok(mut back) = back else { continue };
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut back, &mut to_validator);
            });
        }
    });
    let run = node.validate(&["--target", "192.0.2.1:80", "--timeout", "3s"]);
    assert!(run.failed(95).contains("something else answered at 192.0.2.1:80"), "{run:?}");
}

#[test]
fn one_target_that_is_captured_is_enough() {
    let node = Node::new("test", "web");
    node.add(&json!({"traffic": {"outboundIPRangeInclusionList": ["10.0.0.0/8"]}}), &json!({}));
    node.validate(&["--timeout", "1s", "--target", "192.0.2.1:80"]).failed(95);
    let both = ["--target", "192.0.2.1:80", "--target", "10.1.2.3:80"];
    let run = node.validate(&both);
    assert!(run.ok().contains("a connection to 10.1.2.3:80"), "{run:?}");
}

#[test]
fn without_a_route_to_its_target_it_says_that_a_route_is_missing() {
    let node = Node::new("test", "web");
    node.add(&document(), &json!({}));
    node.pod.exec(&["ip", "route", "del", "default"]);
    let run = node.validate(&["--target", "192.0.2.1:80", "--timeout", "1s"]);
    assert!(run.failed(95).contains("192.0.2.1:80 cannot be reached"), "{run:?}");
}

#[test]
fn a_target_inside_the_pod_proves_nothing_and_is_refused() {
    for options in [
        "--target 127.0.0.1:80",
        "--target 127.0.2.1:80",
        "--target 0.0.0.0:80",
        "--target 10.0.0.1:0",
        "--listen 0",
        "--timeout 2h",
    ] {
        osm_cni_line(&format!("validate {options}")).failed(2);
    }
}
