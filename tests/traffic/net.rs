//! The door of the traffic tests to the machine: programs, and network
//! namespaces that are gone afterwards, also after a run that was killed.
#![allow(clippy::disallowed_methods, reason = "tests run programs and enter namespaces")]

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio, id};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use nix::sched::{CloneFlags, setns};

/// Where `ip netns` keeps its namespaces.
const NAMED: &str = "/run/netns";

/// A named network namespace, its loopback interface up, without waiting for
/// duplicate IPv6 addresses.
#[derive(Debug)]
pub(super) struct Netns {
    name: String,
    file: File,
}

impl Netns {
    pub(super) fn new(label: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        static LEFTOVERS: Once = Once::new();
        LEFTOVERS.call_once(remove_leftovers);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("osmt-{}-{count}-{label}", id());
        run(&["ip", "netns", "add", &name], "", None);
        let file = File::open(Path::new(NAMED).join(&name)).expect("the namespace is there");
        let netns = Netns { name, file };
        netns.inside(|| {
            for which in ["all", "default"] {
                let file = format!("/proc/sys/net/ipv6/conf/{which}/accept_dad");
                fs::write(&file, "0").unwrap_or_else(|error| panic!("{file}: {error}"));
            }
        });
        netns.run(&["ip", "link", "set", "lo", "up"], "");
        netns
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn path(&self) -> PathBuf {
        Path::new(NAMED).join(&self.name)
    }

    /// Does `work` on a thread born for it inside. Sockets made there stay in
    /// the namespace wherever they are used.
    pub(super) fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let thread = scope.spawn(|| {
                setns(&self.file, CloneFlags::CLONE_NEWNET).expect("root may enter");
                work()
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Runs a program inside, with this on its standard input; it must succeed.
    pub(super) fn run(&self, words: &[&str], stdin: &str) -> String {
        self.inside(|| run(words, stdin, Some(&self.path())))
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        let status = Command::new("ip").args(["netns", "del", &self.name]).status();
        if !status.as_ref().is_ok_and(|status| status.success()) {
            eprintln!("clean-up of {}: {status:?}", self.name);
        }
    }
}

/// Runs a program for at most a minute; panics with its words if it fails.
/// iptables-legacy's lock is one for the whole machine; here it is `lock`.
fn run(words: &[&str], stdin: &str, lock: Option<&Path>) -> String {
    let mut child = Command::new("timeout")
        .arg("60")
        .args(words)
        .envs(lock.map(|file| ("XTABLES_LOCKFILE", file)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{words:?}: {error}"));
    // A program that does not read its input closes the pipe.
    let _ = child.stdin.take().expect("a pipe").write_all(stdin.as_bytes());
    let output = child.wait_with_output().unwrap_or_else(|error| panic!("{words:?}: {error}"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?}: {}: {stderr}\n{stdin}", output.status);
    String::from_utf8(output.stdout).expect("programs print UTF-8")
}

/// Removes what runs left behind whose process is gone.
fn remove_leftovers() {
    let names = fs::read_dir(NAMED).into_iter().flatten().flatten();
    for name in names.filter_map(|entry| entry.file_name().into_string().ok()) {
        let owner = name.strip_prefix("osmt-").and_then(|rest| rest.split('-').next());
        let owner = owner.and_then(|pid| pid.parse::<u32>().ok());
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists()) {
            let _ = Command::new("ip").args(["netns", "del", &name]).status();
        }
    }
}
