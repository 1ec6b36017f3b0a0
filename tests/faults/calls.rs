//! Every system call of an ADD fails once, with each error that such a call
//! may have.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use super::{Enrolled, Pod, each_in_a_pod};
use crate::support::strace::{self, Place};

/// Errors that these system calls really have, or that a seccomp filter gives
/// them. All others: `EPERM`, as from a filter, and `ENOMEM`.
fn errors(name: &str) -> &'static [&'static str] {
    match name {
        "socket" => &["EPERM", "EACCES", "EMFILE", "ENFILE", "EAFNOSUPPORT", "EPROTONOSUPPORT"],
        "sendto" => &["EINTR", "ENOBUFS", "EPERM", "EMSGSIZE", "ECONNREFUSED", "EAGAIN"],
        "recvfrom" => &["EINTR", "ENOBUFS", "EAGAIN", "ENOMEM"],
        "setsockopt" => &["ENOPROTOOPT", "EPERM", "EDOM"],
        "setns" => &["EPERM", "EINVAL", "ENOMEM"],
        "openat" => &[
            "ENOENT", "EACCES", "EMFILE", "ENFILE", "ENOMEM", "EIO", "EINTR", "ESTALE", "ELOOP",
            "ENOSPC", "EROFS",
        ],
        "getdents64" => &["EPERM", "ENOMEM", "EIO", "ESTALE", "EINTR"],
        "newfstatat" => &["EPERM", "ENOMEM", "EIO", "ESTALE", "EACCES"],
        "read" => &["EINTR", "EIO", "EAGAIN"],
        "write" => &["EINTR", "ENOSPC", "EPIPE", "EIO", "EAGAIN"],
        "clone3" | "clone" => &["EAGAIN", "ENOMEM", "ENOSYS"],
        // How the C library begins and ends a process or a thread; a failure
        // of these is its own business, or (exit) cannot be.
        "exit" | "exit_group" | "arch_prctl" | "set_tid_address" | "futex" => &[],
        _ => &["EPERM", "ENOMEM"],
    }
}

/// Each system call of an ADD fails, in a namespace that was prepared by
/// `prepare`.
fn failed_everywhere(enrolled: Enrolled, prepare: impl Fn(&Pod) + Sync) {
    let traced = Pod::new(enrolled);
    prepare(&traced);
    let (answer, trace) = strace::trace(&traced.call("ADD"));
    answer.ok();
    let places = trace.places().into_iter();
    let faults: Vec<String> = places
        .flat_map(|Place { name, nth }| {
            errors(&name).iter().map(move |error| format!("{name}:error={error}:when={nth}"))
        })
        .collect();
    let (well, failed, signals) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    each_in_a_pod(enrolled, &faults, |pod, what| {
        prepare(pod);
        let (answer, trace) = strace::inject(&pod.call("ADD"), what);
        pod.assert_lawful(what, &answer, "");
        let outcome = match answer.status {
            Some(0) => &well,
            Some(_) => &failed,
            None => &signals,
        };
        outcome.fetch_add(1, Ordering::Relaxed);
        if trace.was_injected() {
            pod.assert_recovers(what);
        }
    });
    let [well, failed, signals] = [well, failed, signals].map(AtomicUsize::into_inner);
    println!(
        "{} faults: {well} made no difference, {failed} were told, {signals} ended it",
        faults.len()
    );
    assert!(failed > 20 && well > 20, "{failed} failed, {well} did not");
}

#[test]
fn whatever_system_call_fails_there_are_all_rules_or_none() {
    Enrolled::each(|enrolled| failed_everywhere(enrolled, |_| {}));
}

#[test]
fn whatever_system_call_fails_beside_other_rules_there_are_all_of_ours_or_none() {
    Enrolled::each(|enrolled| failed_everywhere(enrolled, Pod::touch));
}

/// The error says what happened: its code, and the system call in words.
#[test]
fn the_netlink_sockets_failures_are_told() {
    Enrolled::each(|enrolled| {
        let fresh = [
            ("socket:error=EPERM:when=1", 5, "netlink socket"),
            ("socket:error=EPROTONOSUPPORT:when=1", 102, "CONFIG_NETFILTER_NETLINK"),
            ("setns:error=EPERM:when=1", 5, "cannot enter network namespace"),
            ("setns:error=EINVAL:when=1", 101, "another kind"),
            ("sendto:error=ENOBUFS:when=1", 5, "cannot send the rules"),
            ("sendto:retval=100:when=1", 5, "cannot send the rules"),
            ("recvfrom:error=EAGAIN:when=1", 5, "may or may not be in place"),
            ("recvfrom:error=ENOBUFS:when=1", 5, "may or may not be in place"),
        ];
        // the rules, refused since there were others; two requests; the rules again
        let beside = [
            ("sendto:error=ENOBUFS:when=2", 5, "cannot read the owner of the rules"),
            ("sendto:error=ENOBUFS:when=4", 5, "cannot send the rules"),
            ("recvfrom:error=EAGAIN:when=5", 5, "may or may not be in place"),
        ];
        let fresh = fresh.map(|case| (false, case));
        for (touched, (injection, code, expected)) in
            fresh.into_iter().chain(beside.map(|case| (true, case)))
        {
            let pod = Pod::new(enrolled);
            if touched {
                pod.touch();
            }
            let (answer, _) = strace::inject(&pod.call("ADD"), injection);
            let msg = answer.error(code);
            assert!(msg.contains(expected), "{injection}: {msg}");
            pod.assert_lawful(injection, &answer, "");
            pod.assert_recovers(injection);
        }
    });
}

/// Runtimes repeat STATUS every few seconds, on a node where no pod is at fault.
#[test]
fn a_status_without_nf_tables_is_one_short_line_about_the_node() {
    let mut pod = Pod::new(Enrolled::ByVolume);
    pod.conf["cniVersion"] = json!("1.1.0");
    for error in ["EPROTONOSUPPORT", "EPERM", "EMFILE"] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let log = dir.path().join("osm-cni.log");
        pod.conf["logFile"] = json!(log);
        let (answer, trace) = strace::inject(&pod.call("STATUS"), &format!("socket:error={error}"));
        answer.ok();
        assert!(trace.was_injected(), "{trace:?}");
        let text = std::fs::read_to_string(&log).expect("the log");
        assert_eq!((text.lines().count(), text.len() < 300), (1, true), "{text}");
        assert!(text.contains("pods of the mesh cannot start on this node: "), "{text}");
        assert!(!text.contains("namespace"), "{text}");
    }
}

#[test]
fn interrupted_calls_are_made_again() {
    Enrolled::each(|enrolled| {
        let pod = Pod::new(enrolled);
        for name in ["sendto", "recvfrom"] {
            for nth in 1..=4 {
                pod.touch();
                let (answer, trace) =
                    strace::inject(&pod.call("ADD"), &format!("{name}:error=EINTR:when={nth}"));
                assert!(trace.was_injected(), "{trace:?}");
                answer.ok();
                pod.remove();
            }
        }
    });
}
