//! A private containerd: own network namespace, own root, state, socket and
//! CNI directories, images made on the spot. It is ready to run pods when
//! [`Containerd::start`] returns (if it has a network configuration), and gone
//! with all it made when dropped.

use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

use serde_json::Value;

use super::cri::Cri;
use super::namespace::Namespace;
use super::rundir::RunDir;
use super::{host, image, program, wait_for};

/// Where the distribution puts the standard CNI plugins.
const CNI_PLUGINS: &str = "/usr/lib/cni";

/// The plugins of it that the tests' networks use; containerd itself wants
/// `loopback`.
const PLUGINS: [&str; 4] = ["bridge", "host-local", "loopback", "portmap"];

/// The programs that have to be installed for it.
const PROGRAMS: [&str; 9] = [
    "containerd",
    "containerd-shim-runc-v2",
    "ctr",
    "ip",
    "iptables",
    "nft",
    "nsenter",
    "runc",
    "umount",
];

/// What differs from one runtime of the tests to the next.
#[derive(Debug, Default, Clone)]
pub(crate) struct Options {
    /// Shell commands that the sandbox's own process runs first.
    pub(crate) pause: String,
}

/// A running containerd, the node of the tests.
#[derive(Debug)]
pub(crate) struct Containerd {
    child: Child,
    cri: Cri,
    netns: Namespace,
    // Last: its removal sweeps what the others left.
    dir: RunDir,
}

impl Containerd {
    /// Starts containerd in a namespace of its own. `osm-cni` and the standard
    /// plugins are in its plugin directory; the configuration directory is
    /// empty until [`Self::configure`].
    pub(crate) fn start(options: &Options) -> Self {
        host::require(&PROGRAMS);
        let dir = RunDir::new();
        let netns = Namespace::new(&dir, "node");
        link_plugins(&dir.dir("bin"));
        dir.dir("conf");
        let config = dir.path().join("config.toml");
        host::write(&config, configuration(&dir));

        let mut command = host::command("nsenter");
        command
            .arg(format!("--net={}", netns.path().display()))
            .args(["containerd", "--config"])
            .arg(&config);
        let child = host::spawn_logged(command, &dir.path().join("containerd.log"));
        let containerd = Self { child, cri: Cri::new(&dir.path().join("cd.sock")), netns, dir };
        containerd.wait_until("containerd answers", || {
            containerd.cri.version().map_err(|error| error.to_string())
        });
        containerd.import(&image::archive(&options.pause));
        containerd
    }

    /// Puts `conflist` into the configuration directory under `name` (in the
    /// way runtimes notice) and waits until it is in force. It must be the
    /// first there by name.
    pub(crate) fn configure(&self, name: &str, conflist: &Value) {
        let temporary = self.conf_dir().join(format!("{name}.tmp"));
        let text = conflist.to_string();
        host::write(&temporary, &text);
        host::rename(&temporary, &self.conf_dir().join(name));
        self.wait_until("the network is ready", || self.network_in_force(&text));
    }

    fn network_in_force(&self, text: &str) -> Result<(), String> {
        let answer = self.cri.status(true).map_err(|error| error.to_string())?;
        let conditions = answer.status.map(|status| status.conditions).unwrap_or_default();
        let ready =
            conditions.iter().any(|condition| condition.kind == "NetworkReady" && condition.status);
        let config = answer.info.get("cniconfig").cloned().unwrap_or_default();
        let config: Value = serde_json::from_str(&config).unwrap_or_default();
        let networks = config["Networks"].as_array().map(Vec::as_slice).unwrap_or_default();
        if ready && networks.iter().any(|network| network["Config"]["Source"] == text) {
            return Ok(());
        }
        Err(format!("{conditions:?}, {config}"))
    }

    fn wait_until<T>(&self, what: &str, probe: impl FnMut() -> Result<T, String>) -> T {
        let attempt =
            std::panic::AssertUnwindSafe(|| wait_for(what, Duration::from_secs(30), probe));
        std::panic::catch_unwind(attempt).unwrap_or_else(|panic| {
            eprintln!("containerd said:\n{}", self.log());
            std::panic::resume_unwind(panic)
        })
    }

    /// Loads a tar of an OCI layout into the image store.
    pub(crate) fn import(&self, archive: &[u8]) {
        let file = self.dir.path().join("images.tar");
        host::write(&file, archive);
        let (socket, file) = (self.socket(), file.display().to_string());
        host::run(&[
            "ctr",
            "-a",
            &socket.display().to_string(),
            "-n",
            "k8s.io",
            "images",
            "import",
            &file,
        ]);
    }

    /// The runtime interface.
    pub(crate) fn cri(&self) -> &Cri {
        &self.cri
    }

    /// The namespace that the runtime and its bridge live in.
    pub(crate) fn netns(&self) -> &Namespace {
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

    /// Everything the runtime logged so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("containerd.log")).unwrap_or_default()
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        if std::thread::panicking() && std::env::var_os("OSM_CNI_TEST_LOG").is_some() {
            eprintln!("containerd said:\n{}", self.log());
        }
        // The sweep ends the shims and the containers; the runtime goes first,
        // so that it does not start anything more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn link_plugins(bin: &Path) {
    let link = |target: PathBuf, name: &str| {
        assert!(target.exists(), "this test needs {}, which is not there", target.display());
        std::os::unix::fs::symlink(&target, bin.join(name)).expect("a fresh plugin directory");
    };
    for plugin in PLUGINS {
        link(Path::new(CNI_PLUGINS).join(plugin), plugin);
    }
    link(program::under_test(), "osm-cni");
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
