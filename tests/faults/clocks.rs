//! The node's clock is wrong, jumps or runs away. Durations are taken with the
//! monotonic clock, and the wall clock only stamps the log's lines, so that a
//! call does the same whatever it shows. The clock is another one for the
//! plugin's process alone: see `support::clock`, also for why these tests run
//! the program that cargo built for them. A time namespace needs no such help.

use std::path::{Path, PathBuf};

use osm_cni::call_record::CallRecord;
use serde_json::json;

use super::{Enrolled, Pod, RULES};
use crate::support::plugin::{Answer, Call};
use crate::support::program;
use crate::support::{clock, host};

/// What the clock shows, and how a line of the log begins then. Before 1970,
/// past 32 bits of seconds, past what a day's arithmetic is tested with, and
/// so fast or in such steps that days go by during a call.
const CLOCKS: [(&str, &str); 7] = [
    ("1969-07-01 12:00:00", "1969-07-01T12:00:00"),
    ("@1950-07-01 00:00:00", "1950-07-01T"),
    ("@2039-07-01 00:00:00", "2039-07-01T"),
    ("2200-07-01 00:00:00", "2200-07-01T00:00:00"),
    ("@2026-07-01 00:00:00 x1000000", "202"),
    ("@2026-07-01 00:00:00 i86400", "2026-"),
    ("@1901-07-01 00:00:00 i86400", "1901-"),
];

/// So long takes no call, by a clock that does not jump: an hour, in
/// microseconds.
const HOUR: u64 = 3_600_000_000;

struct Node {
    pod: Pod,
    log: PathBuf,
    _dir: tempfile::TempDir,
    calls: usize,
}

impl Node {
    fn new(enrolled: Enrolled) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let log = dir.path().join("osm-cni.log");
        let mut pod = Pod::new(enrolled);
        pod.conf["logFile"] = json!(log);
        // A DEL that goes well is logged at this level.
        pod.conf["logLevel"] = json!("debug");
        Node { pod, log, _dir: dir, calls: 0 }
    }

    /// A call of the program that cargo built.
    fn call(&self, verb: &str) -> Call {
        self.pod.call(verb).program(program::dynamic())
    }

    /// Runs it, and answers what it logged: the stamp and the call.
    fn logged(&mut self, call: &Call) -> (Answer, String, CallRecord) {
        let answer = call.run();
        self.calls += 1;
        let log = std::fs::read_to_string(&self.log).expect("the log");
        let lines: Vec<_> = log.lines().collect();
        assert_eq!(lines.len(), self.calls, "one line a call: {log}");
        let last = lines[self.calls - 1];
        let line = CallRecord::parse(last).unwrap_or_else(|| panic!("no line of ours: {last}"));
        assert!(line.us.is_some_and(|us| us < HOUR), "{last}");
        (answer, last.to_owned(), line)
    }
}

#[test]
fn every_verb_does_the_same_whatever_the_clock_shows() {
    let _clocks = clock::Clocks;
    Enrolled::each(|enrolled| {
        let mut node = Node::new(enrolled);
        // Each verb once with each clock, and with another clock than the last.
        for first in 0..CLOCKS.len() {
            for (step, verb) in ["ADD", "CHECK", "ADD", "DEL"].into_iter().enumerate() {
                let (time, stamp) = CLOCKS[(first + step) % CLOCKS.len()];
                let mut call = node.call(verb);
                for (name, value) in clock::showing(time) {
                    call = call.env(name, value);
                }
                let (answer, text, line) = node.logged(&call);
                let what = format!("{verb} at {time}: {text}");
                assert!(text.starts_with(stamp), "the clock did not show it: {what}");
                let expected = match verb {
                    "ADD" => node.pod.conf["prevResult"].to_string(),
                    _ => String::new(),
                };
                assert_eq!((answer.status, answer.stdout), (Some(0), expected), "{what}");
                assert_eq!((line.verb.as_str(), line.code), (verb, None), "{what}");
                let rules = if verb == "DEL" { "" } else { RULES };
                assert_eq!(node.pod.rules(), rules, "{what}");
            }
        }
    });
}

#[test]
fn an_error_is_told_whatever_the_clock_shows() {
    let _clocks = clock::Clocks;
    Enrolled::each(|enrolled| {
        let mut node = Node::new(enrolled);
        for (time, _) in CLOCKS {
            let mut call = node.call("ADD").env("CNI_NETNS", "/dev/null");
            for (name, value) in clock::showing(time) {
                call = call.env(name, value);
            }
            let (answer, _, line) = node.logged(&call);
            answer.error(101);
            assert_eq!(line.code, Some(101), "{time}");
        }
        node.pod.assert_recovers("wrong clocks");
    });
}

/// The monotonic clock and that of the boot begin elsewhere, as on a node that
/// has run for thirty years.
#[test]
fn in_another_time_namespace_every_verb_does_the_same() {
    Enrolled::each(|enrolled| {
        host::require(&["unshare"]);
        let years = ["--monotonic=946080000", "--boottime=946080000"];
        let mut node = Node::new(enrolled);
        for verb in ["ADD", "CHECK", "ADD", "DEL"] {
            let words = [&["/usr/bin/unshare", "--time", "--fork"][..], &years].concat();
            // The binary under test, too: this needs no library.
            for call in [node.call(verb).under(&words), node.pod.call(verb).under(&words)] {
                let (answer, text, _) = node.logged(&call);
                assert_eq!(answer.status, Some(0), "{text}: {answer:?}");
                assert_eq!(node.pod.rules(), if verb == "DEL" { "" } else { RULES }, "{text}");
            }
        }
    });
}

/// Nothing in the source of an ADD's path reads the wall clock. The command line and
/// the installer are not on that path.
#[test]
fn no_module_of_an_add_reads_the_wall_clock() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let others = [src.join("cli"), src.join("node")];
    let mut places = vec![src];
    let mut read = 0;
    while let Some(path) = places.pop() {
        if others.contains(&path) {
            continue;
        }
        if path.is_dir() {
            places.extend(host::names_in(&path).iter().map(|name| path.join(name)));
            continue;
        }
        let text = std::fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(!text.contains("SystemTime"), "{}", path.display());
        read += 1;
    }
    assert!(read > 20, "only {read} files");
}
