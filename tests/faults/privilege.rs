//! What the plugin does as root: which system calls, and what it writes.

use std::collections::BTreeSet;
use std::path::Path;

use osm_cni::journal::ROTATE_AT;
use serde_json::json;

use super::{Enrolled, Pod};
use crate::support::plugin::{Call, annotated, conf};
use crate::support::strace::{self, Trace};

/// Calls that only other builds make: those of the dynamic loader, and the check
/// of descriptors in debug builds (`fcntl`).
const OTHER_BUILDS: [&str; 3] = ["access", "close_range", "fcntl"];

/// Depends on the allocator.
const NOW_AND_THEN: [&str; 2] = ["mmap", "munmap"];

/// The golden: the system calls of an ADD, and those that only other paths make.
fn known() -> (BTreeSet<&'static str>, BTreeSet<&'static str>) {
    let text = include_str!("../golden/syscalls.txt");
    let (add, others) = text.split_once("\n\n").expect("an empty line between the two");
    let names = |text: &'static str| text.lines().filter(|line| !line.starts_with('#')).collect();
    (names(add), names(others))
}

#[test]
fn the_system_calls_of_an_add_are_known() {
    let mut pod = Pod::new(Enrolled::ByVolume);
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (known, _) = known();
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

/// Every path of a call, with its name. A call may fail on its path.
fn paths() -> Vec<(String, Trace)> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = |name: &str| dir.path().join(name);
    let mut pod = Pod::new(Enrolled::ByVolume);
    pod.conf["cniVersion"] = json!("1.1.0");
    pod.conf["logLevel"] = json!("trace");
    let mut traces = Vec::new();
    let mut walk = |name: &str, call: &Call| {
        traces.push((name.to_owned(), strace::trace(call).1));
    };
    let logged = |verb: &str, log: &Path| {
        let mut conf = pod.conf.clone();
        conf["logFile"] = json!(log);
        Call::new(verb, &conf).netns(&pod.netns.path())
    };

    walk("a missing log directory", &logged("ADD", &path("a/b/osm-cni.log")));
    for verb in ["ADD", "CHECK", "GC", "STATUS", "VERSION", "DEL", "DEL", "CHECK", "UPDATE"] {
        walk(verb, &logged(verb, &path("osm-cni.log")));
    }
    pod.touch();
    walk("an ADD beside other rules", &pod.call("ADD"));
    walk("an ADD over another's rules", &pod.earlier());
    walk("a DEL of a pod that lives on", &pod.call("DEL").env("CNI_IFNAME", "net1"));

    let line = "2026-01-02T03:04:05Z [WARN] unknown field x is ignored\n";
    let large = line.repeat((ROTATE_AT as usize).div_ceil(line.len()));
    std::fs::write(path("large.log"), large).expect("written");
    walk("a log that is rotated and tightened", &logged("ADD", &path("large.log")));
    std::os::unix::fs::symlink("a", path("link")).expect("linked");
    walk("a log behind a link", &logged("ADD", &path("link/osm-cni.log")));
    walk("a log that is a link", &logged("ADD", &path("link")));
    walk("a log that cannot be made", &logged("ADD", Path::new("/proc/none/osm-cni.log")));
    walk("a full disk", &logged("ADD", Path::new("/dev/full")));

    let mut long = pod.conf.clone();
    let ranges: Vec<_> =
        (0..10_000).map(|n| format!("{}.{}.1.1/32", 1 + n / 250, n % 250)).collect();
    let ports: Vec<_> = (0..10_000).map(|n| 2 * n + 1).collect();
    long["ipv6"] = json!("redirect");
    long["traffic"]["outboundIPRangeExclusionList"] = json!(ranges);
    long["traffic"]["outboundPortExclusionList"] = json!(ports);
    for verb in ["ADD", "CHECK", "DEL"] {
        walk("10,000 ranges", &Call::new(verb, &long).netns(&pod.netns.path()));
    }

    for netns in
        ["", "/", "/dev/null", "/run/netns/osmt-none", "/proc/self/ns/net", "/proc/self/ns/uts"]
    {
        for verb in ["ADD", "CHECK", "DEL"] {
            walk(&format!("{verb} in {netns:?}"), &pod.call(verb).env("CNI_NETNS", netns));
        }
    }
    walk("no environment", &pod.call("ADD").without("CNI_IFNAME").without("CNI_NETNS"));
    walk("no input", &pod.call("ADD").stdin(""));
    walk("too much input", &pod.call("ADD").stdin(vec![b' '; (16 << 20) + 1]));
    let mut wrong = pod.conf.clone();
    wrong["traffic"]["outboundPortExclusionList"] = json!([70_000]);
    walk("wrong settings", &Call::new("ADD", &wrong).netns(&pod.netns.path()));
    let mut elsewhere = pod.conf.clone();
    elsewhere["kubeletDir"] = json!(path("none"));
    walk("no kubelet", &Call::new("ADD", &elsewhere).netns(&pod.netns.path()));
    traces
}

/// A seccomp profile made of the list must be enough for every path, and no call
/// may stand in it that none makes.
#[test]
fn the_system_calls_of_all_paths_are_known() {
    let (add, others) = known();
    let both: Vec<_> = add.intersection(&others).collect();
    assert!(both.is_empty(), "listed twice: {both:?}");
    let paths = paths();
    for (path, trace) in &paths {
        let more: Vec<_> = trace
            .names()
            .into_iter()
            .filter(|name| !add.contains(name) && !others.contains(name))
            .filter(|name| !OTHER_BUILDS.contains(name))
            .collect();
        assert!(more.is_empty(), "{path}: the golden does not have {more:?}");
    }
    let made: BTreeSet<_> = paths.iter().flat_map(|(_, trace)| trace.names()).collect();
    let less: Vec<_> = others.iter().filter(|name| !made.contains(*name)).collect();
    assert!(less.is_empty(), "no path makes these system calls: {less:?}");
}

/// One of each: nothing else is opened, entered or run.
#[test]
fn an_add_opens_one_socket_enters_one_namespace_and_runs_nothing() {
    let pod = Pod::new(Enrolled::ByVolume);
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
            let mut pod = Pod::new(Enrolled::ByVolume);
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
