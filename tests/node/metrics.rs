//! The plugin's log, passed on and counted.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use super::*;

const NAME: &str = "10-pods.conflist";

fn line(number: u32) -> String {
    format!(
        "2026-11-22T21:25:00Z [INFO] verb=ADD container=c{number} ifname=eth0 pod=demo/web decision=redirect reason=sidecar-volume digest=0123456789ab rules=17 us=830\n"
    )
}

fn get(address: &str, path: &str) -> String {
    let mut answer = String::new();
    if let Ok(mut stream) = TcpStream::connect(address) {
        let _ = write!(stream, "GET {path} HTTP/1.1\r\nHost: node\r\n\r\n");
        let _ = stream.read_to_string(&mut answer);
    }
    answer
}

#[test]
fn calls_are_passed_on_and_counted_across_rotation() {
    let node = Node::with(&[(NAME, PRIMARY)]);
    let log = node.root.path().join("plugin.log");
    fs::write(&log, line(0)).expect("write");
    fs::write(node.settings(), format!("{{\"logFile\": {:?}}}", log.display().to_string()))
        .expect("write");
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = free.local_addr().expect("its address").to_string();
    drop(free);
    let settings = node.settings();
    let args = ["--config", settings.to_str().expect("UTF-8"), "--metrics", &address];
    let running = node.start(&args);
    let count = |number: u32| {
        get(&address, "/metrics").contains(&format!(
            "osm_cni_calls_total{{verb=\"ADD\",result=\"redirect\",reason=\"sidecar-volume\"}} {number}\n"
        ))
    };
    let append = |text: &str| {
        let mut file = fs::OpenOptions::new().append(true).create(true).open(&log).expect("open");
        file.write_all(text.as_bytes()).expect("write");
    };
    // What was there before the start is not told again.
    wait_for("the metrics", || get(&address, "/metrics").contains("osm_cni_entry_in_place 1"));
    append(&line(1));
    wait_for("the first call", || count(1));
    append(&line(2)[..40]);
    append(&line(2)[40..]);
    wait_for("a line in two pieces", || count(2));
    fs::rename(&log, log.with_extension("log.1")).expect("rename");
    append(&line(3));
    wait_for("a call after rotation", || count(3));
    fs::write(&log, "").expect("truncate");
    std::thread::sleep(Duration::from_millis(600));
    append(&line(4));
    wait_for("a call after truncation", || count(4));
    append("2026-11-22T21:25:00Z [INFO] verb=ADD us=90 code=100 error=\"no\\\"pe\"\n");
    wait_for("a failed call", || {
        get(&address, "/metrics").contains("{verb=\"ADD\",result=\"error\",reason=\"100\"} 1\n")
    });

    let text = get(&address, "/metrics");
    for part in [
        "HTTP/1.1 200 OK\r\n",
        "osm_cni_call_duration_seconds_bucket{verb=\"ADD\",le=\"0.001\"} 5\n",
        "osm_cni_call_duration_seconds_bucket{verb=\"ADD\",le=\"+Inf\"} 5\n",
        "osm_cni_call_duration_seconds_count{verb=\"ADD\"} 5\n",
        "# TYPE osm_cni_call_duration_seconds histogram\n",
        "osm_cni_configuration_last_change_timestamp_seconds ",
        "osm_cni_settings_info{digest=\"",
    ] {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
    assert!(get(&address, "/").starts_with("HTTP/1.1 404"));

    // Somebody who connects and says nothing does not stop the others for long.
    let _silent = TcpStream::connect(&address).expect("connect");
    wait_for("an answer beside a silent client", || count(4));

    let passed = node.log();
    assert!(!passed.contains("container=c0"));
    for number in 1..=4 {
        assert_eq!(passed.matches(&format!("container=c{number} ")).count(), 1, "{passed}");
    }
    fs::remove_file(node.path(NAME)).expect("delete");
    wait_for("the missing entry", || {
        get(&address, "/metrics").contains("osm_cni_entry_in_place 0")
    });
    running.stop();
}

#[test]
fn a_taken_address_is_named() {
    let node = Node::with(&[(NAME, PRIMARY)]);
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address").to_string();
    let output = node.run("install", &["--metrics", &address]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains(&address));
}
