//! Network namespaces of our own, gone when dropped. Makes and removes
//! namespaces by the name `osmt-PID-N`; those of dead processes are removed
//! first.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

use osm_cni::netns::Netns;
use osm_cni::nft::NftSocket;

use super::host;

const PREFIX: &str = "osmt-";
const DIRECTORY: &str = "/run/netns";

/// A fresh network namespace with its loopback device up.
pub(crate) struct TestNetns {
    name: String,
}

impl TestNetns {
    /// Makes one.
    ///
    /// # Panics
    /// Where it can't be made: these tests need root.
    pub(crate) fn new() -> Self {
        static LEFTOVERS: Once = Once::new();
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        LEFTOVERS.call_once(remove_leftovers);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}-{number}", std::process::id());
        host::run(&["ip", "netns", "add", &name]);
        let netns = TestNetns { name };
        netns.exec(&["ip", "link", "set", "lo", "up"]);
        netns
    }

    /// Removes it before its time.
    pub(crate) fn delete(&self) {
        host::run(&["ip", "netns", "del", &self.name]);
    }

    /// Another one by the name of the one that was removed.
    pub(crate) fn make_anew(&self) {
        host::run(&["ip", "netns", "add", &self.name]);
    }

    /// Where it is mounted.
    pub(crate) fn path(&self) -> PathBuf {
        Path::new(DIRECTORY).join(&self.name)
    }

    /// A socket to its nf_tables, made as the plugin makes it.
    pub(crate) fn nft(&self) -> NftSocket {
        let netns = Netns::open(&self.path()).expect("a network namespace");
        netns.run(NftSocket::open).expect("entered").expect("a netlink socket")
    }

    /// Runs a program inside and returns its output.
    ///
    /// # Panics
    /// Where it fails.
    pub(crate) fn exec(&self, command: &[&str]) -> String {
        let mut all = vec!["ip", "netns", "exec", &self.name];
        all.extend(command);
        host::run(&all)
    }

    /// Loads rules with nft, as a damaging hand would.
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
    let entries = std::fs::read_dir(DIRECTORY).into_iter().flatten().flatten();
    for name in entries.filter_map(|entry| entry.file_name().into_string().ok()) {
        let pid = name.strip_prefix(PREFIX).and_then(|rest| rest.split_once('-'));
        if pid.is_some_and(|(pid, _)| !Path::new("/proc").join(pid).exists()) {
            let _ = host::try_run(&["ip", "netns", "del", &name]);
        }
    }
}
