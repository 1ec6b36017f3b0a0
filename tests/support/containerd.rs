//! A private containerd with its own network namespace, root, state, socket and
//! CNI directories, and with images made on the spot. It runs pods as soon as
//! it has a network configuration. Dropping it removes everything it made.
//! I/O: starts containerd, writes into the test's own directory.

use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::Value;

use super::cri::{Cri, StatusResponse};
use super::netns::TestNetns;
use super::rundir::RunDir;
use super::{host, image, program, wait_for};

/// Where the distribution puts the standard CNI plugins.
const CNI_PLUGINS: &str = "usr/lib/cni";

/// The plugins of it that the tests' networks use; containerd itself wants
/// `loopback`.
const PLUGINS: [&str; 4] = ["bridge", "host-local", "loopback", "portmap"];

/// The programs that every node needs beside its containerd.
const PROGRAMS: [&str; 6] = ["ip", "iptables", "nft", "nsenter", "runc", "umount"];

/// Which containerd a node runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// The one that this machine has installed: 1.6 on Debian 12.
    Installed,
    /// That of Debian's newest suite, 2.1 or later, which
    /// `scripts/debian-package.sh` fetches. Its programs are static.
    Newest,
}

impl Default for Version {
    /// `OSM_CNI_CONTAINERD=newest` runs all tests with the newest one.
    fn default() -> Self {
        match std::env::var("OSM_CNI_CONTAINERD").as_deref() {
            Err(_) | Ok("installed") => Self::Installed,
            Ok("newest") => Self::Newest,
            Ok(other) => panic!("OSM_CNI_CONTAINERD is {other:?}: write installed or newest"),
        }
    }
}

impl Version {
    /// The directory of containerd, its shim and `ctr`.
    fn programs(self) -> PathBuf {
        match self {
            Self::Installed => {
                host::require(&["containerd", "containerd-shim-runc-v2", "ctr"]);
                PathBuf::from("/usr/bin")
            }
            Self::Newest => newest().join("usr/bin"),
        }
    }

    /// The directory of the standard CNI plugins that belong to it. Those of
    /// Debian 12 end at version 1.0.0 of the specification.
    fn plugins(self) -> PathBuf {
        let root = match self {
            Self::Installed => Path::new("/"),
            Self::Newest => newest(),
        };
        root.join(CNI_PLUGINS)
    }
}

/// The root of the newest packages.
fn newest() -> &'static Path {
    static FETCHED: OnceLock<PathBuf> = OnceLock::new();
    FETCHED.get_or_init(|| {
        let script = host::repository().join("scripts/debian-package.sh").display().to_string();
        let root = host::run(&[&script, "newest", "containerd", "containernetworking-plugins"]);
        Path::new(root.trim()).to_owned()
    })
}

/// What differs from one node of the tests to the next.
#[derive(Debug, Default, Clone)]
pub(crate) struct Options {
    pub(crate) version: Version,
    /// Shell commands that the sandbox's own process runs first.
    pub(crate) pause: String,
}

/// A running containerd, the node of the tests.
#[derive(Debug)]
pub(crate) struct Containerd {
    child: Child,
    /// The directory of containerd's own programs.
    programs: PathBuf,
    cri: Cri,
    netns: TestNetns,
    // Last: its removal sweeps what the others left.
    dir: RunDir,
}

impl Containerd {
    /// Starts containerd in a namespace of its own. `osm-cni` and the standard
    /// plugins are in its plugin directory; the configuration directory is
    /// empty until [`Self::configure`].
    pub(crate) fn start(options: &Options) -> Self {
        host::require(&PROGRAMS);
        let programs = options.version.programs();
        let dir = RunDir::new();
        let netns = TestNetns::named(format!("{}-node", dir.name()));
        link(&program::under_test(), &dir.dir("bin").join("osm-cni"));
        link_plugins(&options.version.plugins(), &dir.dir("bin"));
        dir.dir("conf");
        let config = dir.path().join("config.toml");
        host::write(&config, configuration(&dir));

        let mut command = host::command("nsenter");
        command
            // containerd finds its shim there.
            .env("PATH", format!("{}:{}", programs.display(), host::PATH))
            .arg(format!("--net={}", netns.path().display()))
            .args(["containerd", "--config"])
            .arg(&config);
        let child = host::spawn_logged(command, &dir.path().join("containerd.log"));
        let cri = Cri::new(&dir.path().join("cd.sock"));
        let containerd = Self { child, programs, cri, netns, dir };
        containerd.wait_until("containerd answers", || {
            containerd.cri.version().map_err(|error| error.to_string())
        });
        containerd.import(&image::archive(&options.pause));
        containerd
    }

    /// Puts `conflist` into the configuration directory under `name` and waits
    /// until it is in force. It must sort first there.
    pub(crate) fn configure(&self, name: &str, conflist: &Value) {
        self.write_configuration(name, conflist);
        let text = conflist.to_string();
        self.wait_until("the network is ready", || self.network_in_force(&text));
    }

