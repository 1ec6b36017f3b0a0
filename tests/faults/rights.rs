//! The capabilities and files that a call gives up, as strace and the kernel see
//! it, and what happens where that fails.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::json;

use super::{Enrolled, Pod, RULES};
use crate::support::pod::kubelet_dirs;
use crate::support::{host, strace, wait_for};

/// What strace shows of a thread that may do nothing else.
const ONLY_NET_ADMIN: &str =
    "{effective=1<<CAP_NET_ADMIN, permitted=1<<CAP_NET_ADMIN, inheritable=0}";

/// The same until the namespace is entered.
const TO_ENTER: &str = "{effective=1<<CAP_DAC_READ_SEARCH|1<<CAP_NET_ADMIN|1<<CAP_SYS_CHROOT|1<<CAP_SYS_PTRACE|1<<CAP_SYS_ADMIN, \
    permitted=1<<CAP_DAC_READ_SEARCH|1<<CAP_NET_ADMIN|1<<CAP_SYS_CHROOT|1<<CAP_SYS_PTRACE|1<<CAP_SYS_ADMIN, inheritable=0}";

/// The bits of the same in `/proc/PID/status` (`linux/capability.h`).
const NET_ADMIN_BIT: u64 = 1 << 12;
const TO_ENTER_BITS: u64 = NET_ADMIN_BIT | 1 << 2 | 1 << 18 | 1 << 19 | 1 << 21;

/// Each message to the kernel is sent, and each socket opened, by a thread
/// that could do nothing else to the node.
#[test]
fn whoever_speaks_to_the_kernel_has_no_right_but_net_admin() {
    Enrolled::each(|enrolled| {
        let pod = Pod::new(enrolled);
        for verb in ["ADD", "CHECK", "ADD", "DEL"] {
            let (answer, trace) = strace::trace(&pod.call(verb));
            answer.ok();
            for name in ["socket", "sendto", "recvfrom"] {
                let mut calls = 0;
                for (line, rights) in trace.with_last(name, "capset") {
                    let rights = rights.unwrap_or_default();
                    assert!(
                        rights.contains(ONLY_NET_ADMIN) && rights.ends_with("= 0"),
                        "{verb}: {rights}\n{line}"
                    );
                    calls += 1;
                }
                assert!(calls > 0, "{verb}: no {name}");
            }
            // The input is read, and the namespace opened, by who may enter it.
            let (_, rights) = trace.with_last("read", "capset").last().expect("the input is read");
            assert!(rights.is_some_and(|rights| rights.contains(TO_ENTER)), "{verb}: {rights:?}");
            let asked: Vec<_> = trace.lines("prctl").collect();
            assert!(
                asked.iter().any(|line| line.starts_with("prctl(PR_SET_NO_NEW_PRIVS, 1,")),
                "{asked:?}"
            );
        }
    });
}

/// A call that ends with the test.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Started {
    /// The process has an empty directory as its root and as its working directory,
    /// and none of its descriptors is a directory.
    fn assert_no_file_is_in_reach(&self) {
        let proc = PathBuf::from(format!("/proc/{}", self.0.id()));
        for place in ["root", "cwd"] {
            let found = std::fs::read_link(proc.join(place)).expect("a link");
            assert_eq!(found, Path::new("/proc/tty/ldisc"), "{place}");
            assert_eq!(host::names_in(&proc.join(place)), [""; 0], "{place}");
        }
        for name in host::names_in(&proc.join("fd")) {
            assert!(!proc.join("fd").join(&name).is_dir(), "descriptor {name} is a directory");
        }
    }

    /// Waits until the process has exactly these capabilities.
    fn wait_for_capabilities(&self, bits: u64) {
        let path = format!("/proc/{}/status", self.0.id());
        wait_for("these capabilities", Duration::from_secs(60), || {
            let text = std::fs::read_to_string(&path).map_err(|error| error.to_string())?;
            let field = |name: &str| {
                let line = text.lines().find_map(|line| line.strip_prefix(name));
                line.map(str::trim).unwrap_or_default().to_owned()
            };
            let set = |name| u64::from_str_radix(&field(name), 16).unwrap_or(u64::MAX);
            let sets = [set("CapEff:"), set("CapPrm:"), set("CapInh:"), set("CapAmb:")];
            let met = sets == [bits, bits, 0, 0] && field("NoNewPrivs:") == "1";
            if met { Ok(()) } else { Err(text.clone()) }
        });
    }
}

