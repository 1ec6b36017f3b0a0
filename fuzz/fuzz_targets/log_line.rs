//! A line of the log: what is read is what is written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use osm_cni::call_record::CallRecord;

fuzz_target!(|text: &str| {
    let Some(call) = CallRecord::parse(text) else { return };
    let line = call.to_string();
    assert!(line.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
    // long values are cut, once
    let again = CallRecord::parse(&line).expect("what we write can be read");
    assert_eq!(CallRecord::parse(&again.to_string()), Some(again));
});
