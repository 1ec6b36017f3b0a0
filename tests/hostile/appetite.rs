//! What a mebibyte of input costs: memory, as the kernel counts it for a process
//! that has ended, and how much the kernel is made to hold.

use std::fmt::Write as _;

use osm_cni::ruleset::Elements;
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

/// A pod with this value in one of its list annotations.
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

fn base() -> Value {
    annotated(conf("1.0.0"), json!({"openservicemesh.io/sidecar-injection": "enabled"}))
}

/// What the author of a pod can make the plugin do.
fn asked_by_pods() -> Vec<(&'static str, String)> {
    let plain = |number: usize| {
        format!("{}.{}.{}.1", number >> 16 & 255 | 1, number >> 8 & 255, number & 255)
    };
    let sixth = |number: usize| format!("{:x}::{:x}", number & 0x7fff | 0x2000, number >> 15 | 1);
    let port = |number: usize| format!("{}", number * 2 % 65534 + 1);
    let outbound = "outbound-port-exclusion-list";
    let ranges = "outbound-ip-range-exclusion-list";
    let mut both_families = asking(ranges, many(sixth));
    both_families["ipv6"] = json!("redirect");
    let odd: String = (0..32_768).map(|n| format!("{},", 2 * n + 1)).collect();
    let mut both_ways = asking(outbound, odd.trim_end_matches(',').to_owned());
    both_ways["ipv6"] = json!("redirect");
    let annotations = &mut both_ways["runtimeConfig"]["io.kubernetes.cri.pod-annotations"];
    annotations["openservicemesh.io/inbound-port-exclusion-list"] =
        annotations["openservicemesh.io/outbound-port-exclusion-list"].clone();
    let ports = many(|n| format!("{}-{}", n % 60000 + 1, n % 60000 + 1 + n % 7));
    let scattered = many(|n| format!("{}-{}", n * 4 % 65528 + 1, n * 4 % 65528 + 3));
    [
        ("nothing", base()),
        ("commas", asking(outbound, ",".repeat(MEBIBYTE))),
        ("blanks", asking(outbound, " ".repeat(MEBIBYTE))),
        ("one port", asking(outbound, many(|_| "1".to_owned()))),
        ("every odd port", asking(outbound, many(port))),
        ("every odd port, both ways, both families", both_ways),
        ("ranges of ports", asking(outbound, ports)),
        ("three ports of each four", asking(outbound, scattered)),
        ("IPv4 addresses", asking(ranges, many(plain))),
        ("IPv6 addresses", both_families),
        ("uids", asking("outbound-uid-exclusion-list", many(|n| n.to_string()))),
        ("one long annotation", asking("sidecar-injection", "x".repeat(MEBIBYTE))),
    ]
    .map(|(name, conf)| (name, conf.to_string()))
    .into()
}

/// What others write: settings, earlier plugins, whoever speaks to us.
fn written_by_others() -> Vec<(&'static str, String)> {
    let lists = |field: &str, item: &dyn Fn(usize) -> String| {
        with(base(), "traffic", &format!("{{\"{field}\":[{}]}}", many(item)))
    };
    let annotations = many(|number| format!("\"{number:x}\":0"));
    vec![
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
    ]
}

#[test]
fn a_mebibyte_of_input_costs_no_more_than_thirty_two_of_memory() {
    let netns = TestNetns::new();
    println!("| input | KiB of input | KiB of memory | exit status |\n|---|---|---|---|");
    let mut over = Vec::new();
    for (name, input) in asked_by_pods().into_iter().chain(written_by_others()) {
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

#[test]
fn what_a_mebibyte_asks_of_the_kernel_is_bounded() {
    println!("| input | rules | elements | steps through lists of ports |\n|---|---|---|---|");
    for (name, input) in asked_by_pods() {
        let (netns, size) = (TestNetns::new(), input.len());
        Call::new("ADD", &Value::Null).netns(&netns.path()).stdin(input).run();
        let ruleset = netns.nft().installed().expect("read back").ruleset();
        let tables = ruleset.map(|ruleset| ruleset.tables).unwrap_or_default();
        let rules: usize = tables.iter().flat_map(|it| &it.chains).map(|it| it.rules.len()).sum();
        let sets = || tables.iter().flat_map(|table| &table.sets).map(|set| &set.elements);
        let elements: usize = sets().map(Elements::count).sum();
        // the kernel walks a set of ports for each one that it adds
        let ports = sets().filter(|set| matches!(set, Elements::Ports(_)));
        let steps: usize = ports.map(|set| set.count() * set.count()).sum();
        println!("| {name} | {rules} | {elements} | {steps} |");
        assert!(rules <= 2048, "{name}: {rules} rules");
        assert!(elements <= size / 2, "{name}: {elements} elements of {size} bytes");
        assert!(steps <= 1 << 26, "{name}: {steps} steps");
    }
}
