//! The log: a line per call at every level, and never a reason for a failure.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use osm_cni::journal::{CallLine, ROTATE_AT};
use serde_json::{Value, json};

use crate::support::plugin::{Call, conf, enabled};

fn logged_to(mut conf: Value, file: &Path, level: &str) -> Value {
    conf["logFile"] = json!(file);
    conf["logLevel"] = json!(level);
    conf
}

fn lines(file: &Path) -> Vec<CallLine> {
    let text = fs::read_to_string(file).expect("a log");
    text.lines().filter_map(CallLine::parse).collect()
}

#[test]
fn each_call_is_one_line_at_every_level() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("made/on/the/way/osm-cni.log");
    for (index, level) in ["off", "error", "warn", "info", "debug", "trace"].iter().enumerate() {
        Call::new("ADD", &logged_to(conf("1.0.0"), &file, level)).run().ok();
        let lines = lines(&file);
        assert_eq!(lines.len(), index + 1, "{level}");
        let line = &lines[index];
        assert_eq!(line.verb, "ADD");
        assert_eq!(line.container.as_deref(), Some("0ec2d0a4a64b"));
        assert_eq!(line.interface.as_deref(), Some("eth0"));
        assert_eq!(line.pod.as_deref(), Some("demo/web"));
        assert_eq!(line.decision.as_deref(), Some("leave"));
        assert_eq!(line.reason.as_deref(), Some("not-enrolled"));
        assert!(line.us.is_some() && line.digest.as_ref().is_some_and(|digest| digest.len() == 12));
    }
    let mode = fs::metadata(&file).expect("a log").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_failed_call_is_logged_with_its_code_there_and_on_stderr() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("osm-cni.log");
    let conf = logged_to(enabled(conf("1.0.0")), &file, "info");
    let answer = Call::new("ADD", &conf).run();
    let message = answer.error(5);
    let line = &lines(&file)[0];
    assert_eq!((line.code, line.error.as_deref()), (Some(5), Some(message.as_str())));
    assert_eq!(CallLine::parse(answer.stderr.trim()).as_ref(), Some(line));
    // A call that could not be read is logged where its configuration says.
    Call::new("ADD", &conf).without("CNI_IFNAME").run().error(4);
    assert_eq!(lines(&file)[1].code, Some(4));
}

#[test]
fn a_log_that_has_grown_too_large_is_put_aside_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("osm-cni.log");
    let conf = logged_to(conf("1.0.0"), &file, "info");
    let large = vec![b'x'; ROTATE_AT as usize];
    fs::write(&file, &large).expect("written");
    for _ in 0..3 {
        Call::new("ADD", &conf).run().ok();
    }
    assert_eq!(lines(&file).len(), 3);
    let aside = directory.path().join("osm-cni.log.1");
    assert_eq!(fs::metadata(&aside).expect("put aside").len(), ROTATE_AT);
    assert_eq!(fs::read_dir(directory.path()).expect("a directory").count(), 2);
}

#[test]
fn many_calls_at_once_write_whole_lines() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("osm-cni.log");
    fs::write(&file, vec![b'x'; ROTATE_AT as usize]).expect("written");
    let conf = logged_to(conf("1.0.0"), &file, "info");
    std::thread::scope(|scope| {
        for _ in 0..40 {
            scope.spawn(|| Call::new("ADD", &conf).run().ok().to_owned());
        }
    });
    let aside = fs::read_to_string(directory.path().join("osm-cni.log.1")).expect("put aside");
    let late = aside.lines().filter_map(CallLine::parse).count();
    assert_eq!(lines(&file).len() + late, 40);
}

#[test]
fn a_log_that_cannot_be_written_fails_no_call() {
    for file in ["/proc/no/such/log", "/dev/null/x", "/dev/full", "/"] {
        let conf = logged_to(conf("1.0.0"), Path::new(file), "info");
        Call::new("ADD", &conf).run().ok();
    }
}

#[test]
fn the_digest_does_not_depend_on_how_the_configuration_is_written() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("osm-cni.log");
    let conf = logged_to(conf("1.0.0"), &file, "info");
    Call::new("ADD", &conf).run().ok();
    // As a runtime written in Go passes it on: sorted, without blanks.
    let sorted = |value: &Value| -> String {
        let fields: std::collections::BTreeMap<String, Value> =
            serde_json::from_value(value.clone()).expect("an object");
        serde_json::to_string_pretty(&fields).expect("JSON")
    };
    Call::new("ADD", &conf).stdin(sorted(&conf)).run().ok();
    let mut other = conf.clone();
    other["traffic"]["outboundPortExclusionList"] = json!([6379]);
    Call::new("ADD", &other).run().ok();
    let digests: Vec<_> = lines(&file).into_iter().map(|line| line.digest).collect();
    assert_eq!(digests[0], digests[1]);
    assert_ne!(digests[0], digests[2]);
}
