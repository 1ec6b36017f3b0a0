//! What the plugin does as root: which system calls, and what it writes.

use std::collections::BTreeSet;

use serde_json::json;

use super::Pod;
use crate::support::plugin::{Call, annotated, conf};
use crate::support::strace;

/// Calls that only other builds make: those of the dynamic loader, and the check
/// of descriptors in debug builds (`fcntl`).
const OTHER_BUILDS: [&str; 5] = ["access", "close_range", "fcntl", "pread64", "readlink"];

/// Depends on the allocator.
const NOW_AND_THEN: [&str; 2] = ["mmap", "munmap"];

#[test]
fn the_system_calls_of_an_add_are_known() {
    let mut pod = Pod::new();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let known: BTreeSet<&str> = include_str!("../golden/syscalls.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();
    let volumes = dir.path().join("kubelet/pods/uid-web-1/volumes/kubernetes.io~configmap");
    std::fs::create_dir_all(volumes.join("envoy-bootstrap-config-volume")).expect("made");
    pod.conf["kubeletDir"] = json!(dir.path().join("kubelet"));
    for name in ["first", "second", "third"] {
        pod.conf["logFile"] = json!(dir.path().join(name).join("osm-cni.log"));
        let (answer, trace) = strace::trace(&pod.call("ADD"));
        answer.ok();
        let names = trace.names();
        let more: Vec<_> = names
            .iter()
            .filter(|name| !known.contains(*name) && !OTHER_BUILDS.contains(name))
            .collect();
        assert!(
            more.is_empty(),
            "an ADD makes system calls that the golden does not have: {more:?}"
        );
        let less: Vec<_> = known
            .iter()
            .filter(|name| !names.contains(*name) && !NOW_AND_THEN.contains(name))
            .collect();
        assert!(less.is_empty(), "an ADD no longer makes these system calls: {less:?}");
    }
}

/// One of each: nothing else is opened, entered or run.
#[test]
fn an_add_opens_one_socket_enters_one_namespace_and_runs_nothing() {
    let pod = Pod::new();
    let (answer, trace) = strace::trace(&pod.call("ADD"));
    answer.ok();
    assert_eq!(trace.lines("execve").count(), 1, "the plugin itself, and no other program");
    assert_eq!(trace.lines("socket").count(), 1);
    assert!(trace.lines("socket").all(|line| line.contains("NETLINK_NETFILTER")));
    assert_eq!(trace.lines("setns").count(), 1);
    for name in ["connect", "fork", "vfork", "ptrace", "mount", "unlink", "chmod"] {
        assert_eq!(trace.lines(name).count(), 0, "{name}");
    }
    let netns = pod.netns.path();
    let netns = netns.to_string_lossy();
    let pods = pod.kubelet.path().join("pods");
    let pods = pods.to_string_lossy();
    for line in trace.lines("openat").filter(|line| !line.contains("ENOENT")) {
        let known = [
            "/proc/self/maps",
            "/etc/ld.so",
            ".so.",
            &netns,
            "/sys/fs/cgroup",
            "/proc/self/",
            &pods,
            "\"uid-web-1\"",
            "\"volumes\"",
            "\"kubernetes.io~",
        ];
        assert!(known.iter().any(|part| line.contains(part)), "{line}");
    }
}

/// Line ends, escapes, and characters that change how text around them is
/// shown, each followed by what looks like a line of ours.
const FORGERIES: [&str; 10] = [
    "1\n2026-01-01T00:00:00Z [INFO] verb=DEL code=0",
    "1\r\nverb=ADD",
    "1\u{2028}verb=ADD",
    "1\u{2029}verb=ADD",
    "1\u{85}verb=ADD",
    "1\u{b}verb=ADD\u{c}",
    "\u{202e}1 verb=ADD",
    "\u{2066}1\u{2069}",
    "1\u{1b}[2K\u{1b}[1Gverb=ADD",
    "1\" verb=ADD code=0 error=\"",
];

#[test]
fn no_annotation_can_forge_a_line_or_a_message() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let log = dir.path().join("osm-cni.log");
    let mut calls = 0;
    for text in FORGERIES {
        for name in ["outbound-port-exclusion-list", "sidecar-injection"] {
            let mut annotations = json!({"openservicemesh.io/sidecar-injection": "enabled"});
            annotations[format!("openservicemesh.io/{name}")] = json!(text);
            // keys are no better than values
            annotations[text] = json!(text);
            let mut conf = annotated(conf("1.0.0"), annotations);
            conf["logFile"] = json!(log);
            let answer = Call::new("ADD", &conf).run();
            let msg = answer.error(100);
            calls += 1;
            for (place, text) in [("msg", &msg), ("stderr", &answer.stderr)] {
                let odd = |c: char| {
                    c != '\n' && c.is_control()
                        || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
                };
                assert!(!text.contains(odd), "{place}: {text:?}");
            }
            assert!(!msg.contains('\n') && msg.chars().count() < 400, "{msg:?}");
            // stderr is empty, or whole lines of ours
            assert!(answer.stderr.lines().all(|line| line.starts_with("20")), "{answer:?}");
        }
    }
    let text = std::fs::read_to_string(&log).expect("the log");
    assert!(text.bytes().all(|byte| byte == b'\n' || (b' '..=b'~').contains(&byte)), "{text:?}");
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), calls);
    for line in lines {
        let call = osm_cni::call_record::CallRecord::parse(line).expect("a line of ours");
        assert_eq!((call.verb.as_str(), call.code), ("ADD", Some(100)), "{line}");
        assert!(line.len() < 2000, "{line}");
    }
}

/// Nothing of what may be secret stands in the log: neither annotations of
/// others, nor other fields of the configuration, nor the environment.
#[test]
fn the_log_holds_no_secret() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let log = dir.path().join("osm-cni.log");
    for level in ["info", "trace"] {
        for port in ["8080", "wrong"] {
            let mut pod = Pod::new();
            pod.conf["logFile"] = json!(log);
            pod.conf["logLevel"] = json!(level);
            pod.conf["args"] = json!({"cni": {"token": "s3cr3t"}});
            pod.conf["password"] = json!("s3cr3t");
            let passed = &mut pod.conf["runtimeConfig"]["io.kubernetes.cri.pod-annotations"];
            passed["example.com/token"] = json!("s3cr3t");
            passed["openservicemesh.io/outbound-port-exclusion-list"] = json!(port);
            let call = pod.call("ADD").env("AWS_SECRET_ACCESS_KEY", "s3cr3t");
            let answer = call.run();
            assert!(!answer.stderr.contains("s3cr3t"), "{answer:?}");
        }
    }
    let text = std::fs::read_to_string(&log).expect("the log");
    assert!(text.lines().count() >= 4 && !text.contains("s3cr3t"), "{text}");
}
