//! `wait` returns when the proxy listens, and with 96 if it does not.

use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use osm_cni::netns::Netns;
use serde_json::json;

use super::node::{Node, document};

fn proxy(node: &Node, port: u16) -> TcpListener {
    let netns = Netns::open(&node.pod.path()).expect("a network namespace");
    let listener = netns.run(|| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)));
    listener.expect("entered").expect("bound")
}

#[test]
fn it_returns_when_the_proxy_listens() {
    let node = Node::new("test", "web");
    node.add(&document(), &json!({}));
    let mut listener = None;
    let run = node.meanwhile(
        15001,
        || node.run_in_pod(&["wait", "--timeout", "60s"]),
        || listener = Some(proxy(&node, 15001)),
    );
    assert_eq!(run.ok(), "127.0.0.1:15001 accepts connections.\n");
    let _other = proxy(&node, 12345);
    node.run_in_pod(&["wait", "--port", "12345"]).ok();
}

#[test]
fn without_a_proxy_it_fails_with_96_in_time_and_says_what_it_saw() {
    let node = Node::new("test", "web");
    node.add(&document(), &json!({}));
    let start = Instant::now();
    let run = node.run_in_pod(&["wait", "--timeout", "500ms"]);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    let expected = "nothing listens on 127.0.0.1:15001 after 500ms";
    assert!(run.failed(96).contains(expected), "{run:?}");
    assert!(run.stderr.contains("Connection refused"), "{run:?}");
}
