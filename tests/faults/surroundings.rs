//! The node around an ADD is in a bad state: the log's disk, the descriptors,
//! the pipes.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use nix::libc;
use serde_json::json;

use super::{Enrolled, Pod, RULES};
use crate::support::program::under_test;
use crate::support::stepped::Stepped;
use crate::support::{host, strace};

/// A file system of one page, or one that cannot be written; gone when dropped.
struct Tmpfs {
    dir: tempfile::TempDir,
}

impl Tmpfs {
    fn new(options: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().to_string_lossy();
        host::run(&["mount", "-t", "tmpfs", "-o", options, "osmt", &path]);
        Tmpfs { dir }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = host::try_run(&["umount", "-l", &self.dir.path().to_string_lossy()]);
    }
}

/// ADD goes well whatever becomes of the log.
#[track_caller]
fn add_with_log(enrolled: Enrolled, log: &Path) {
    let mut pod = Pod::new(enrolled);
    pod.conf["logFile"] = json!(log);
    let answer = pod.call("ADD").run();
    assert_eq!(answer.status, Some(0), "{}: {answer:?}", log.display());
    assert_eq!(pod.rules(), RULES);
    pod.call("CHECK").run().ok();
    pod.remove();
}

#[test]
fn a_log_that_cannot_be_written_stops_nothing() {
    Enrolled::each(|enrolled| {
        let full = Tmpfs::new("size=4k");
        host::write(&full.path().join("filler"), [0; 4096]);
        add_with_log(enrolled, &full.path().join("osm-cni.log"));

        let no_inodes = Tmpfs::new("size=64k,nr_inodes=1");
        add_with_log(enrolled, &no_inodes.path().join("osm-cni.log"));

        let read_only = Tmpfs::new("ro");
        add_with_log(enrolled, &read_only.path().join("osm-cni.log"));
        add_with_log(enrolled, &read_only.path().join("below/osm-cni.log"));

        let dir = tempfile::tempdir().expect("a temporary directory");
        add_with_log(enrolled, dir.path());
        add_with_log(enrolled, Path::new("/dev/full"));
        add_with_log(enrolled, Path::new("/proc/osm-cni.log"));
        let pipe = dir.path().join("pipe");
        host::run(&["mkfifo", &pipe.to_string_lossy()]);
        add_with_log(enrolled, &pipe);
        std::os::unix::fs::symlink("/etc/osm-cni-never.log", dir.path().join("link"))
            .expect("a link");
        add_with_log(enrolled, &dir.path().join("link"));
        assert!(!Path::new("/etc/osm-cni-never.log").exists(), "a link was followed");
    });
}

#[test]
fn a_missing_log_directory_is_made_and_the_log_is_the_owners_alone() {
    Enrolled::each(|enrolled| {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let log = dir.path().join("a/b/osm-cni.log");
        add_with_log(enrolled, &log);
        let mode = std::fs::metadata(&log).expect("the log").permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
    });
}

/// Somebody plants a link where the log's directory is missing, after it was
/// found missing: the directory below it is not made where the link leads.
#[test]
fn no_directory_of_the_log_is_made_behind_a_planted_link() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (on_the_way, elsewhere) = (dir.path().join("logs"), dir.path().join("elsewhere"));
    host::make_dirs(&elsewhere);
    let mut pod = Pod::new(Enrolled::ByVolume);
    pod.conf["logFile"] = json!(on_the_way.join("osm-cni/osm-cni.log"));
    let mut add = Stepped::start(&pod.call("ADD"));
    while add.step().expect("the log is opened").number != libc::SYS_openat2 {}
    add.step().expect("the directory is made");
    std::os::unix::fs::symlink(&elsewhere, &on_the_way).expect("planted");
    let answer = add.release();
    answer.ok();
    assert_eq!(pod.rules(), RULES);
    assert_eq!(host::names_in(&elsewhere), [""; 0], "a directory was made behind the link");
    let named = format!("{} is a symbolic link", on_the_way.display());
    assert!(answer.stderr.contains(&named), "{answer:?}");
}

/// The plugin's own command line, run by a shell that first does `how`.
fn shell(how: &str) -> [OsString; 4] {
    ["/bin/sh", "-c", &format!("{how} exec \"$0\" \"$@\""), "/usr/bin/env"].map(Into::into)
}

