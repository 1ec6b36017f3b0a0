//! Other programs write what they like: forged lines, floods, and readers that
//! do not read.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

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

/// What an agent does that writes whatever it likes, one act after the other:
/// other versions, forged names, files that are none, and all of it gone again.
fn misbehave(node: &Node, padding: &str, number: usize) {
    let text = PRIMARY.replace("1.0.0", &format!("{number} {}", &padding[..100_000]));
    node.write("05-agent.conflist", &text);
    let odd = |end: &str| node.path(&format!("06-{}\u{202e}\n{end}", number % 50));
    let _ = fs::remove_file(odd(".conf"));
    let _ = fs::remove_dir(odd(".conf"));
    let made = match number % 5 {
        0 => fs::create_dir(odd(".conf")).is_ok(),
        1 => std::os::unix::fs::symlink("/dev/zero", odd(".conf")).is_ok(),
        2 => nix::unistd::mkfifo(&odd(".conf"), nix::sys::stat::Mode::S_IRWXU).is_ok(),
        3 => fs::File::create(odd(".conf")).and_then(|file| file.set_len(1 << 40)).is_ok(),
        _ => fs::write(odd(".conf"), &padding[..number * 7919 % padding.len()]).is_ok(),
    };
    assert!(made, "{number}");
}

/// Its anonymous memory now, in KiB.
fn memory_of(running: &Running) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", running.child.id()));
    let status = status.expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    kib.expect("its memory")
}

/// For `HOSTILE_SECONDS` (10 by default, 60 in `make soak`) it stays below 24 MiB
/// and in its loop, and afterwards it does its work.
#[test]
fn a_hostile_directory_takes_bounded_memory_and_does_not_stop_the_loop() {
    let seconds = std::env::var("HOSTILE_SECONDS").ok().and_then(|text| text.parse().ok());
    let node = Node::with(&[]);
    let padding = "x".repeat(1 << 20);
    for number in 0..100 {
        let text = PRIMARY.replace("\"mtu\": 1500", &format!("\"x\": \"{padding}{number}\""));
        node.write(&format!("90-{number}.conflist"), &text);
    }
    let running = node.launch(&["--metrics", "127.0.0.1:0"]);
    let address = node.metrics();
    let end = Instant::now() + Duration::from_secs(seconds.unwrap_or(10));
    let (acts, mut verdicts, mut peak) = (AtomicUsize::new(0), BTreeSet::new(), 0);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in (0..).take_while(|_| !done.load(Ordering::Relaxed)) {
                misbehave(&node, &padding, number);
                acts.fetch_add(1, Ordering::Relaxed);
            }
        });
        while Instant::now() < end {
            peak = peak.max(memory_of(&running));
            // The last look's verdict, with the version that the file had then.
            let verdict = get(&address, "/readyz");
            assert!(verdict.len() < 2000, "{} bytes", verdict.len());
            verdicts.insert(verdict);
            std::thread::sleep(Duration::from_millis(5));
        }
        done.store(true, Ordering::Relaxed);
    });
    let (acts, looks) = (acts.into_inner(), verdicts.len());
    println!("{acts} acts, {looks} verdicts, at most {peak} KiB");
    assert!(peak < 24 << 10, "{peak} KiB");
    assert!(acts > 100 && looks > 2, "{acts} acts, {looks} verdicts");
    for entry in fs::read_dir(node.conf()).expect("the directory") {
        let path = entry.expect("an entry").path();
        if name(&path).starts_with("06-") {
            fs::remove_file(&path).or_else(|_| fs::remove_dir(&path)).expect("removed");
        }
    }
    fs::remove_file(node.path("05-agent.conflist")).expect("delete");
    node.write("05-good.conflist", PRIMARY);
    wait_for("the install", || node.check(&[]).is_ok());
    let lines = node.log().lines().count();
    assert!(lines < 200, "{lines} lines");
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
