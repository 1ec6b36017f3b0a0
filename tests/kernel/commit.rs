//! What goes in comes back.

use osm_cni::nft::encode;

use super::samples;
use crate::support::netns::TestNetns;

#[test]
fn what_the_kernel_lists_is_what_was_sent() {
    let netns = TestNetns::new();
    let mut nft = netns.nft();
    let ruleset = samples::everything();
    nft.commit(&encode::replace(&ruleset, &[])).expect("committed");
    let installed = nft.installed().expect("read back");
    println!("{}", netns.nft_list());
    for table in &installed.tables {
        for chain in &table.chains {
            for rule in &chain.rules {
                assert!(rule.known().is_some(), "{} {rule:?}", chain.name);
            }
        }
    }
    assert_eq!(installed.ruleset(), Some(ruleset));
}
