//! `localProxyMode: PodIP` at CHECK: the rule of a family whose address came later is
//! no difference, one that was removed is.

use serde_json::{Value, json};

use crate::support::netns::TestNetns;
use crate::support::plugin::{Call, conf, enabled};

/// A dual-stack pod's configuration, with these addresses in the result.
fn with(addresses: &[&str]) -> Value {
    let mut conf = enabled(conf("1.0.0"));
    conf["sidecar"] = json!({"localProxyMode": "PodIP"});
    conf["ipv6"] = json!("redirect");
    let ips: Vec<Value> =
        addresses.iter().map(|it| json!({"address": it, "interface": 2})).collect();
    conf["prevResult"]["ips"] = json!(ips);
    conf
}

const IPV4: &str = "10.88.0.6/16";
const IPV6: &str = "fd00::6/64";

#[test]
fn a_family_whose_address_came_later_may_lack_its_rule() {
    for (at_add, later) in [(IPV4, IPV6), (IPV6, IPV4)] {
        let netns = TestNetns::new();
        let call = |verb, conf: &Value| Call::new(verb, conf).netns(&netns.path()).run();
        for _ in 0..2 {
            call("ADD", &with(&[at_add])).ok();
            for result in [&[at_add][..], &[at_add, later], &[later, at_add]] {
                call("CHECK", &with(result)).ok();
            }
        }
        netns.nft_load("insert rule ip osm OUTPUT counter accept");
        call("CHECK", &with(&[at_add, later])).error(103);
    }
}

#[test]
fn a_rule_that_was_removed_is_missed_in_either_family() {
    for (family, rule) in [("ip", "dnat to 10.88.0.6"), ("ip6", "dnat to fd00::6")] {
        let netns = TestNetns::new();
        let both = with(&[IPV4, IPV6]);
        let call = |verb| Call::new(verb, &both).netns(&netns.path()).run();
        call("ADD").ok();
        call("CHECK").ok();
        let listed = netns.exec(&["nft", "-a", "list", "chain", family, "osm", "OUTPUT"]);
        let line = listed.lines().find(|line| line.contains(rule)).expect("the rule is there");
        let handle = line.rsplit(' ').next().expect("a handle");
        netns.nft_load(&format!("delete rule {family} osm OUTPUT handle {handle}"));
        let difference = call("CHECK").error(103);
        assert!(difference.ends_with(&format!("{rule}) is gone")), "{difference}");
    }
}

/// The rules of the chain are made anew, without this one.
#[test]
fn a_chain_that_was_made_anew_without_the_rule_is_found() {
    let netns = TestNetns::new();
    let both = with(&[IPV4, IPV6]);
    let call = |verb| Call::new(verb, &both).netns(&netns.path()).run();
    call("ADD").ok();
    let listed = netns.exec(&["nft", "list", "chain", "ip6", "osm", "OUTPUT"]);
    let mut script = "flush chain ip6 osm OUTPUT\n".to_owned();
    for rule in listed.lines().filter(|line| line.contains("counter") && !line.contains("dnat")) {
        script.push_str(&format!("add rule ip6 osm OUTPUT {}\n", rule.trim()));
    }
    assert_eq!(script.lines().count(), 2, "{script}");
    netns.nft_load(&script);
    let difference = call("CHECK").error(103);
    assert!(difference.ends_with("dnat to fd00::6) is gone"), "{difference}");
}
