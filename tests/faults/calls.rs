//! Every system call of an ADD fails once, with each error that such a call
//! may have.

use std::sync::Mutex;

use super::Pod;
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
        "openat" => &["ENOENT", "EACCES", "EMFILE", "EINTR", "ENOSPC", "EROFS"],
        "read" => &["EINTR", "EIO", "EAGAIN"],
        "write" => &["EINTR", "ENOSPC", "EPIPE", "EIO", "EAGAIN"],
        "clone3" | "clone" => &["EAGAIN", "ENOMEM", "ENOSYS"],
        // How the C library begins and ends a process or a thread; a failure
        // of these is its own business, or (exit) cannot be.
        "exit" | "exit_group" | "arch_prctl" | "set_tid_address" | "futex" => &[],
        _ => &["EPERM", "ENOMEM"],
    }
}

#[test]
fn whatever_system_call_fails_there_are_all_rules_or_none() {
    let traced = Pod::new();
    let (answer, trace) = strace::trace(&traced.call("ADD"));
    answer.ok();
    let places = trace.places().into_iter();
    let faults: Vec<String> = places
        .flat_map(|Place { name, nth }| {
            errors(&name).iter().map(move |error| format!("{name}:error={error}:when={nth}"))
        })
        .collect();
    let todo = Mutex::new(faults.iter());
    let told = Mutex::new((0, 0, 0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let pod = Pod::new();
                loop {
                    let Some(what) = todo.lock().expect("no panic before").next() else { return };
                    let (answer, trace) = strace::inject(&pod.call("ADD"), what);
                    pod.assert_lawful(what, &answer, "");
                    let mut told = told.lock().expect("no panic before");
                    match answer.status {
                        Some(0) => told.0 += 1,
                        Some(_) => told.1 += 1,
                        None => told.2 += 1,
                    }
                    drop(told);
                    if trace.was_injected() {
                        pod.assert_recovers(what);
                    }
                    pod.remove();
                }
            });
        }
    });
    let (well, failed, signals) = told.into_inner().expect("no panic before");
    println!(
        "{} faults: {well} made no difference, {failed} were told, {signals} ended it",
        faults.len()
    );
    assert!(failed > 20 && well > 20, "{failed} failed, {well} did not");
}

/// What is told is what happened: a code, and the call in words.
#[test]
fn the_netlink_sockets_failures_are_told() {
    let cases = [
        ("socket:error=EPERM:when=1", 5, "netlink socket"),
        ("socket:error=EPROTONOSUPPORT:when=1", 102, "CONFIG_NETFILTER_NETLINK"),
        ("setns:error=EPERM:when=1", 5, "cannot enter network namespace"),
        ("setns:error=EINVAL:when=1", 101, "another kind"),
        ("sendto:error=ENOBUFS:when=1", 5, "buffer"),
        ("sendto:error=ENOBUFS:when=3", 5, "cannot send the rules"),
        ("sendto:retval=100:when=3", 5, "cannot send the rules"),
        ("recvfrom:error=EAGAIN:when=3", 5, "may or may not be in place"),
        ("recvfrom:error=ENOBUFS:when=3", 5, "may or may not be in place"),
    ];
    for (injection, code, expected) in cases {
        let pod = Pod::new();
        let (answer, _) = strace::inject(&pod.call("ADD"), injection);
        let msg = answer.error(code);
        assert!(msg.contains(expected), "{injection}: {msg}");
        pod.assert_lawful(injection, &answer, "");
        pod.assert_recovers(injection);
    }
}

#[test]
fn interrupted_calls_are_made_again() {
    let pod = Pod::new();
    for name in ["sendto", "recvfrom"] {
        for nth in 1..=3 {
            let (answer, trace) =
                strace::inject(&pod.call("ADD"), &format!("{name}:error=EINTR:when={nth}"));
            assert!(trace.was_injected(), "{trace:?}");
            answer.ok();
            pod.remove();
        }
    }
}
