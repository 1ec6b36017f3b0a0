//! iptables beside us in the same namespace, in both of its kinds, this
//! machine's and the newest, before and after our ADD: what it set stays, what
//! it sets works, and its own listing and saving do not trip over our tables.

use crate::support::netns::TestNetns;
use crate::support::newest;
use crate::support::plugin::{Call, conf, enabled};

fn kinds() -> [String; 4] {
    let (nft, legacy) = ("iptables-nft", "iptables-legacy");
    [nft.to_owned(), legacy.to_owned(), newest::program(nft), newest::program(legacy)]
}

fn call(verb: &str, netns: &TestNetns) {
    Call::new(verb, &enabled(conf("1.0.0"))).netns(&netns.path()).run().ok();
}

/// Rules of somebody else's, of every table that pods' tools use.
fn set(netns: &TestNetns, iptables: &str, port: &str) {
    for rule in [
        "-t nat -A OUTPUT -p tcp --dport PORT -j REDIRECT --to-ports 9",
        "-t nat -A PREROUTING -p tcp --dport PORT -j ACCEPT",
        "-t filter -A INPUT -p tcp --dport PORT -j ACCEPT",
        "-t mangle -A OUTPUT -p tcp --dport PORT -j MARK --set-mark 7",
    ] {
        let rule = rule.replace("PORT", port);
        let words = [iptables, "-w"].into_iter().chain(rule.split(' '));
        netns.exec(&words.collect::<Vec<_>>());
    }
}

fn saved(netns: &TestNetns, iptables: &str) -> String {
    let text = netns.exec(&[&format!("{iptables}-save")]);
    // its comments hold the time
    text.lines().filter(|line| line.starts_with("-A")).map(|line| format!("{line}\n")).collect()
}

#[test]
fn iptables_keeps_what_it_set_before_and_sets_more_after() {
    for iptables in &kinds() {
        let netns = TestNetns::new();
        set(&netns, iptables, "1001");
        let before = saved(&netns, iptables);
        assert_eq!(before.lines().count(), 4, "{iptables}: {before}");
        call("ADD", &netns);
        assert_eq!(saved(&netns, iptables), before, "{iptables}: after our ADD");
        set(&netns, iptables, "1002");
        let both = saved(&netns, iptables);
        assert_eq!(both.lines().count(), 8, "{iptables}: {both}");
        call("CHECK", &netns);
        // deleting and flushing are theirs alone
        netns.exec(&[iptables, "-w", "-t", "nat", "-F"]);
        call("CHECK", &netns);
        netns.exec(&[iptables, "-w", "-t", "nat", "-A", "OUTPUT", "-p", "tcp", "-j", "ACCEPT"]);
        let last = saved(&netns, iptables);
        call("DEL", &netns);
        assert_eq!(saved(&netns, iptables), last, "{iptables}: after our DEL");
        assert!(!netns.nft_list().contains("table ip osm "), "{iptables}: ours is gone");
    }
}

#[test]
fn iptables_lists_without_complaint_beside_us() {
    for iptables in &kinds() {
        let netns = TestNetns::new();
        call("ADD", &netns);
        for table in ["nat", "filter", "mangle"] {
            let listing = netns.exec(&[iptables, "-w", "-t", table, "-S"]);
            assert!(!listing.contains("PROXY_"), "{iptables} took ours for its own: {listing}");
        }
        call("CHECK", &netns);
    }
}