    /// Puts `conflist` into the configuration directory under `name`. Runtimes
    /// notice a rename inside the directory.
    pub(crate) fn write_configuration(&self, name: &str, conflist: &Value) {
        let temporary = self.conf_dir().join(format!("{name}.tmp"));
        host::write(&temporary, conflist.to_string());
        host::rename(&temporary, &self.conf_dir().join(name));
    }

    /// Ok with the runtime's answer if it says that the network is ready; else
    /// Err with its reason.
    pub(crate) fn network_ready(&self) -> Result<StatusResponse, String> {
        let answer = self.cri.status(true).map_err(|error| error.to_string())?;
        let conditions = answer.status.iter().flat_map(|status| &status.conditions);
        let network = conditions.clone().find(|condition| condition.kind == "NetworkReady");
        match network {
            Some(network) if network.status => Ok(answer),
            Some(network) => Err(network.message.clone()),
            None => Err(format!("{answer:?}")),
        }
    }

    fn network_in_force(&self, text: &str) -> Result<(), String> {
        let answer = self.network_ready()?;
        let config = answer.info.get("cniconfig").cloned().unwrap_or_default();
        let config: Value = serde_json::from_str(&config).unwrap_or_default();
        let networks = config["Networks"].as_array().map(Vec::as_slice).unwrap_or_default();
        if networks.iter().any(|network| network["Config"]["Source"] == text) {
            return Ok(());
        }
        Err(format!("another configuration is in force: {config}"))
    }

    /// Waits like [`wait_for`]; a failure prints containerd's log.
    pub(crate) fn wait_until<T>(&self, what: &str, probe: impl FnMut() -> Result<T, String>) -> T {
        let attempt =
            std::panic::AssertUnwindSafe(|| wait_for(what, Duration::from_secs(30), probe));
        std::panic::catch_unwind(attempt).unwrap_or_else(|panic| {
            eprintln!("containerd said:\n{}", self.log());
            std::panic::resume_unwind(panic)
        })
    }

    /// Replaces the standard CNI plugins by those that belong to `version`.
    pub(crate) fn use_plugins_of(&self, version: Version) {
        link_plugins(&version.plugins(), &self.dir.dir("bin"));
    }

    /// Loads a tar of an OCI layout into the image store.
    pub(crate) fn import(&self, archive: &[u8]) {
        let file = self.dir.path().join("images.tar");
        host::write(&file, archive);
        let ctr = self.programs.join("ctr").display().to_string();
        let (socket, file) = (self.socket().display().to_string(), file.display().to_string());
        host::run(&[&ctr, "-a", &socket, "-n", "k8s.io", "images", "import", &file]);
    }

    /// The runtime interface.
    pub(crate) fn cri(&self) -> &Cri {
        &self.cri
    }

    /// The namespace that the runtime and its bridge live in.
    pub(crate) fn netns(&self) -> &TestNetns {
        &self.netns
    }

    /// The test's own directory; what is put there goes with the runtime.
    pub(crate) fn dir(&self) -> &RunDir {
        &self.dir
    }

    /// Begins the name of all that is made for this test; networks bear it too.
    pub(crate) fn name(&self) -> &str {
        self.dir.name()
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("cd.sock")
    }

    pub(crate) fn conf_dir(&self) -> PathBuf {
        self.dir.path().join("conf")
    }

    /// What the runtime has logged so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("containerd.log")).unwrap_or_default()
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        if std::thread::panicking() && std::env::var_os("OSM_CNI_TEST_LOG").is_some() {
            eprintln!("containerd said:\n{}", self.log());
        }
        // Dropping the directory ends shims and containers; the runtime is killed
        // first, so that it starts no more of them.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn link_plugins(from: &Path, bin: &Path) {
    for plugin in PLUGINS {
        link(&from.join(plugin), &bin.join(plugin));
    }
}

/// Makes or replaces a link.
fn link(target: &Path, name: &Path) {
    assert!(target.exists(), "this test needs {}, which does not exist", target.display());
    host::remove_if_there(name);
    std::os::unix::fs::symlink(target, name).expect("a link in the plugin directory");
}

/// `restrict_oom_score_adj` is for machines that withhold CAP_SYS_RESOURCE;
/// AppArmor is off since its profile would stay in the machine's kernel.
fn configuration(dir: &RunDir) -> String {
    let path = dir.path().display();
    let pause = image::PAUSE;
    format!(
        r#"version = 2
root = "{path}/root"
state = "{path}/state"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.aufs"]

[grpc]
address = "{path}/cd.sock"

[plugins."io.containerd.internal.v1.opt"]
path = "{path}/opt"

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{pause}"
netns_mounts_under_state_dir = true
restrict_oom_score_adj = true
disable_apparmor = true

[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "overlayfs"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
Root = "{path}/runc"

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{path}/bin"
conf_dir = "{path}/conf"
max_conf_num = 1
"#
    )
}
