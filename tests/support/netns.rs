//! The network namespaces that tests, benchmark and demonstration make; dropping
//! one removes it. I/O: makes and removes namespaces below /run/netns, runs
//! programs in them.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

use osm_cni::netns::Netns;
use osm_cni::nft::NftSocket;

use super::{host, namespace};

/// Unnamed ones are called `osmt-PID-N`.
const PREFIX: &str = "osmt-";
const DIRECTORY: &str = "/run/netns";

/// A fresh network namespace with its loopback device up.
#[derive(Debug)]
pub(crate) struct TestNetns {
    name: String,
}

impl TestNetns {
    /// Makes one. The first of a process also removes those of processes that
    /// no longer exist.
    ///
    /// # Panics
    /// If it cannot be made: root is needed.
    pub(crate) fn new() -> Self {
        static LEFTOVERS: Once = Once::new();
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        LEFTOVERS.call_once(remove_leftovers);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Self::named(format!("{PREFIX}{}-{number}", std::process::id()))
    }

    /// Makes one of this name.
    pub(crate) fn named(name: String) -> Self {
        host::run(&["ip", "netns", "add", &name]);
        let netns = TestNetns { name };
        netns.ip("link set lo up");
        netns
    }

    /// Removes it early.
    pub(crate) fn delete(&self) {
        host::run(&["ip", "netns", "del", &self.name]);
    }

    /// Recreates it after it was removed, under the same name.
    pub(crate) fn recreate(&self) {
        host::run(&["ip", "netns", "add", &self.name]);
    }

    /// Its name, as `ip` knows it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Where it is mounted.
    pub(crate) fn path(&self) -> PathBuf {
        Path::new(DIRECTORY).join(&self.name)
    }

    /// Runs `ip` inside; spaces separate its arguments.
    pub(crate) fn ip(&self, arguments: &str) -> String {
        let words = ["ip", "-n", &self.name].into_iter().chain(arguments.split(' '));
        host::run(&words.collect::<Vec<_>>())
    }

    /// IPv6 addresses are ready at once, not after a second of duplicate address
    /// detection.
    pub(crate) fn without_duplicate_address_detection(self) -> Self {
        for which in ["all", "default"] {
            let file = format!("/proc/sys/net/ipv6/conf/{which}/accept_dad");
            self.inside(|| host::write(Path::new(&file), "0"));
        }
        self
    }

    /// Does `work` inside, on a thread that ends with it.
    pub(crate) fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        namespace::inside(&self.path(), work)
    }

    /// A socket to its nf_tables, made as the plugin makes it.
    pub(crate) fn nft(&self) -> NftSocket {
        let netns = Netns::open(&self.path()).expect("a network namespace");
        netns.run(NftSocket::open).expect("entered").expect("a netlink socket")
    }

    /// Runs a program inside and returns its output.
    ///
    /// # Panics
    /// If it fails.
    pub(crate) fn exec(&self, command: &[&str]) -> String {
        host::run(&[&["ip", "netns", "exec", &self.name][..], command].concat())
    }

    /// Runs a program inside for at most a minute, with this standard input, and
    /// returns its output.
    ///
    /// # Panics
    /// If it fails, with its standard error.
    pub(crate) fn run(&self, words: &[&str], stdin: &str) -> String {
        let mut command = host::command("timeout");
        command.arg("60").args(words);
        // iptables-legacy locks the machine; each namespace has rules of its own.
        command.env("XTABLES_LOCKFILE", self.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let output = self.inside(|| {
            let mut child = command.spawn()?;
            // A program that does not read its input closes the pipe.
            let _ = child.stdin.take().expect("a pipe").write_all(stdin.as_bytes());
            child.wait_with_output()
        });
        let output = output.unwrap_or_else(|error| panic!("{words:?}: {error}"));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {}: {stderr}\n{stdin}", output.status);
        String::from_utf8(output.stdout).expect("programs print UTF-8")
    }

    /// Loads rules with nft.
    pub(crate) fn nft_load(&self, rules: &str) {
        self.nft_load_by("nft", rules);
    }

    /// Loads rules with this nft.
    pub(crate) fn nft_load_by(&self, nft: &str, rules: &str) {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        file.write_all(rules.as_bytes()).expect("written");
        self.exec(&[nft, "-f", &file.path().to_string_lossy()]);
    }

    /// What nft lists.
    pub(crate) fn nft_list(&self) -> String {
        self.exec(&["nft", "list", "ruleset"])
    }
}

impl Drop for TestNetns {
    fn drop(&mut self) {
        let _ = host::try_run(&["ip", "netns", "del", &self.name]);
    }
}

fn remove_leftovers() {
    for name in host::names_in(Path::new(DIRECTORY)) {
        let pid = name.strip_prefix(PREFIX).and_then(|rest| rest.split_once('-'));
        if pid.is_some_and(|(pid, _)| !Path::new("/proc").join(pid).exists()) {
            let _ = host::try_run(&["ip", "netns", "del", &name]);
        }
    }
}