/// The names of what is looked up by a path.
const BY_PATH: [&str; 9] =
    ["openat", "openat2", "open", "newfstatat", "statx", "readlink", "mkdirat", "rename", "unlink"];

/// Whoever speaks to the kernel has left the node's files, and looks for none.
#[test]
fn whoever_speaks_to_the_kernel_has_an_empty_root() {
    let mut pod = Pod::new(Enrolled::ByVolume);
    pod.conf["cniVersion"] = json!("1.1.0");
    for verb in ["ADD", "CHECK", "STATUS", "DEL"] {
        let (answer, trace) = strace::trace(&pod.call(verb));
        answer.ok();
        assert_eq!(trace.lines("chroot").count(), 1, "{verb}");
        for (name, earlier) in [("chdir", "chroot"), ("socket", "chdir")] {
            let mut calls = 0;
            for (line, last) in trace.with_last(name, earlier) {
                assert!(last.is_some_and(|last| last.ends_with("= 0")), "{verb}: {last:?}\n{line}");
                calls += 1;
            }
            assert!(calls > 0, "{verb}: no {name}");
        }
        for name in BY_PATH {
            // A descriptor's own state needs no path.
            let mut late = trace.with_last(name, "chroot").filter(|(_, left)| left.is_some());
            assert_eq!(late.find(|(line, _)| !line.contains("\"\"")), None, "{verb}");
        }
    }
}

/// A runtime that lacks the capability has no message of it at each call.
#[test]
fn without_the_right_to_change_the_root_an_add_says_nothing() {
    host::require(&["setpriv"]);
    let pod = Pod::new(Enrolled::ByVolume);
    let call = pod.call("ADD").under(["/usr/bin/setpriv", "--bounding-set=-sys_chroot"]);
    let answer = call.run();
    answer.ok();
    assert_eq!((answer.stderr.as_str(), pod.rules().as_str()), ("", RULES));
}

/// The kernel's own word, while the call waits: first for its input, then for
/// somebody to take an answer that is longer than a pipe.
#[test]
fn the_kernel_sees_the_rights_go() {
    let mut pod = Pod::new(Enrolled::ByVolume);
    pod.conf["prevResult"]["long"] = json!("x".repeat(1 << 18));
    let call = pod.call("ADD");
    let mut started = Started(call.spawn());
    started.wait_for_capabilities(TO_ENTER_BITS);
    call.feed(&mut started.0);
    started.wait_for_capabilities(NET_ADMIN_BIT);
    started.assert_no_file_is_in_reach();
    assert_eq!(pod.rules(), RULES);
    let mut answer = String::new();
    let mut stdout = started.0.stdout.take().expect("a pipe");
    stdout.read_to_string(&mut answer).expect("UTF-8");
    assert_eq!(answer, pod.conf["prevResult"].to_string());
    assert!(started.0.wait().expect("it ends").success());
}

/// A filter may refuse it: the pod starts all the same, and the log says so.
#[test]
fn rights_that_cannot_be_laid_down_are_told_and_stop_nothing() {
    Enrolled::each(|enrolled| {
        for (what, kept) in [
            ("capset:error=EPERM", "capabilities"),
            ("capget:error=EPERM", "capabilities"),
            ("prctl:error=EPERM", "capabilities"),
            ("chroot:error=EPERM", "files"),
            ("chroot:error=ENOENT", "files"),
            ("chdir:error=EACCES", "files"),
        ] {
            let dir = tempfile::tempdir().expect("a temporary directory");
            let mut pod = Pod::new(enrolled);
            pod.conf["logFile"] = json!(dir.path().join("osm-cni.log"));
            let (answer, trace) = strace::inject(&pod.call("ADD"), what);
            assert!(trace.was_injected(), "{what}: {trace:?}");
            assert_eq!(answer.ok(), pod.conf["prevResult"].to_string());
            assert_eq!(pod.rules(), RULES);
            let log = std::fs::read_to_string(dir.path().join("osm-cni.log")).expect("the log");
            for text in [&log, &answer.stderr] {
                let kept = format!("more {kept} than it needs");
                let said = text.lines().filter(|line| line.contains(&kept));
                assert_eq!(said.count(), 1, "{what}: {text}");
            }
            pod.assert_recovers(what);
        }
    });
}

