//! CHECK's comparison finds each damage and names it.

use osm_cni::nft::compare::check;
use osm_cni::nft::{NftSocket, encode};
use osm_cni::ruleset::{Family, Owner, Ruleset};

use super::samples;
use crate::support::netns::TestNetns;

struct InstalledRules {
    netns: TestNetns,
    nft: NftSocket,
    ruleset: Ruleset,
}

impl InstalledRules {
    fn new() -> Self {
        let netns = TestNetns::new();
        let mut nft = netns.nft();
        let ruleset = samples::everything();
        nft.commit(&encode::replace(&ruleset, &[])).expect("committed");
        InstalledRules { netns, nft, ruleset }
    }

    fn heal(&mut self) {
        self.nft.commit(&encode::replace(&self.ruleset, &[])).expect("committed");
        assert_eq!(self.difference(), None);
    }

    fn difference(&mut self) -> Option<String> {
        let installed = self.nft.installed().expect("read back");
        check(&self.ruleset, &installed, |_| false).err().map(|difference| difference.to_string())
    }

    fn handle(&mut self, family: Family, chain: &str, number: usize) -> u64 {
        let installed = self.nft.installed().expect("read back");
        let table = installed.table(family).expect("there");
        table.chain(chain).expect("there").rules[number - 1].handle
    }
}

#[test]
fn each_damage_is_named() {
    let mut pod = InstalledRules::new();
    let rule = |pod: &mut InstalledRules, family: Family, chain: &str, number| {
        let handle = pod.handle(family, chain, number);
        format!("rule {} osm {chain} handle {handle}", family.as_str())
    };
    let third = rule(&mut pod, Family::Ip, "OUTBOUND", 3);
    assert_damage(
        &mut pod,
        &format!("delete {third}"),
        "table ip osm: rule 3 of chain OUTBOUND (meta skuid @uids return) is gone",
    );
    let last = rule(&mut pod, Family::Ip6, "INBOUND", 8);
    assert_damage(
        &mut pod,
        &format!("delete {last}"),
        "table ip6 osm: rule 8 of chain INBOUND (meta l4proto tcp jump IN_REDIRECT) is gone",
    );
    let third = rule(&mut pod, Family::Ip, "OUTBOUND", 3);
    assert_damage(
        &mut pod,
        &format!("replace {third} meta skuid 7 counter return"),
        "table ip osm: rule 3 of chain OUTBOUND (meta skuid @uids return) was changed to meta skuid 7 return",
    );
    let first = rule(&mut pod, Family::Ip, "INBOUND", 1);
    assert_damage(
        &mut pod,
        &format!("delete {first}\nadd rule ip osm INBOUND tcp dport 15010 counter return"),
        "table ip osm: rule 1 of chain INBOUND (tcp dport 15010 return) was moved",
    );
    let cases = [
        ("delete table ip osm", "table ip osm is gone"),
        ("delete table ip6 osm", "table ip6 osm is gone"),
        (
            "insert rule ip osm OUTPUT counter accept",
            "table ip osm: rule 1 of chain OUTPUT (accept) was added",
        ),
        (
            "add rule ip osm OUTPUT tcp dport 80 counter accept",
            "table ip osm: rule 3 of chain OUTPUT (tcp dport 80 accept) was added",
        ),
        (
            "insert rule ip osm OUTPUT tcp sport 80 limit rate 1/second accept",
            "table ip osm: rule 1 of chain OUTPUT ([meta cmp payload cmp limit immediate]) was added",
        ),
        (
            "insert rule ip osm OUTPUT meta skuid 7 accept",
            "table ip osm: rule 1 of chain OUTPUT ([meta cmp immediate]) was added",
        ),
        ("add chain ip osm OTHER", "table ip osm: chain OTHER was added"),
        (
            "flush chain ip osm OUT_REDIRECT",
            "table ip osm: rule 1 of chain OUT_REDIRECT (meta l4proto tcp redirect to :15001) is gone",
        ),
        ("delete chain ip osm RESET", "table ip osm: chain RESET is gone"),
        (
            "delete chain ip osm RESET\nadd chain ip osm RESET { type filter hook output priority 5; }",
            "table ip osm: chain RESET has type filter hook output priority 5 instead of type filter hook output priority filter",
        ),
        (
            "delete chain ip osm RESET\nadd chain ip osm RESET { type filter hook input priority 0; }",
            "table ip osm: chain RESET has type filter hook 1 priority 0 policy accept instead of type filter hook output priority filter",
        ),
        (
            "delete chain ip osm RESET\nadd chain ip osm RESET",
            "table ip osm: chain RESET has no hook instead of type filter hook output priority filter",
        ),
        (
            "add chain ip osm OUTPUT { policy drop; }",
            "table ip osm: chain OUTPUT has type nat hook 3 priority -100 policy drop instead of type nat hook output priority -100",
        ),
        ("delete element ip osm ports { 443 }", "table ip osm: 443 is gone from set ports"),
        ("add element ip osm ports { 444 }", "table ip osm: 444 was added to set ports"),
        ("delete element ip osm uids { 1337 }", "table ip osm: 1337 is gone from set uids"),
        (
            "delete element ip6 osm addresses { 2001:db8:5:: }",
            "table ip6 osm: 2001:db8:5:: is gone from set addresses",
        ),
        (
            "add element ip osm addresses { 9.9.9.9 }",
            "table ip osm: 9.9.9.9 was added to set addresses",
        ),
        ("delete set ip osm empty", "table ip osm: set empty is gone"),
        ("add set ip osm more { type uid; }", "table ip osm: set more was added"),
        (
            "delete set ip osm empty\nadd set ip osm empty { type uid; }",
            "table ip osm: set empty has another type",
        ),
        ("add map ip osm more { type uid : verdict; }", "table ip osm has a foreign set more"),
        ("add table ip osm { flags dormant; }", "table ip osm has a foreign flag dormant"),
    ];
    for (damage, name) in cases {
        assert_damage(&mut pod, damage, name);
    }
}

