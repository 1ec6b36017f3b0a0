//! The kernel's bytes, as if it were not the kernel that sent them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use osm_cni::nft::{compare, decode};
use osm_cni::ruleset::Ruleset;

fuzz_target!(|bytes: &[u8]| {
    let installed = decode::installed(bytes);
    let ruleset = installed.ruleset().unwrap_or(Ruleset { tables: Vec::new() });
    let _ = compare::check(&ruleset, &installed, |_| false)
        .map_err(|difference| difference.to_string());
    let _ = compare::check(&ruleset, &installed, |_| false);
});
