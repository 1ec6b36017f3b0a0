//! What goes in comes back, replaces what was there, and leaves the rest alone.

use nix::errno::Errno;
use osm_cni::nft::{NftError, TableOwner, encode};
use osm_cni::ruleset::{Family, Owner, Ruleset, text};

use super::{samples, sizes};
use crate::support::netns::TestNetns;

/// Tables of others, some by our name in other families.
const FOREIGN: &str = r#"
    table ip filter {
        set ports { type inet_service; elements = { 22 } }
        chain OUTPUT { type filter hook output priority 0; tcp dport @ports counter accept; }
    }
    table ip osm2 { comment "osm-cni layout 1 container x interface eth0"; }
    table inet osm { chain OUTPUT { meta skuid 7 counter return; }; }
    table ip6 nat { chain OUTPUT { type nat hook output priority -100; counter accept; }; }
"#;

#[test]
fn what_the_kernel_lists_is_what_was_sent() {
    let netns = TestNetns::new();
    let mut nft = netns.nft();
    let ruleset = samples::everything();
    nft.commit(&encode::replace(&ruleset, &[])).expect("committed");
    let installed = nft.installed().expect("read back");
    for rule in installed.tables.iter().flat_map(|table| &table.chains).flat_map(|c| &c.rules) {
        assert!(rule.known().is_some(), "{rule:?}");
    }
    assert_eq!(installed.ruleset(), Some(ruleset));
}

#[test]
fn the_printed_text_is_what_nft_lists() {
    // 64 elements are a small set's, 65 have a size
    let lists = |count| Ruleset { tables: vec![sizes::lists(Family::Ip, count)] };
    for ruleset in [samples::everything(), lists(64), lists(65), lists(1000)] {
        let netns = TestNetns::new();
        netns.nft().commit(&encode::replace(&ruleset, &[])).expect("committed");
        let mut printed = Vec::new();
        text::nft(&ruleset, &mut printed).expect("written");
        // what is only printed has no numbers
        let listed = netns.nft_list().replace(" packets 0 bytes 0", "");
        // whitespace aside: how many elements are in a line is up to nft
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(words(&String::from_utf8_lossy(&printed)), words(&listed));
    }
}

#[test]
fn nft_can_load_what_it_lists() {
    let netns = TestNetns::new();
    let mut nft = netns.nft();
    let ruleset = samples::everything();
    nft.commit(&encode::replace(&ruleset, &[])).expect("committed");
    let listed = netns.nft_list();
    netns.nft_load(&format!("flush ruleset\n{listed}"));
    assert_eq!(netns.nft_list(), listed);
    assert_eq!(nft.installed().expect("read back").ruleset(), Some(ruleset));
}

#[test]
fn twice_leaves_what_once_leaves() {
    let netns = TestNetns::new();
    let mut nft = netns.nft();
    let ruleset = samples::everything();
    nft.commit(&encode::replace(&ruleset, &[])).expect("committed");
    let once = netns.nft_list();
    nft.commit(&encode::replace(&ruleset, &[])).expect("committed again");
    assert_eq!(netns.nft_list(), once);
    assert_eq!(nft.installed().expect("read back").ruleset(), Some(ruleset));
}

/// The kernel looks at the generation before it does anything: what it refuses
/// for it needs no undoing.
#[test]
fn a_namespace_that_was_touched_is_not_taken_for_an_untouched_one() {
    let ruleset = samples::everything();
    let untouched = encode::create(&ruleset, Some(encode::UNTOUCHED));
    let netns = TestNetns::new();
    let mut nft = netns.nft();
    assert_eq!(nft.generation().expect("asked"), encode::UNTOUCHED);
    nft.commit(&untouched).expect("no transaction before this one");
    assert_eq!(nft.installed().expect("read back").ruleset(), Some(ruleset.clone()));

    for earlier in ["table ip other", "table ip other\ndelete table ip other"] {
        let netns = TestNetns::new();
        netns.nft_load(earlier);
        let before = netns.nft_list();
        let mut nft = netns.nft();
        let generation = nft.generation().expect("asked");
        assert_ne!(generation, encode::UNTOUCHED);
        match nft.commit(&untouched) {
            Err(NftError::Refused(refusal)) => assert_eq!(refusal.errno, Errno::ERESTART),
            other => panic!("{earlier}: {other:?}"),
        }
        assert_eq!(netns.nft_list(), before);
        assert_eq!(nft.generation().expect("asked"), generation);
        nft.commit(&encode::create(&ruleset, Some(generation))).expect("that is the one");
    }
}