#[test]
fn an_answer_that_nobody_takes_leaves_all_rules() {
    Enrolled::each(|enrolled| {
        let mut pod = Pod::new(enrolled);
        let dir = tempfile::tempdir().expect("a temporary directory");
        let log = dir.path().join("osm-cni.log");
        pod.conf["logFile"] = json!(log);
        // Closed: the answer goes nowhere, and not into what is opened next.
        let answer = pod.call("ADD").under(shell("exec >&-;")).run();
        assert_eq!((answer.status, pod.rules().as_str()), (Some(0), RULES));
        let logged = std::fs::read_to_string(&log).expect("a log");
        assert_eq!(logged.lines().count(), 1, "{logged}");
        assert!(logged.contains("verb=ADD") && !logged.contains("cniVersion"), "{logged}");
        pod.remove();
        // The output is full: the runtime gets no answer, so the exit status must say so.
        let answer = pod.call("ADD").under(shell("exec >/dev/full;")).run();
        assert_eq!((answer.status, pod.rules().as_str()), (Some(1), RULES));
        pod.assert_recovers("a full standard output");
        // All of it closed.
        let answer = pod.call("ADD").under(shell("exec >&- 2>&- <&-;")).run();
        assert_eq!(answer.status, Some(1), "without input there is nothing to do: {answer:?}");
        pod.assert_recovers("closed standard streams");
    });
}

/// SIGPIPE would end the process, and the log would have no line of it.
#[test]
fn a_reader_that_has_gone_is_no_death() {
    let status = |configure: &dyn Fn(&mut Command) -> &mut Command| {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut command = host::command(under_test());
        configure(&mut command).stdout(writer).status().expect("started").code()
    };
    // Who closed the operator's pipe has read enough; a runtime has no answer.
    assert_eq!(status(&|command| command.arg("--help").env_remove("CNI_COMMAND")), Some(0));
    assert_eq!(status(&|command| command.env("CNI_COMMAND", "VERSION")), Some(1));
}

/// A runtime believes an exit status, not half of an answer beside it.
#[test]
fn an_answer_that_failed_once_is_not_tried_again() {
    Enrolled::each(|enrolled| {
        let pod = Pod::new(enrolled);
        for error in ["EIO", "ENOSPC", "EAGAIN"] {
            for (verb, status) in [("ADD", Some(1)), ("VERSION", Some(1)), ("CHECK", Some(0))] {
                let what = format!("write:error={error}:when=1");
                let (answer, trace) = strace::inject(&pod.call(verb), &what);
                assert_eq!(
                    (answer.status, answer.stdout.as_str()),
                    (status, ""),
                    "{verb}: {answer:?}"
                );
                let writes: Vec<_> = trace.lines("write").collect();
                assert_eq!(writes.len(), usize::from(status == Some(1)), "{verb}: {writes:?}");
                assert!(
                    writes.iter().all(|line| line.starts_with("write(1, ")),
                    "{verb}: {writes:?}"
                );
            }
            assert_eq!(pod.rules(), RULES);
            pod.assert_recovers(error);
            pod.remove();
        }
        // An error's answer is no different.
        let call = pod.call("ADD").without("CNI_IFNAME");
        let (answer, _) = strace::inject(&call, "write:error=EIO:when=2");
        assert_eq!((answer.status, answer.stdout.as_str()), (Some(1), ""), "{answer:?}");
    });
}

/// What is interrupted or taken in pieces is written to its end.
#[test]
fn an_answer_taken_in_pieces_is_whole() {
    Enrolled::each(|enrolled| {
        let pod = Pod::new(enrolled);
        let (answer, trace) = strace::inject(&pod.call("ADD"), "write:error=EINTR:when=1..3");
        assert!(trace.was_injected(), "{trace:?}");
        assert_eq!(answer.ok(), pod.conf["prevResult"].to_string());
        // strace says that some bytes were taken which were not: the rest follows.
        let (answer, _) = strace::inject(&pod.call("ADD"), "write:retval=10:when=1");
        assert_eq!(answer.ok(), &pod.conf["prevResult"].to_string()[10..]);
        pod.remove();
    });
}

#[test]
fn without_free_descriptors_an_add_fails_and_says_so() {
    Enrolled::each(|enrolled| {
        let pod = Pod::new(enrolled);
        let limit = |count: u32| -> Vec<OsString> {
            vec!["/usr/bin/prlimit".into(), format!("--nofile={count}:{count}").into()]
        };
        let mut refused = 0;
        for count in 0..12 {
            let answer = pod.call("ADD").under(limit(count)).run();
            pod.assert_lawful(&format!("{count} descriptors"), &answer, "");
            if answer.status == Some(1) {
                answer.error(5);
                refused += 1;
            }
            pod.assert_recovers(&format!("{count} descriptors"));
            pod.remove();
        }
        assert!(refused > 0, "a limit of descriptors was never met");
    });
}

#[test]
fn without_memory_an_add_ends_and_leaves_nothing() {
    Enrolled::each(|enrolled| {
        let pod = Pod::new(enrolled);
        for kib in [0, 64, 128, 256, 400, 512, 640, 768, 1024, 2048, 4096] {
            let limit = format!("--data={}", kib * 1024);
            let answer = pod.call("ADD").under(["/usr/bin/prlimit", &limit]).run();
            let what = format!("{kib} KiB of memory");
            pod.assert_lawful(&what, &answer, "");
            pod.assert_recovers(&what);
            pod.remove();
        }
    });
}
