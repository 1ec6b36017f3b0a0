//! The newest nft beside the oldest that we name: both list what we set, both
//! take what they listed, and what either has loaded is still what we set.

use serde_json::{Value, json};

use osm_cni::nft::encode;

use super::samples;
use crate::support::netns::TestNetns;
use crate::support::newest;
use crate::support::plugin::{Call, annotated, conf};

/// Every kind of configuration, with a name.
pub(crate) fn configurations() -> Vec<(String, Value)> {
    let mut all = Vec::new();
    for ruleset in ["osm-v0", "osm-v1"] {
        for ipv6 in ["bypass", "redirect", "reject"] {
            all.push((format!("{ruleset}, {ipv6}"), with_lists(ruleset, ipv6, false)));
        }
        all.push((format!("{ruleset}, long lists"), with_lists(ruleset, "redirect", true)));
    }
    let mut minimal = conf("1.0.0");
    minimal["traffic"] = json!({});
    all.push(("minimal".to_owned(), enabled(minimal, json!({}))));
    all
}

fn enabled(conf: Value, mut lists: Value) -> Value {
    lists["openservicemesh.io/sidecar-injection"] = json!("enabled");
    annotated(conf, lists)
}

/// Everything that settings and annotations can say.
fn with_lists(ruleset: &str, ipv6: &str, long: bool) -> Value {
    let mut conf = conf("1.0.0");
    let count = if long { 3000 } else { 3 };
    let ports: Vec<Value> = (0..count / 3).map(|n| json!(20_000 + 7 * n)).collect();
    let ranges: Vec<String> = (0..count)
        .flat_map(|n| [format!("10.{}.{}.0/24", n / 128, n % 128 * 2), format!("fd00:{n:x}::/32")])
        .collect();
    let uids: Vec<String> = (0..count).map(|n| (3 * n).to_string()).collect();
    conf["ruleset"] = json!(ruleset);
    conf["ipv6"] = json!(ipv6);
    conf["sidecar"] = json!({"localProxyMode": "PodIP"});
    conf["traffic"] = json!({
        "outboundIPRangeExclusionList": ["1.1.1.1/32", "2.2.2.2/24", "2001:db8:1::/48"],
        "outboundIPRangeInclusionList": ["192.0.2.0/24", "198.51.100.7", "2001:db8::/32"],
        "outboundPortExclusionList": ports,
        "inboundPortExclusionList": ["8000-8010", 9000],
        "networkInterfaceExclusionList": ["net1", "veth+"],
    });
    let lists = json!({
        "openservicemesh.io/outbound-port-exclusion-list": "6379, 7070-7099",
        "openservicemesh.io/inbound-port-exclusion-list": "22",
        "openservicemesh.io/outbound-ip-range-exclusion-list": ranges.join(","),
        "openservicemesh.io/outbound-uid-exclusion-list": uids.join(","),
    });
    enabled(conf, lists)
}

/// What they say in different words: 1.0.6 has no name for a destination nat's
/// priority where packets go out, and does not count a set's elements.
fn in_the_same_words(listing: &str) -> String {
    let listing = listing.replace("priority dstnat;", "priority -100;");
    let lines = listing.lines().map(|line| line.split("\t# count ").next().unwrap_or(line));
    lines.map(|line| format!("{line}\n")).collect()
}

fn rules_in(listing: &Value) -> usize {
    let all = listing["nftables"].as_array().expect("a list");
    all.iter().filter(|item| item["rule"].is_object()).count()
}

/// What both say of the rules in a namespace; `again` is a fresh one.
fn both_agree(name: &str, netns: &TestNetns, again: &TestNetns) {
    let nft = newest::program("nft");
    let listed = netns.exec(&[&nft, "list", "ruleset"]);
    assert!(listed.contains("table ip osm"), "{name}: {listed}");
    assert_eq!(in_the_same_words(&listed), in_the_same_words(&netns.nft_list()), "{name}");

    again.nft_load_by(&nft, &listed);
    assert_eq!(again.exec(&[&nft, "list", "ruleset"]), listed, "{name}: loaded again");

    let json = netns.exec(&[&nft, "-j", "list", "ruleset"]);
    let json: Value = serde_json::from_str(&json).expect("nft -j prints JSON");
    let older = netns.exec(&["nft", "-j", "list", "ruleset"]);
    let older: Value = serde_json::from_str(&older).expect("nft -j prints JSON");
    assert!(rules_in(&json) > 0, "{name}: {json}");
    assert_eq!(rules_in(&json), rules_in(&older), "{name}");
}

#[test]
fn the_newest_nft_lists_and_loads_what_the_plugin_set() {
    let nft = newest::program("nft");
    for (name, conf) in configurations() {
        let netns = TestNetns::new();
        let call = |verb| Call::new(verb, &conf).netns(&netns.path()).run().ok().to_owned();
        call("ADD");
        both_agree(&name, &netns, &TestNetns::new());
        // reloaded by either, it is still what we set
        for nft in ["nft", &nft] {
            let listed = netns.exec(&[nft, "list", "ruleset"]);
            netns.nft_load_by(nft, &format!("flush ruleset\n{listed}"));
            call("CHECK");
        }
        call("DEL");
        assert_eq!(netns.exec(&[&nft, "list", "ruleset"]), "", "{name}: after DEL");
    }
}

#[test]
fn the_newest_nft_lists_every_kind_of_match_verdict_and_set() {
    let netns = TestNetns::new();
    let ruleset = samples::everything();
    netns.nft().commit(&encode::replace(&ruleset, &[])).expect("committed");
    both_agree("everything", &netns, &TestNetns::new());
}
