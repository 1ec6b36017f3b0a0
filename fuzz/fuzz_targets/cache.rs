//! A file of libcni's cache, as `inspect` reads it; whoever creates pods writes
//! the annotations in it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use osm_cni::cli::attachment_of_cache;

fuzz_target!(|text: &str| {
    if let Some((namespace, name)) = attachment_of_cache(text) {
        let shown = osm_cni::sanitize::printable(&format!("{namespace}/{name}"));
        assert!(!shown.contains(osm_cni::sanitize::is_unprintable));
    }
});
