//! The plugin's log, passed on and counted.

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};

use super::*;

const NAME: &str = "10-pods.conflist";

fn line(number: u32) -> String {
    format!(
        "2026-11-22T21:25:00Z [INFO] verb=ADD container=c{number} ifname=eth0 pod=demo/web decision=redirect reason=sidecar-volume digest=0123456789ab rules=17 us=830\n"
    )
}

#[test]
fn calls_are_passed_on_and_counted_across_rotation() {
    let node = Node::with(&[(NAME, PRIMARY)]);
    let log = node.plugin_log(&line(0));
    let settings = node.settings();
    let args = ["--config", settings.to_str().expect("UTF-8"), "--metrics", "127.0.0.1:0"];
    let running = node.start(&args);
    let address = node.metrics();
    let count = |number: u32| {
        get(&address, "/metrics").contains(&format!(
            "osm_cni_calls_total{{verb=\"ADD\",result=\"redirect\",reason=\"sidecar-volume\"}} {number}\n"
        ))
    };
    let append = |text: &str| {
        let mut file = fs::OpenOptions::new().append(true).create(true).open(&log).expect("open");
        file.write_all(text.as_bytes()).expect("write");
    };
    // What was there before the start is shown, and not counted.
    wait_for("the past", || node.log().contains("container=c0"));
    assert!(!get(&address, "/metrics").contains("osm_cni_calls_total{"));
    wait_for("the metrics", || get(&address, "/metrics").contains("osm_cni_entry_in_place 1"));
    append(&line(1));
    wait_for("the first call", || count(1));
    append(&line(2)[..40]);
    append(&line(2)[40..]);
    wait_for("a line in two pieces", || count(2));
    fs::rename(&log, log.with_extension("log.1")).expect("rename");
    append(&line(3));
    wait_for("a call after rotation", || count(3));
    assert_eq!(line(3).len(), line(4).len());
    fs::write(&log, line(4)).expect("truncate and grow to the same length");
    wait_for("a call after truncation", || count(4));
    let excluding = line(5).replace(" us=", " annotations=inbound-ports,outbound-ranges us=");
    append(&excluding);
    for list in ["inbound-ports", "outbound-ranges"] {
        let counted = format!("osm_cni_annotation_exclusions_total{{list=\"{list}\"}} 1\n");
        wait_for("what annotations took out", || get(&address, "/metrics").contains(&counted));
    }
    append("2026-11-22T21:25:00Z [INFO] verb=ADD us=90 code=100 error=\"no\\\"pe\"\n");
    wait_for("a failed call", || {
        get(&address, "/metrics").contains("{verb=\"ADD\",result=\"error\",reason=\"100\"} 1\n")
    });

    let text = get(&address, "/metrics");
    for part in [
        "HTTP/1.1 200 OK\r\n",
        "osm_cni_call_duration_seconds_bucket{verb=\"ADD\",le=\"0.001\"} 6\n",
        "osm_cni_call_duration_seconds_bucket{verb=\"ADD\",le=\"+Inf\"} 6\n",
        "osm_cni_call_duration_seconds_count{verb=\"ADD\"} 6\n",
        "# TYPE osm_cni_call_duration_seconds histogram\n",
        "osm_cni_configuration_last_change_timestamp_seconds ",
        "osm_cni_settings_info{digest=\"",
        "osm_cni_settings_refused 0\n",
        concat!("osm_cni_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1\n"),
    ] {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
    assert!(get(&address, "/").starts_with("HTTP/1.1 404"));

    // Clients that connect and say nothing do not keep a scraper out.
    let silent: Vec<_> = (0..64).map(|_| TcpStream::connect(&address).expect("connect")).collect();
    let asked = Instant::now();
    assert!(count(5));
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?} beside idle ones", asked.elapsed());
    drop(silent);

    let passed = node.log();
    for number in 0..=5 {
        assert_eq!(passed.matches(&format!("container=c{number} ")).count(), 1, "{passed}");
    }
    fs::remove_file(node.path(NAME)).expect("delete");
    wait_for("the missing entry", || {
        get(&address, "/metrics").contains("osm_cni_entry_in_place 0")
    });
    running.stop();
}

#[test]
fn a_taken_address_is_named_and_used_once_it_is_free() {
    let node = Node::with(&[(NAME, PRIMARY)]);
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address").to_string();
    let running = node.start(&["--metrics", &address]);
    wait_for("the complaint", || node.log().contains(&format!("metrics on {address}")));
    drop(taken);
    wait_for("the metrics", || get(&address, "/metrics").contains("osm_cni_entry_in_place 1"));
    running.stop();
}

#[test]
fn a_readiness_probe_hears_what_check_says() {
    let node = Node::with(&[(NAME, PRIMARY)]);
    let running = node.start(&["--metrics", "127.0.0.1:0"]);
    let address = node.metrics();
    let says = |words: &[&str]| {
        let answer = get(&address, "/readyz");
        words.iter().all(|word| answer.contains(word))
    };
    wait_for("readiness", || says(&["HTTP/1.1 200 OK", "in place and current", NAME]));
    fs::remove_file(node.bin().join("bridge")).expect("delete");
    wait_for("the missing program", || says(&["503", "bridge", "CRI-O"]));
    assert!(node.check(&[]).expect_err("a program is missing").contains("bridge"));
    assert!(get(&address, "/metrics").contains("osm_cni_entry_in_place 0"));
    make_program(&node.bin().join("bridge"));
    wait_for("readiness", || says(&["200 OK"]));
    fs::remove_file(node.path(NAME)).expect("delete");
    wait_for("the missing primary", || says(&["503", "no primary"]));
    running.stop();
}
