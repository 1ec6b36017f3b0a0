//! The settings file of `install`, in each of its three forms.
#![no_main]

use libfuzzer_sys::fuzz_target;
use osm_cni::config::Entry;

fuzz_target!(|text: &str| {
    let Ok(entry) = Entry::from_config_text(text) else { return };
    let _ = entry.settings().check().map_err(|error| error.to_string());
    assert_eq!(entry.digest().len(), 12);
    assert_eq!(entry.to_plugin_json()["type"], "osm-cni");
});
