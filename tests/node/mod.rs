//! The node's files: `install` and `uninstall` as the real binary, in
//! directories of their own.
#![expect(clippy::disallowed_methods, reason = "tests run programs and play other writers")]

mod audit;
mod both_meshes;
mod clocks;
mod directory;
mod fights;
mod hostile;
mod init_container;
mod kills;
mod log_lines;
pub(crate) mod manifests;
mod metrics;
mod primaries;
mod primary;
mod runtime;
mod settings;
mod withdrawal;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::program::under_test;

/// Far more than anything here takes; a hang is a failure, slowness is none.
const LIMIT: Duration = Duration::from_secs(60);
/// The name of our own list.
const OWN: &str = "00-osm-cni.conflist";

/// The programs of the networks that the tests use.
const PROGRAMS: [&str; 16] = [
    "aws-cni",
    "azure-vnet",
    "bandwidth",
    "bridge",
    "calico",
    "cilium-cni",
    "egress-cni",
    "firewall",
    "flannel",
    "loopback",
    "macvlan",
    "multus",
    "multus-shim",
    "portmap",
    "ptp",
    "weave-net",
];

/// A list that many tests start from.
const PRIMARY: &str = "{\n  \"cniVersion\": \"1.0.0\",\n  \"name\": \"pods\",\n  \"plugins\": [\n    {\"type\": \"bridge\", \"mtu\": 1500}\n  ]\n}\n";

/// A node: a plugin directory, a configuration directory, a settings directory.
struct Node {
    root: TempDir,
    bin: PathBuf,
    conf: PathBuf,
}

/// A running `install`.
struct Running {
    child: Child,
}

/// What distinguishes two states of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stat {
    inode: u64,
    modified: (i64, i64),
    mode: u32,
    bytes: Vec<u8>,
}

impl Node {
    fn empty() -> Self {
        Node::at(tempfile::tempdir().expect("a temporary directory"))
    }

    fn at(root: TempDir) -> Self {
        for dir in ["bin", "net.d", "config"] {
            fs::create_dir(root.path().join(dir)).expect("a directory");
        }
        let bin = root.path().join("bin");
        PROGRAMS.iter().for_each(|program| make_program(&bin.join(program)));
        let conf = root.path().join("net.d");
        Node { root, bin, conf }
    }

    fn with(files: &[(&str, &str)]) -> Self {
        let node = Node::empty();
        for (name, text) in files {
            node.write(name, text);
        }
        node
    }

    fn bin(&self) -> PathBuf {
        self.bin.clone()
    }

    fn conf(&self) -> PathBuf {
        self.conf.clone()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.conf().join(name)
    }

    fn settings(&self) -> PathBuf {
        self.root.path().join("config").join("config.json")
    }

    /// As an agent does it: a new file, renamed into place.
    fn write(&self, name: &str, text: &str) {
        let temporary = self.path(&format!(".{name}.agent"));
        fs::write(&temporary, text).expect("write");
        fs::rename(&temporary, self.path(name)).expect("rename");
    }