/// `/proc/PID/ns/net` can be opened by a process that has all capabilities of
/// that process, or CAP_SYS_PTRACE. A runtime in a container often has only the
/// former.
#[test]
fn a_namespace_named_by_its_process_opens_without_the_right_to_trace() {
    host::require(&["setpriv", "unshare"]);
    let without = ["/usr/bin/setpriv", "--bounding-set=-sys_ptrace"];
    let mut holder = host::command(without[0]);
    // It reads a pipe of ours, so it ends with us, however we end.
    holder.args([without[1], "unshare", "--net", "cat"]).stdin(Stdio::piped());
    let holder = Started(holder.spawn().expect("setpriv starts"));
    let proc = PathBuf::from(format!("/proc/{}", holder.0.id()));
    wait_for("the namespace is made", Duration::from_secs(60), || {
        let comm = std::fs::read_to_string(proc.join("comm")).unwrap_or_default();
        if comm.trim() == "cat" { Ok(()) } else { Err(comm) }
    });
    let pod = Pod::new(Enrolled::ByVolume);
    let netns = proc.join("ns/net");
    for (what, call) in [("with", pod.call("ADD")), ("without", pod.call("ADD").under(without))] {
        let answer = call.netns(&netns).run();
        assert_eq!(answer.status, Some(0), "{what}: {answer:?}");
    }
    let rules = crate::support::namespace::run_inside(&netns, &["nft", "list", "ruleset"]);
    assert_eq!(rules, RULES);
}

/// Root without `DAC_OVERRIDE` reads a kubelet's directory that is another
/// user's, or a pod with a sidecar would not be redirected; and does without
/// the log where only that user may write.
#[test]
fn a_directory_that_is_not_roots_is_read_and_not_written() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let kubelet = dir.path().join("kubelet");
    kubelet_dirs(&kubelet, "uid-web-1", &["envoy-bootstrap-config-volume"]);
    let logs = dir.path().join("logs");
    host::make_dirs(&logs);
    for path in [&kubelet, &kubelet.join("pods"), &logs] {
        host::run(&["chown", "1000", &path.to_string_lossy()]);
        host::run(&["chmod", "0700", &path.to_string_lossy()]);
    }
    let mut pod = Pod::new(Enrolled::ByVolume);
    pod.conf["kubeletDir"] = json!(kubelet);
    pod.conf["logFile"] = json!(logs.join("osm-cni.log"));
    let annotations = &mut pod.conf["runtimeConfig"]["io.kubernetes.cri.pod-annotations"];
    annotations.as_object_mut().expect("a map").remove("openservicemesh.io/sidecar-injection");
    assert_eq!(pod.call("ADD").run().ok(), pod.conf["prevResult"].to_string());
    assert_eq!(pod.rules(), RULES, "its sidecar's volume was not seen");
    assert!(host::names_in(&logs).is_empty(), "a right was kept that nothing needs");
    pod.remove();
}

/// Without the right to search it, the same directory could hide a sidecar.
#[test]
fn a_directory_that_may_not_be_read_is_an_error_and_never_no_sidecar() {
    host::require(&["setpriv"]);
    let pod = Pod::new(Enrolled::ByVolume);
    let pods = pod.kubelet.path().join("pods");
    let path = pods.to_string_lossy();
    host::run(&["chown", "1000", &path]);
    host::run(&["chmod", "0700", &path]);
    let without = ["/usr/bin/setpriv", "--bounding-set=-dac_read_search,-dac_override"];
    let msg = pod.call("ADD").under(without).run().error(5);
    assert!(msg.contains("cannot find out whether"), "{msg}");
    assert!(msg.contains(&*path) && msg.contains("Permission denied"), "{msg}");
    assert_eq!(pod.rules(), "");
    pod.assert_recovers("a directory that may not be read");
}
