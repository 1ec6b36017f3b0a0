//! A pod's annotations: a JSON object, or one text for every list.
#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use osm_cni::config::Ipv6Mode;
use osm_cni::pod::{ANNOTATIONS, Annotations, PodUid};
use serde_json::json;
use serde_json::value::RawValue;

const PREFIX: &str = "openservicemesh.io";

fn read(text: &str) {
    let Ok(all) = serde_json::from_str::<BTreeMap<String, &RawValue>>(text) else { return };
    let annotations = Annotations::passed(all);
    let _ = annotations.list_keys(PREFIX);
    for error in
        [annotations.injection(PREFIX).err(), annotations.lists(PREFIX, Ipv6Mode::Bypass).err()]
    {
        let message = error.map(|error| error.to_string()).unwrap_or_default();
        assert!(
            message.chars().count() < 400 && !message.contains(osm_cni::sanitize::is_unprintable)
        );
    }
}

fuzz_target!(|text: &str| {
    read(text);
    for name in ANNOTATIONS {
        read(&json!({ format!("{PREFIX}/{name}"): text }).to_string());
    }
    if let Some(uid) = PodUid::new(text) {
        assert!(!uid.as_str().contains(['/', '.', '\0']));
    }
});
