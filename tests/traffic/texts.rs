//! Texts of ranges: each means what iptables makes of it, or is refused. What
//! iptables reads otherwise than it looks must never be read as it looks.

use ipnetwork::IpNetwork;
use osm_cni::config::Ipv6Mode;
use osm_cni::config::lists::{allowed_range, parse_range};

use super::configuration::Lists;
use super::document;
use crate::support::netns::TestNetns;
use crate::support::plugin::Call;

const ADDRESSES: [&str; 13] = [
    "10.1.1.1",
    "010.1.1.1",
    "10.1.01.1",
    "10.1.1",
    "0xa.1.1.1",
    "167837953",
    "0.0.0.0",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:1.2.3.4",
    "::1.2.3.4",
    "2001:db8::1",
];

const ENDS: [&str; 19] = [
    "",
    "/",
    "/0",
    "/00",
    "/8",
    "/08",
    "/010",
    "/20",
    "/024",
    "/32",
    "/032",
    "/33",
    "/128",
    "/+8",
    "/-8",
    "/0x8",
    "/8.",
    "/255.255.0.0",
    "/255.0.255.0",
];

/// The range that a rule of iptables has after it was given this text.
fn by_iptables(backend: &str, text: &str, netns: &TestNetns) -> Option<IpNetwork> {
    let iptables = format!("iptables-{backend}");
    let rule = format!(
        "{iptables} -t nat -F OUTPUT; {iptables} -t nat -A OUTPUT -d '{text}' -j RETURN 2>&1; \
         {iptables} -t nat -S OUTPUT"
    );
    let printed = netns.run(&["sh", "-c", &rule], "");
    let rule = printed.lines().find(|line| line.starts_with("-A "))?;
    let range = rule.split_once("-d ").map_or("0.0.0.0/0", |(_, range)| {
        range.split_whitespace().next().expect("a range after -d")
    });
    // A netmask that is no prefix stays one, and is none of ours.
    Some(range.parse().unwrap_or_else(|_| "0.0.0.0/0".parse().expect("a range")))
}

#[test]
fn a_range_means_what_iptables_makes_of_it_or_is_refused() {
    let netns = TestNetns::new();
    let mut alike = 0;
    for text in ADDRESSES.iter().flat_map(|address| ENDS.map(|end| format!("{address}{end}"))) {
        let own = parse_range(&text).and_then(|range| allowed_range(range, Ipv6Mode::Bypass));
        for backend in ["legacy", "nft"] {
            let Some(iptables) = by_iptables(backend, &text, &netns) else { continue };
            if let Ok(own) = &own {
                assert_eq!(*own, iptables, "{text:?}, iptables-{backend}");
                alike += 1;
            }
        }
    }
    assert!(alike > 20, "only {alike} texts were compared");
}

#[test]
fn what_iptables_reads_otherwise_is_refused_with_the_form_to_write() {
    let netns = TestNetns::new();
    for (text, read, words) in [
        ("10.1.1.1/024", "10.1.0.0/20", "leading zero"),
        ("::ffff:1.2.3.4/32", "1.2.3.4/32", "the IPv4 form"),
        ("::/0", "0.0.0.0/0", "0.0.0.0/0"),
    ] {
        for backend in ["legacy", "nft"] {
            let iptables = by_iptables(backend, text, &netns).map(|range| range.to_string());
            assert_eq!(iptables.as_deref(), Some(read), "{text}, iptables-{backend}");
        }
        netns.nft_load("flush ruleset");
        let path = netns.path();
        let list = || Lists { outbound_ranges: vec![text.to_owned()], ..Lists::default() };
        for (mesh, pod, code) in [(list(), Lists::default(), 7), (Lists::default(), list(), 100)] {
            let conf = document::settings(mesh, pod).plugin_conf(&path.to_string_lossy());
            let answer = Call::new("ADD", &conf).netns(&path).run();
            let error = answer.error(code);
            assert!(error.contains(words) && error.contains(text), "{text}: {error}");
        }
        assert_eq!(netns.run(&["nft", "list", "ruleset"], ""), "", "{text}");
    }
}
