//! The log: a line per call at every level, and never a reason for a failure.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use osm_cni::call_record::CallRecord;
use osm_cni::journal::ROTATE_AT;
use serde_json::{Value, json};

use crate::support::plugin::{Call, conf, enabled};

fn logged_to(mut conf: Value, file: &Path, level: &str) -> Value {
    conf["logFile"] = json!(file);
    conf["logLevel"] = json!(level);
    conf
}

fn lines(file: &Path) -> Vec<CallRecord> {
    let text = fs::read_to_string(file).expect("a log");
    text.lines().filter_map(CallRecord::parse).collect()
}

/// A log that is due to be put aside.
fn large_log() -> Vec<u8> {
    let line = b"2026-01-02T03:04:05Z [WARN] unknown field x is ignored\n";
    line.iter().copied().cycle().take(ROTATE_AT as usize).collect()
}

#[test]
fn only_a_file_that_is_a_log_of_ours_is_written() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name);
    let ours = "2026-01-02T03:04:05Z [WARN] unknown field x is ignored\n";
    fs::write(path("passwd"), "root:x:0:0:root:/root:/bin/bash\n".repeat(400_000))
        .expect("written");
    fs::write(path("two"), ours).expect("written");
    fs::hard_link(path("two"), path("names")).expect("linked");
    fs::write(path("real"), ours).expect("written");
    std::os::unix::fs::symlink("real", path("link")).expect("linked");
    fs::create_dir(path("dir")).expect("made");
    std::os::unix::fs::symlink("dir", path("way")).expect("linked");
    fs::write(path("foreign"), ours).expect("written");
    std::os::unix::fs::chown(path("foreign"), Some(65534), None).expect("given away");
    for name in ["passwd", "two", "link", "way/log", "foreign"] {
        let before = fs::read(path(name)).ok();
        let answer = Call::new("ADD", &logged_to(conf("1.0.0"), &path(name), "info")).run();
        answer.ok();
        assert!(answer.stderr.contains("the log is not written"), "{name}: {answer:?}");
        assert_eq!(fs::read(path(name)).ok(), before, "{name}");
    }
    assert!(!path("passwd.1").exists() && !path("dir/log").exists());
    // One that is ours is tightened.
    fs::set_permissions(path("real"), PermissionsExt::from_mode(0o644)).expect("loosened");
    Call::new("ADD", &logged_to(conf("1.0.0"), &path("real"), "info")).run().ok();
    assert_eq!(fs::metadata(path("real")).expect("a log").permissions().mode() & 0o7777, 0o600);
    assert_eq!(lines(&path("real")).len(), 1);
}

#[test]
fn a_log_of_json_reads_back_as_well() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("osm-cni.log");
    let mut conf = logged_to(enabled(conf("1.0.0")), &file, "info");
    conf["logFormat"] = json!("json");
    conf["rulset"] = json!("\u{2028}\n");
    Call::new("ADD", &conf).run().error(5);
    let text = fs::read_to_string(&file).expect("a log");
    let objects: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!((&objects[0]["level"], &objects[1]["level"]), (&json!("warn"), &json!("error")));
    assert!(objects[0]["msg"].as_str().is_some_and(|msg| msg.contains("rulset")), "{text}");
    assert_eq!((&objects[1]["code"], &objects[1]["pod"]), (&json!(5), &json!("demo/web")));
    assert_eq!(lines(&file)[0].code, Some(5));
}

#[test]
fn routine_calls_are_logged_at_debug_level() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("osm-cni.log");
    for (level, count) in [("info", 0), ("debug", 2)] {
        for verb in ["DEL", "STATUS"] {
            Call::new(verb, &logged_to(conf("1.1.0"), &file, level)).run().ok();
        }
        assert_eq!(lines(&file).len(), count, "{level}");
    }
    assert_eq!(lines(&file)[0].pod.as_deref(), Some("demo/web"));
}

#[test]
fn what_annotations_take_out_is_in_the_log() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("osm-cni.log");
    let netns = crate::support::netns::TestNetns::new();
    let annotations = json!({
        "openservicemesh.io/sidecar-injection": "enabled",
        "openservicemesh.io/outbound-ip-range-exclusion-list": "0.0.0.0/0",
        "openservicemesh.io/inbound-port-exclusion-list": "9090",
    });
    let conf =
        logged_to(crate::support::plugin::annotated(conf("1.0.0"), annotations), &file, "info");
    Call::new("ADD", &conf).netns(&netns.path()).run().ok();
    let text = fs::read_to_string(&file).expect("a log");
    assert!(text.contains("take all of its outbound IPv4 traffic out of the mesh"), "{text}");
    assert_eq!(lines(&file)[0].annotations.as_deref(), Some("inbound-ports,outbound-ranges"));
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
    assert_eq!(CallRecord::parse(answer.stderr.trim()).as_ref(), Some(line));
    // A call that could not be read is logged where its configuration says.
    Call::new("ADD", &conf).without("CNI_IFNAME").run().error(4);
    assert_eq!(lines(&file)[1].code, Some(4));
}

#[test]
fn a_log_that_has_grown_too_large_is_put_aside_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("osm-cni.log");
    let conf = logged_to(conf("1.0.0"), &file, "info");
    fs::write(&file, large_log()).expect("written");
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
    fs::write(&file, large_log()).expect("written");
    let conf = logged_to(conf("1.0.0"), &file, "info");
    std::thread::scope(|scope| {
        for _ in 0..40 {
            scope.spawn(|| Call::new("ADD", &conf).run().ok().to_owned());
        }
    });
    let aside = fs::read_to_string(directory.path().join("osm-cni.log.1")).expect("put aside");
    let late = aside.lines().filter_map(CallRecord::parse).count();
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
    // As a runtime written in Go passes it on: sorted, without whitespace.
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
    // Whoever changes the file that root writes changes the digest.
    let elsewhere = directory.path().join("elsewhere.log");
    Call::new("ADD", &logged_to(conf, &elsewhere, "info")).run().ok();
    assert_ne!(digests[0], lines(&elsewhere)[0].digest);
}