#[test]
fn an_older_layout_is_replaced() {
    let netns = TestNetns::new();
    netns.nft_load(
        r#"table ip osm {
            comment "osm-cni layout 0 container 0ec2af51a4b1 interface eth0"
            map ports { type inet_service : verdict; elements = { 80 : accept } }
            chain OLD { tcp dport vmap @ports; }
            chain PREROUTING { type nat hook prerouting priority -100; jump OLD; }
            chain OUTPUT { type filter hook output priority 0; policy drop; jump OLD; }
        }"#,
    );
    let mut nft = netns.nft();
    let ruleset = samples::everything();
    nft.commit(&encode::replace(&ruleset, &[])).expect("committed");
    assert_eq!(nft.installed().expect("read back").ruleset(), Some(ruleset));
}

#[test]
fn a_table_of_a_family_that_is_no_longer_asked_for_goes() {
    let netns = TestNetns::new();
    let mut nft = netns.nft();
    let both = samples::everything();
    nft.commit(&encode::replace(&both, &[])).expect("committed");
    let one = Ruleset { tables: vec![samples::table(Family::Ip)] };
    nft.commit(&encode::replace(&one, &[Family::Ip, Family::Ip6])).expect("committed");
    assert_eq!(nft.installed().expect("read back").ruleset(), Some(one.clone()));
    // and where it never was, nothing is wrong
    nft.commit(&encode::replace(&one, &[Family::Ip6])).expect("committed");
    assert_eq!(nft.installed().expect("read back").ruleset(), Some(one));
}

#[test]
fn tables_of_others_survive() {
    let netns = TestNetns::new();
    netns.nft_load(FOREIGN);
    let before = netns.nft_list();
    let mut nft = netns.nft();
    let ruleset = samples::everything();
    nft.commit(&encode::replace(&ruleset, &[])).expect("committed");
    assert_eq!(nft.installed().expect("read back").ruleset(), Some(ruleset));
    nft.commit(&encode::delete(&[Family::Ip, Family::Ip6])).expect("deleted");
    assert_eq!(netns.nft_list(), before);
}

#[test]
fn a_deletion_leaves_nothing_and_needs_nothing() {
    let netns = TestNetns::new();
    let mut nft = netns.nft();
    let both = [Family::Ip, Family::Ip6];
    nft.commit(&encode::delete(&both)).expect("nothing to delete is no error");
    nft.commit(&encode::replace(&samples::everything(), &[])).expect("committed");
    nft.commit(&encode::delete(&both)).expect("deleted");
    assert_eq!(netns.nft_list(), "");
    assert_eq!(nft.installed().expect("read back").tables, []);
    nft.commit(&encode::delete(&[])).expect("an empty transaction is none");
}

#[test]
fn a_table_says_whose_it_is() {
    let netns = TestNetns::new();
    let mut nft = netns.nft();
    assert_eq!(nft.owner(Family::Ip).expect("asked"), TableOwner::NoTable);
    netns.nft_load("table ip osm { comment \"mine\"; }\ntable ip6 osm { }");
    assert_eq!(nft.owner(Family::Ip).expect("asked"), TableOwner::Foreign);
    assert_eq!(nft.owner(Family::Ip6).expect("asked"), TableOwner::Foreign);
    let mut ruleset = samples::everything();
    ruleset.tables[1].owner = None;
    nft.commit(&encode::replace(&ruleset, &[])).expect("committed");
    assert_eq!(nft.owner(Family::Ip).expect("asked"), TableOwner::Ours(samples::owner()));
    assert_eq!(nft.owner(Family::Ip6).expect("asked"), TableOwner::Foreign);
    // the longest container id and interface still fit the comment
    let longest = Owner::new(&"f".repeat(200), "fifteen-bytes--");
    ruleset.tables[0].owner = Some(longest.clone());
    nft.commit(&encode::replace(&ruleset, &[])).expect("committed");
    assert_eq!(nft.owner(Family::Ip).expect("asked"), TableOwner::Ours(longest));
}

#[test]
fn the_generation_counts_transactions() {
    let netns = TestNetns::new();
    let mut nft = netns.nft();
    let before = nft.generation().expect("asked");
    nft.commit(&encode::replace(&samples::everything(), &[])).expect("committed");
    assert!(nft.generation().expect("asked") > before);
}

#[test]
fn counters_come_back_and_are_no_difference() {
    let netns = TestNetns::new();
    let mut nft = netns.nft();
    let ruleset = samples::everything();
    nft.commit(&encode::replace(&ruleset, &[])).expect("committed");
    // no listener is needed: only the packets that were sent count
    netns.exec(&["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/9 || true"]);
    let installed = nft.installed().expect("read back");
    let output = installed.table(Family::Ip).and_then(|table| table.chain("OUTPUT"));
    let packets: Vec<u64> = output.expect("there").rules.iter().map(|rule| rule.packets).collect();
    assert_eq!(packets, [0, 1]);
    assert_eq!(osm_cni::nft::compare::check(&ruleset, &installed, |_| false), Ok(()));
}
