//! Other programs write what they like: forged lines, floods, and readers that
//! do not read.

use std::io::Read as _;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

const NAME: &str = "10-pods.conflist";

#[test]
fn no_file_can_forge_a_line() {
    let forged = "1.0.0\\n2026-01-02T03:04:05Z [INFO] verb=install msg=fine\\u001b[2J\\u202e";
    let long = "9".repeat(900_000);
    for version in [forged, &long] {
        let text = PRIMARY.replace("1.0.0", version);
        let node = Node::with(&[(NAME, &text)]);
        let error = node.check(&[]).expect_err("no version");
        let running = node.launch(&[]);
        wait_for("the complaint", || node.log().contains(NAME));
        running.stop();
        for text in [error, node.log()] {
            assert!(text.lines().all(|line| line.len() < 2500), "a long line");
            assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text:?}");
            assert!(!text.lines().any(|line| line.starts_with("2026-01-02")));
        }
    }
}

#[test]
fn the_plugins_log_is_passed_on_without_terminal_commands() {
    let node = Node::with(&[(NAME, PRIMARY)]);
    let log = node.plugin_log("");
    let settings = node.settings();
    let running = node.start(&["--config", settings.to_str().expect("UTF-8")]);
    fs::write(&log, format!("\u{1b}[2Jone\rtwo\u{202e}\n{}\nlast\n", "x".repeat(100_000)))
        .expect("write");
    wait_for("the last line", || node.log().contains("last"));
    running.stop();
    let passed = node.log();
    assert!(!passed.contains(['\u{1b}', '\r', '\u{202e}']), "{passed:?}");
    assert!(passed.lines().all(|line| line.len() < 20_000));
}

#[test]
fn a_hostile_directory_takes_bounded_memory_and_does_not_stop_the_loop() {
    let node = Node::with(&[]);
    let padding = "x".repeat(1 << 20);
    for number in 0..100 {
        let text = PRIMARY.replace("\"mtu\": 1500", &format!("\"x\": \"{padding}{number}\""));
        node.write(&format!("90-{number}.conflist"), &text);
    }
    let running = node.launch(&[]);
    let done = AtomicBool::new(false);
    let peak = std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0.. {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                let text = PRIMARY.replace("1.0.0", &format!("{number} {}", &padding[..100_000]));
                node.write("05-agent.conflist", &text);
            }
        });
        let mut peak = 0;
        let end = Instant::now() + Duration::from_secs(5);
        while Instant::now() < end {
            let status = format!("/proc/{}/status", running.child.id());
            let status = fs::read_to_string(status).expect("it runs");
            let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
            let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
            peak = peak.max(kib.expect("its memory"));
            std::thread::sleep(Duration::from_millis(5));
        }
        done.store(true, Ordering::Relaxed);
        peak
    });
    assert!(peak < 24 << 10, "{peak} KiB");
    fs::remove_file(node.path("05-agent.conflist")).expect("delete");
    node.write("05-good.conflist", PRIMARY);
    wait_for("the install", || node.check(&[]).is_ok());
    assert!(node.log().lines().count() < 200, "{} lines", node.log().lines().count());
    running.stop();
}

#[test]
fn a_reader_that_does_not_read_stops_nothing() {
    let node = Node::with(&[(NAME, PRIMARY)]);
    let log = node.plugin_log("");
    let settings = node.settings();
    let mut command = node.command("install", &["--config", settings.to_str().expect("UTF-8")]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    let mut running = Running { child };
    wait_for("the first install", || node.read(OWN).is_some());
    // More than a pipe holds, twice.
    fs::write(&log, format!("{}\n", "y".repeat(1000)).repeat(200)).expect("write");
    let mut pipe = running.child.stdout.take().expect("its output");
    let waiting = || {
        let path = format!("/proc/{}/task", running.child.id());
        let tasks = fs::read_dir(path).expect("its threads");
        tasks.flatten().any(|task| {
            fs::read_to_string(task.path().join("wchan")).is_ok_and(|at| at.contains("pipe_w"))
                || fs::read_to_string(task.path().join("syscall"))
                    .is_ok_and(|call| call.starts_with("1 "))
        })
    };
    wait_for("a full pipe", waiting);
    fs::remove_file(node.path(OWN)).expect("delete");
    wait_for("the repair", || node.read(OWN).is_some());
    running.signal(nix::sys::signal::Signal::SIGTERM);
    wait_for("the end", || running.child.try_wait().expect("wait").is_some());
    let mut text = String::new();
    pipe.read_to_string(&mut text).expect("UTF-8");
    assert!(text.contains("yyy"));
}
