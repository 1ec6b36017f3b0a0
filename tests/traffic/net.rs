//! The door of the traffic tests to the machine: programs and threads inside a
//! test's network namespace.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::support::netns::TestNetns;

/// A test's namespace in which IPv6 addresses are ready at once.
pub(super) struct Netns {
    netns: TestNetns,
    inside: osm_cni::netns::Netns,
}

impl Netns {
    pub(super) fn new() -> Self {
        let netns = TestNetns::new();
        let inside = osm_cni::netns::Netns::open(&netns.path()).expect("a network namespace");
        let netns = Netns { netns, inside };
        netns.inside(no_duplicate_address_detection);
        netns
    }

    /// Its name, as `ip` knows it.
    pub(super) fn name(&self) -> String {
        let path = self.path();
        path.file_name().expect("a name").to_string_lossy().into_owned()
    }

    pub(super) fn path(&self) -> PathBuf {
        self.netns.path()
    }

    /// Does `work` on a thread born for it inside. Sockets made there stay in
    /// the namespace wherever they are used.
    pub(super) fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.inside.run(work).expect("root may enter")
    }

    /// Runs a program inside for at most a minute, with this on its standard
    /// input, and returns what it prints.
    ///
    /// # Panics
    /// With the program's own words where it fails.
    pub(super) fn run(&self, words: &[&str], stdin: &str) -> String {
        let output = self.inside(|| {
            let mut child = self.command(words).spawn()?;
            // A program that does not read its input closes the pipe.
            let _ = child.stdin.take().expect("a pipe").write_all(stdin.as_bytes());
            child.wait_with_output()
        });
        let output = output.unwrap_or_else(|error| panic!("{words:?}: {error}"));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {}: {stderr}\n{stdin}", output.status);
        String::from_utf8(output.stdout).expect("programs print UTF-8")
    }

    #[expect(clippy::disallowed_methods, reason = "tests ask ip, nft and iptables")]
    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("timeout");
        command.arg("60").args(words);
        // iptables-legacy locks the machine; here each namespace is for itself.
        command.env("XTABLES_LOCKFILE", self.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

/// Seconds in which no other host could have our address are seconds lost.
#[expect(clippy::disallowed_methods, reason = "tests set up their namespaces")]
fn no_duplicate_address_detection() {
    for which in ["all", "default"] {
        let file = format!("/proc/sys/net/ipv6/conf/{which}/accept_dad");
        fs::write(&file, "0").unwrap_or_else(|error| panic!("{file}: {error}"));
    }
}
