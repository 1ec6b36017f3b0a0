//! Text of others on its way out, in each format.
#![no_main]

use libfuzzer_sys::fuzz_target;
use osm_cni::sanitize::{
    is_unprintable, json, label, log_message, log_value, mermaid, message, printable, value,
};

fuzz_target!(|text: &str| {
    let document = serde_json::to_string(text).expect("a string");
    let bounded = [
        (value(text), 65),
        (message(text, 100), 101),
        (log_value(text), 12 * 601 + 2),
        (log_message(text), 12 * 2001 + 2),
        (label(text), 128),
    ];
    for (output, most) in &bounded {
        assert!(output.chars().count() <= *most && !output.contains(is_unprintable), "{output:?}");
    }
    for output in [printable(text), json(&document), mermaid(text)] {
        assert!(!output.contains(is_unprintable), "{output:?}");
    }
    for sanitize in [value, printable, mermaid] {
        assert_eq!(sanitize(&sanitize(text)), sanitize(text));
    }
    assert_eq!(serde_json::from_str::<String>(&json(&document)).expect("JSON"), text);
    let read = serde_json::from_str::<String>(&log_message(text)).ok();
    assert!(
        text.chars().count() > 2000 || text == log_message(text) || read.as_deref() == Some(text)
    );
});
