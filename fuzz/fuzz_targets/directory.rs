//! A configuration directory of other agents' files, as `install` plans for it.
//! The input is lines of names and texts: `NAME TAB TEXT`, of any bytes.
#![no_main]

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use libfuzzer_sys::fuzz_target;
use osm_cni::node::names_touched;

const OWN: &str = "00-osm-cni.conflist";

fuzz_target!(|data: &[u8]| {
    let mut files = BTreeMap::new();
    for line in data.split(|byte| *byte == b'\n') {
        let Some(tab) = line.iter().position(|byte| *byte == b'\t') else { continue };
        let name: Vec<u8> = line[..tab].iter().copied().filter(|byte| *byte != b'/').collect();
        files.insert(OsString::from_vec(name), line[tab + 1..].to_vec());
    }
    let is_ours = |bytes: &[u8]| bytes.windows(3).any(|part| part == b"osm");
    let ours = files.iter().any(|(name, text)| is_ours(name.as_bytes()) || is_ours(text));
    for insert in [false, true] {
        let touched = match names_touched(files.clone().into_iter().collect(), insert) {
            Ok(touched) => touched,
            Err(message) => {
                assert!(
                    !message.is_empty() && !message.contains(osm_cni::sanitize::is_unprintable)
                );
                continue;
            }
        };
        // Where nothing is ours yet, our own list is made, or one agent's file replaced.
        if !ours && !insert {
            assert_eq!(touched, [OsStr::new(OWN)]);
        }
        assert!(ours || touched.len() <= 2, "{touched:?}");
    }
});