    fn read(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.path(name)).ok()
    }

    fn command(&self, verb: &str, args: &[&str]) -> Command {
        let mut command = Command::new(under_test());
        command.arg(verb).arg("--bin-dir").arg(self.bin());
        command.arg("--conf-dir").arg(self.conf()).args(args);
        command
    }

    fn run(&self, verb: &str, args: &[&str]) -> Output {
        self.command(verb, args).output().expect("the program runs")
    }

    /// `install --once`, which must work.
    fn install(&self, args: &[&str]) -> String {
        let output = self.run("install", &[&["--once"], args].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    fn check(&self, args: &[&str]) -> Result<String, String> {
        let output = self.run("install", &[&["--check"], args].concat());
        match output.status.code() {
            Some(0) => Ok(String::from_utf8(output.stdout).expect("UTF-8")),
            Some(1) => Err(stderr(&output)),
            other => panic!("exit code {other:?}: {}", stderr(&output)),
        }
    }

    fn uninstall(&self, args: &[&str]) {
        let output = self.run("uninstall", args);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    }

    /// `install` as a long-running repairer, once it is in place.
    fn start(&self, args: &[&str]) -> Running {
        let running = self.launch(args);
        wait_for("the first install", || self.check(&settings_only(args)).is_ok());
        running
    }

    /// The same, without waiting.
    fn launch(&self, args: &[&str]) -> Running {
        let log = fs::File::create(self.root.path().join("install.log")).expect("a log");
        let copy = log.try_clone().expect("a second descriptor");
        let child = self.command("install", args).stdout(log).stderr(copy).spawn();
        Running { child: child.expect("the program runs") }
    }

    /// A plugin's log with this text, which the node's settings name.
    fn plugin_log(&self, text: &str) -> PathBuf {
        let log = self.root.path().join("plugin.log");
        fs::write(&log, text).expect("write");
        let settings = json!({"logFile": log}).to_string();
        fs::write(self.settings(), settings).expect("write");
        log
    }

    /// Where a running `install` serves its metrics, once it does.
    fn metrics(&self) -> String {
        let mut address = None;
        wait_for("the address of the metrics", || {
            let log = self.log();
            let rest = log.split_once("metrics at http://").map(|(_, rest)| rest.to_owned());
            address = rest.and_then(|rest| Some(rest.split_once('/')?.0.to_owned()));
            address.is_some()
        });
        address.unwrap_or_default()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.root.path().join("install.log")).unwrap_or_default()
    }

    /// Every file of the configuration directory.
    fn state(&self) -> BTreeMap<String, Stat> {
        let items = fs::read_dir(self.conf()).expect("the directory");
        items
            .map(|item| item.expect("an entry").path())
            .map(|path| (name(&path), stat(&path)))
            .collect()
    }

    /// The bytes of every file of the configuration directory.
    fn bytes(&self) -> BTreeMap<String, Vec<u8>> {
        self.state().into_iter().map(|(name, stat)| (name, stat.bytes)).collect()
    }

    /// The names and types of the network that a runtime would use now: the
    /// first file by name that holds one, read as containerd reads it.
    fn network(&self) -> Option<(String, Vec<String>)> {
        network(&self.conf())
    }

    /// The network's plugin types.
    fn plugins(&self) -> Vec<String> {
        self.network().map(|(_, plugins)| plugins).unwrap_or_default()
    }
}

impl Running {
    fn signal(&self, signal: nix::sys::signal::Signal) {
        let id = i32::try_from(self.child.id()).expect("a process id");
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(id), signal).expect("kill");
    }

    /// SIGTERM, and the end that follows.
    fn stop(mut self) {
        self.signal(nix::sys::signal::Signal::SIGTERM);
        let mut code = None;
        wait_for("the end after SIGTERM", || {
            code = self.child.try_wait().expect("wait");
            code.is_some()
        });
        assert_eq!(code.and_then(|code| code.code()), Some(0));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The network of a directory, as a strict CNI reader sees it: the first file
/// by name decides, and a file that cannot be parsed is an error for the node.
fn network(dir: &Path) -> Option<(String, Vec<String>)> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .expect("the directory")
        .map(|item| name(&item.expect("an entry").path()))
        .filter(|name| [".conf", ".conflist", ".json"].iter().any(|end| name.ends_with(end)))
        .collect();
    names.sort_unstable();
    let first = names.first()?;
    let text = match fs::read_to_string(dir.join(first)) {
        Ok(text) => text,
        // Gone between the listing and the reading: look again.
        Err(_) => return network(dir),
    };
    let value: Value =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{first}: {error}: {text:?}"));
    let list = value["plugins"].as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
    let types = list.iter().map(|plugin| plugin["type"].as_str().expect("a type").to_owned());
    Some((value["name"].as_str().expect("a name").to_owned(), types.collect()))
}

/// A program that does nothing.
fn make_program(path: &Path) {
    fs::write(path, "#!/bin/false\n").expect("write");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("chmod");
}

/// The answer to a GET of a path, or nothing if nobody answers.
pub(crate) fn get(address: &str, path: &str) -> String {
    use std::io::{Read as _, Write as _};
    let mut answer = String::new();
    if let Ok(mut stream) = std::net::TcpStream::connect(address) {
        let _ = write!(stream, "GET {path} HTTP/1.1\r\nHost: node\r\n\r\n");
        let _ = stream.read_to_string(&mut answer);
    }
    answer
}

fn name(path: &Path) -> String {
    path.file_name().expect("a name").to_string_lossy().into_owned()
}

fn stat(path: &Path) -> Stat {
    let meta = fs::symlink_metadata(path).expect("stat");
    Stat {
        inode: meta.ino(),
        modified: (meta.mtime(), meta.mtime_nsec()),
        mode: meta.permissions().mode() & 0o7777,
        bytes: fs::read(path).unwrap_or_default(),
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Polls until it holds; the limit is for hangs only.
fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !holds() {
        assert!(Instant::now() < end, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The arguments that `--check` shares with a running `install`.
fn settings_only<'a>(args: &[&'a str]) -> Vec<&'a str> {
    let mut kept = Vec::new();
    let mut args = args.iter();
    while let Some(&option) = args.next() {
        let value = args.next();
        if option != "--metrics" {
            kept.push(option);
            kept.extend(value);
        }
    }
    kept
}
