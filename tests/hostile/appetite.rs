//! How much memory a mebibyte of input costs, as the kernel counts it for a
//! process that has ended.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::support::netns::TestNetns;
use crate::support::plugin::{Call, annotated, conf};

/// Of input, in bytes.
const MEBIBYTE: usize = 1 << 20;

/// The most that a call may have in memory at once, in KiB.
const MOST: u64 = 32 << 10;

/// Items with commas between, a mebibyte of them.
fn many(item: impl Fn(usize) -> String) -> String {
    let mut text = String::with_capacity(MEBIBYTE);
    for number in 0.. {
        let item = item(number);
        if text.len() + item.len() >= MEBIBYTE {
            break;
        }
        let _ = write!(text, "{item},");
    }
    text.truncate(text.len() - 1);
    text
}

/// A pod that asks for this in one of its lists.
fn asking(list: &str, value: String) -> Value {
    let mut annotations = json!({"openservicemesh.io/sidecar-injection": "enabled"});
    annotations[format!("openservicemesh.io/{list}")] = json!(value);
    annotated(conf("1.0.0"), annotations)
}

/// A text with other parts put in place of `"HERE"`.
fn with(mut conf: Value, field: &str, text: &str) -> String {
    conf[field] = json!("HERE");
    conf.to_string().replace("\"HERE\"", text)
}

#[test]
fn a_mebibyte_of_input_costs_no_more_than_thirty_two_of_memory() {
    let netns = TestNetns::new();
    let base =
        || annotated(conf("1.0.0"), json!({"openservicemesh.io/sidecar-injection": "enabled"}));
    let plain = |number: usize| {
        format!("{}.{}.{}.1", number >> 16 & 255 | 1, number >> 8 & 255, number & 255)
    };
    let sixth = |number: usize| format!("{:x}::{:x}", number & 0x7fff | 0x2000, number >> 15 | 1);
    let port = |number: usize| format!("{}", number * 2 % 65534 + 1);
    let outbound = "outbound-port-exclusion-list";
    let ranges = "outbound-ip-range-exclusion-list";
    let lists = |field: &str, item: &dyn Fn(usize) -> String| {
        with(base(), "traffic", &format!("{{\"{field}\":[{}]}}", many(item)))
    };
    let annotations = many(|number| format!("\"{number:x}\":0"));
    let mut both_families = asking(ranges, many(sixth));
    both_families["ipv6"] = json!("redirect");
    let inputs = [
        ("nothing", base().to_string()),
        ("commas", asking(outbound, ",".repeat(MEBIBYTE)).to_string()),
        ("blanks", asking(outbound, " ".repeat(MEBIBYTE)).to_string()),
        ("one port", asking(outbound, many(|_| "1".to_owned())).to_string()),
        ("every odd port", asking(outbound, many(port)).to_string()),
        (
            "ranges of ports",
            asking(outbound, many(|n| format!("{}-{}", n % 60000 + 1, n % 60000 + 1 + n % 7)))
                .to_string(),
        ),
        ("IPv4 addresses", asking(ranges, many(plain)).to_string()),
        ("IPv6 addresses", both_families.to_string()),
        ("uids", asking("outbound-uid-exclusion-list", many(|n| n.to_string())).to_string()),
        ("one long annotation", asking("sidecar-injection", "x".repeat(MEBIBYTE)).to_string()),
        (
            "many annotations",
            with(
                base(),
                "runtimeConfig",
                &format!("{{\"io.kubernetes.cri.pod-annotations\":{{{annotations}}}}}"),
            ),
        ),
        ("many fields", with(base(), "x\":0", "0").replace("\"x\\\":0\":0", &annotations)),
        ("ports in the settings", lists("outboundPortExclusionList", &|_| "1".to_owned())),
        ("uids in the settings", lists("outboundUIDExclusionList", &|n| n.to_string())),
        (
            "a list of lists",
            with(base(), "proxy", &format!("{{\"uid\":[{}]}}", many(|_| "1".to_owned()))),
        ),
        (
            "namespaces",
            with(base(), "meshNamespaces", &format!("[{}]", many(|_| "\"a\"".to_owned()))),
        ),
        (
            "interfaces before us",
            with(
                base(),
                "prevResult",
                &format!("{{\"interfaces\":[{}]}}", many(|_| "{}".to_owned())),
            ),
        ),
        ("one string", format!("\"{}\"", "x".repeat(MEBIBYTE))),
        (
            "one version",
            with(base(), "cniVersion", &format!("\"1.0.0-{}1\"", "1.".repeat(MEBIBYTE / 2))),
        ),
        ("deep lists", "[".repeat(MEBIBYTE)),
        ("deep objects", "{\"a\":".repeat(MEBIBYTE / 5)),
        (
            "a deep field",
            with(
                base(),
                "traffic",
                &format!("{}{}", "[".repeat(MEBIBYTE / 2), "]".repeat(MEBIBYTE / 2)),
            ),
        ),
        ("not UTF-8 at the end", format!("{}\"", "\\u0000".repeat(MEBIBYTE / 6))),
    ];
    println!("| input | KiB of input | KiB of memory | exit status |\n|---|---|---|---|");
    let mut over = Vec::new();
    for (name, input) in inputs {
        let size = input.len() >> 10;
        let call = Call::new("ADD", &Value::Null).netns(&netns.path()).stdin(input);
        let (answer, memory) = call.run_measured();
        println!("| {name} | {size} | {memory} | {} |", answer.status.unwrap_or(-1));
        let json: Value = answer.json();
        if answer.status == Some(1) {
            assert!(answer.stdout.len() < 8_000, "{name}: {} bytes", answer.stdout.len());
            assert_ne!(json["code"], 199, "{name}: {json}");
        }
        assert!(answer.stderr.len() < 10_000, "{name}: {} bytes", answer.stderr.len());
        if memory > MOST {
            over.push((name, memory));
        }
        Call::new("DEL", &conf("1.0.0")).netns(&netns.path()).run().ok();
    }
    assert!(over.is_empty(), "more than {MOST} KiB: {over:?}");
}
