//! Configuration lists: what other agents write into the node's directory, in
//! whatever state, and what our splicing makes of it.

use osm_cni::node::conflist::{Kind, Network};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{cases, damage, damaged, json};

const SAMPLES: [&str; 5] = [
    include_str!("../../conf/10-bridge-osm.conflist"),
    include_str!("../node/primaries/kindnet/10-kindnet.conflist"),
    include_str!("../node/primaries/calico/10-calico.conflist"),
    include_str!("../node/primaries/newest/10-ptp.conflist"),
    include_str!("../node/primaries/single/10-bridge.conf"),
];

fn entry() -> Map<String, Value> {
    let entry =
        json!({"type": "osm-cni", "capabilities": {"io.kubernetes.cri.pod-annotations": true}});
    entry.as_object().cloned().expect("an object")
}

/// The laws of splicing, for any text that is a network at all.
fn splice(kind: Kind, text: &str) -> Result<(), TestCaseError> {
    let network = match Network::parse(kind, text) {
        Ok(network) => network,
        Err(broken) => {
            prop_assert!(!broken.to_string().is_empty());
            return Ok(());
        }
    };
    let _ = (network.name(), network.is_supported(), network.is_multus());
    let with = network.with_entry(&entry());
    let read = Network::parse(Kind::List, &with);
    let Ok(read) = read else { return Err(TestCaseError::fail(format!("unreadable: {with}"))) };
    // ours is never alone in a list
    prop_assert_eq!(read.holds(&entry()), !network.is_ours_alone());
    prop_assert_eq!(read.name(), network.name());
    // Twice is once.
    prop_assert_eq!(read.with_entry(&entry()), with);
    Ok(())
}

proptest! {
    #![proptest_config(cases(500))]

    #[test]
    fn damaged_lists_are_refused_or_spliced(
        sample in proptest::sample::select(&SAMPLES[..]),
        damage in damage(),
    ) {
        let bytes = damaged(sample, &damage);
        let text = String::from_utf8_lossy(&bytes);
        splice(Kind::List, &text)?;
        splice(Kind::Single, &text)?;
    }

    #[test]
    fn any_plugins_keep_their_fields(plugins in proptest::collection::vec(json(), 0..5)) {
        let plugins: Vec<Value> = plugins
            .into_iter()
            .map(|plugin| match plugin {
                Value::Object(mut fields) => {
                    fields.entry("type").or_insert_with(|| json!("x"));
                    Value::Object(fields)
                }
                other => json!({"type": "y", "z": other}),
            })
            .collect();
        let list = json!({"cniVersion": "1.0.0", "name": "n", "plugins": plugins});
        splice(Kind::List, &list.to_string())?;
        if let Ok(network) = Network::parse(Kind::List, &list.to_string())
            && !network.has_ours()
        {
            let with: Value = serde_json::from_str(&network.with_entry(&entry())).expect("JSON");
            let kept = &with["plugins"].as_array().expect("a list")[..plugins.len()];
            prop_assert_eq!(kept, &plugins[..]);
        }
    }
}
