//! Splicing our entry into any configuration list, and out again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use osm_cni::node::conflist::{Kind, Network};
use serde_json::json;

fuzz_target!(|text: &str| {
    let entry =
        json!({"type": "osm-cni", "capabilities": {"io.kubernetes.cri.pod-annotations": true}});
    let entry = entry.as_object().expect("an object");
    for kind in [Kind::List, Kind::Single] {
        let Ok(network) = Network::parse(kind, text) else { continue };
        let with = network.with_entry(entry);
        let read = Network::parse(Kind::List, &with).expect("what we write can be read");
        assert_eq!(read.holds(entry), !network.is_ours_alone());
        assert_eq!(read.name(), network.name());
        assert_eq!(read.with_entry(entry), with);
    }
});