fn assert_damage(pod: &mut InstalledRules, damage: &str, name: &str) {
    if damage.contains("delete chain ip osm RESET") {
        pod.netns.nft_load("flush chain ip osm RESET");
    }
    pod.netns.nft_load(damage);
    assert_eq!(pod.difference().as_deref(), Some(name), "{damage}");
    pod.heal();
}

#[test]
fn the_table_of_another_attachment_is_not_this_ones() {
    let mut pod = InstalledRules::new();
    let installed = pod.nft.installed().expect("read back");
    pod.ruleset.tables[0].owner = Some(Owner::new("another", "eth0"));
    let difference = check(&pod.ruleset, &installed, |_| false).expect_err("found").to_string();
    let words = "table ip osm belongs to container 0ec2af51a4b1 interface eth0, not to container another interface eth0";
    assert_eq!(difference, words);
    let uncommented = pod.netns.nft_list().replace("\tcomment \"osm-cni", "\tcomment \"by hand");
    pod.netns.nft_load(&format!("flush ruleset\n{uncommented}"));
    let difference = pod.difference().expect("found");
    assert!(difference.starts_with("table ip osm was not made by osm-cni"), "{difference}");
}

#[test]
fn a_table_too_many_is_a_difference() {
    let mut pod = InstalledRules::new();
    pod.ruleset.tables.truncate(1);
    assert_eq!(pod.difference().as_deref(), Some("table ip6 osm should not be there"));
}

/// The layout of the first release, as nft lists it.
#[test]
fn an_older_layout_needs_its_base_chains_to_lead_to_the_redirects_only() {
    let netns = TestNetns::new();
    let load = |layout: u32, out: u16, hook: &str, first: &str| {
        netns.nft_load(&format!(
            r#"flush ruleset
            table ip osm {{
                comment "osm-cni layout {layout} container 0ec2af51a4b1 interface eth0"
                chain d {{ meta l4proto tcp counter redirect to :{out}; }}
                chain c {{ meta l4proto tcp counter redirect to :15003; }}
                chain a {{ type nat hook prerouting priority -100; meta l4proto tcp counter jump c; }}
                chain b {{ type nat hook {hook} priority -99; {first}; counter jump d; }}
            }}"#
        ));
        netns.nft().installed().expect("read back")
    };
    let mut table = samples::table(Family::Ip);
    table.chains.truncate(6);
    let expected = Ruleset { tables: vec![table] };
    let check = |found| check(&expected, &found, |_| false).map_err(|found| found.to_string());
    let first = "tcp dport 80 counter return";
    assert_eq!(check(load(1, 15001, "output", first)), Ok(()));
    let gone = "table ip osm: no chain at hook output leads to redirect to :15001";
    assert_eq!(check(load(1, 15009, "output", first)), Err(gone.to_owned()));
    assert_eq!(check(load(1, 15001, "prerouting", first)), Err(gone.to_owned()));
    assert_eq!(
        check(load(1, 15001, "output", "meta l4proto tcp counter accept")),
        Err(gone.to_owned())
    );
    let found = load(1, 15001, "output", "goto c");
    assert_eq!(check(found), Err("table ip osm has a foreign rule [immediate]".to_owned()));
    load(1, 15001, "output", first);
    netns.nft_load("add table ip osm { flags dormant; }");
    let dormant = netns.nft().installed().expect("read back");
    assert_eq!(check(dormant), Err("table ip osm has a foreign flag dormant".to_owned()));
    let unknown = "table ip osm has layout 7 instead of 2";
    assert_eq!(check(load(7, 15001, "output", first)), Err(unknown.to_owned()));
}
