//! A node with one pod, without a runtime: the files that a node has below a
//! root of its own, and a pod's network namespace with a world beyond it.

use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use osm_cni::netns::Netns;
use serde_json::{Value, json};

use super::{Run, argument, finish};
use crate::support::netns::TestNetns;
use crate::support::plugin::Call;
use crate::support::program::under_test;
use crate::support::{host, wait_for};

pub(crate) const CONTAINER: &str =
    "98840f655f2310b2f441e11efe9dfcf894e4c57e4e26b928542ee698159100c0";
const NETNS: &str = "/run/netns/cni-4f1e0c9e";
const UID: &str = "0b5a8e5c-7d4b-4f0e-9d55-3f6d1f2c9a10";

/// The settings of the reference document.
pub(crate) fn document() -> Value {
    json!({
        "traffic": {
            "outboundIPRangeExclusionList": ["1.1.1.1/32", "2.2.2.2/24"],
            "outboundPortExclusionList": [6379, 7070],
        }
    })
}

/// A node and its pod.
pub(crate) struct Node {
    root: tempfile::TempDir,
    /// The pod's network namespace; its address is 10.88.0.6.
    pub(crate) pod: TestNetns,
    /// The other end of its wire, 10.88.0.1; it has every other address, too.
    pub(crate) world: TestNetns,
    namespace: String,
    name: String,
}

impl Node {
    /// A node with a pod of this name, which has the sidecar's volume, but no
    /// rules, and that libcni's cache does not know yet.
    pub(crate) fn new(namespace: &str, name: &str) -> Self {
        host::require(&["ip", "nft", "nsenter", "setpriv", "mount"]);
        let (pod, world) = (TestNetns::new(), TestNetns::new());
        wire(&pod, &world);
        let root = tempfile::tempdir().expect("a temporary directory");
        let node =
            Node { root, pod, world, namespace: namespace.to_owned(), name: name.to_owned() };
        for dir in ["run/netns", "etc/cni/net.d", "var/lib/cni/results", "home"] {
            host::make_dirs(&node.root.path().join(dir));
        }
        host::make_dirs(&node.kubelet().join(format!(
            "pods/{UID}/volumes/kubernetes.io~secret/envoy-bootstrap-config-volume"
        )));
        // As on a node: /var/run is a link from its root.
        std::os::unix::fs::symlink("/run", node.root.path().join("var/run")).expect("a link");
        let seen = node.seen_netns();
        host::write(&seen, "");
        host::run(&["mount", "--bind", argument(&node.pod.path()), argument(&seen)]);
        node
    }

    /// Where the node's root is seen.
    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    fn kubelet(&self) -> PathBuf {
        self.root.path().join("var/lib/kubelet")
    }

    fn seen_netns(&self) -> PathBuf {
        self.root.path().join(NETNS.trim_start_matches('/'))
    }

    /// The settings of the ADD and the pod's annotations become rules, an
    /// entry in the cache, and today's configuration.
    pub(crate) fn add(&self, settings: &Value, annotations: &Value) {
        let mut conf = settings.clone();
        conf["cniVersion"] = json!("1.0.0");
        conf["name"] = json!("rignet");
        conf["type"] = json!("osm-cni");
        conf["logFile"] = json!("");
        conf["kubeletDir"] = json!(self.kubelet());
        conf["prevResult"] = self.result();
        conf["runtimeConfig"] = json!({"io.kubernetes.cri.pod-annotations": annotations});
        let args = self.args().map(|[key, value]| format!("{key}={value}")).join(";");
        let call = Call::new("ADD", &conf).netns(&self.pod.path());
        call.env("CNI_CONTAINERID", CONTAINER).env("CNI_ARGS", args).run().ok();
        self.configure(settings);
        self.remember(Some(settings), annotations);
    }

    /// Today's configuration of the node.
    pub(crate) fn configure(&self, settings: &Value) {
        let list = conflist(Some(settings)).to_string();
        host::write(&self.root.path().join("etc/cni/net.d/00-osm-cni.conflist"), list);
    }

    /// What libcni's cache keeps of an ADD; without settings it was one whose
    /// configuration had no entry of ours.
    pub(crate) fn remember(&self, settings: Option<&Value>, annotations: &Value) {
        let cached = json!({
            "kind": "cniCacheV1",
            "containerId": CONTAINER,
            "config": base64(conflist(settings).to_string().as_bytes()),
            "ifName": "eth0",
            "networkName": "rignet",
            "netns": NETNS.replace("/run", "/var/run"),
            "cniArgs": self.args(),
            "capabilityArgs": {"io.kubernetes.cri.pod-annotations": annotations},
            "result": self.result(),
        });
        let name = format!("var/lib/cni/results/rignet-{CONTAINER}-eth0");
        host::write(&self.root.path().join(name), cached.to_string());
    }

    fn args(&self) -> [[&str; 2]; 4] {
        [
            ["K8S_POD_NAMESPACE", &self.namespace],
            ["K8S_POD_NAME", &self.name],
            ["K8S_POD_INFRA_CONTAINER_ID", CONTAINER],
            ["K8S_POD_UID", UID],
        ]
    }

    fn result(&self) -> Value {
        json!({
            "cniVersion": "1.0.0",
            "interfaces": [{"name": "eth0", "sandbox": NETNS}],
            "ips": [{"address": "10.88.0.6/16", "gateway": "10.88.0.1", "interface": 0}],
        })
    }

    /// Runs a line of the README or of a help text: on the node, and in the pod
    /// what belongs there.
    pub(crate) fn run(&self, words: &[&str]) -> Run {
        let (_, arguments) = words.split_first().expect("osm-cni first");
        if matches!(arguments.first(), Some(&("validate" | "wait"))) {
            return self.run_in_pod(arguments);
        }
        let mut command = host::command(under_test());
        command.args(arguments).current_dir(self.root.path().join("home"));
        let of_node = arguments.contains(&"--pod") || arguments.first() == Some(&"inspect");
        if of_node && !arguments.contains(&"--host-root") {
            command.arg("--host-root").arg(self.root.path());
        }
        finish(&mut command)
    }

    /// Runs `validate` in the pod as nobody, without capabilities.
    pub(crate) fn validate(&self, arguments: &[&str]) -> Run {
        self.run_in_pod(&[&["validate"], arguments].concat())
    }

    /// Runs a command in the pod as nobody, without capabilities.
    pub(crate) fn run_in_pod(&self, arguments: &[&str]) -> Run {
        // Where cargo builds is not everybody's to look into. Copied by a program:
        // a file that this process has open for writing, and so each child that
        // another test starts just then, could not be executed.
        let copy = self.root.path().join("home/osm-cni");
        if !copy.exists() {
            let program = under_test();
            host::run(&["install", "-m", "0755", argument(&program), argument(&copy)]);
        }
        for path in [self.root.path(), &self.root.path().join("home")] {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("mode");
        }
        let mut command: Command = host::command("nsenter");
        command.arg(format!("--net={}", self.pod.path().display()));
        command.args(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]);
        command.args(["--inh-caps=-all", "--bounding-set=-all", "--no-new-privs"]);
        finish(command.arg(copy).args(arguments))
    }

    /// Does `work` in the pod while nothing answers at this port, and `then` once
    /// `work` has tried to connect there for the second time.
    pub(crate) fn meanwhile<T: Send>(
        &self,
        port: u16,
        work: impl FnOnce() -> T + Send,
        then: impl FnOnce(),
    ) -> T {
        // syn: a connection, whether it is accepted or not.
        self.pod.nft_load(&format!(
            "table inet seen {{ chain sent {{ type filter hook output priority -200; \
             tcp dport {port} tcp flags & (syn | ack) == syn counter; }}; }}"
        ));
        std::thread::scope(|scope| {
            let working = scope.spawn(work);
            wait_for("two attempts", Duration::from_secs(60), || {
                let list = self.pod.exec(&["nft", "list", "table", "inet", "seen"]);
                let count = list.split_once("packets ").and_then(|(_, rest)| rest.split_once(' '));
                let count = count.and_then(|(count, _)| count.parse::<u64>().ok());
                if count >= Some(2) { Ok(()) } else { Err(list) }
            });
            assert!(!working.is_finished(), "it does not give up");
            then();
            working.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Makes a connection from the pod, or from the world to the pod. It counts
    /// one packet of 60 bytes, since it is answered at once: refused.
    pub(crate) fn connect(&self, from: &TestNetns, to: &str, uid: u32) {
        let to: SocketAddr = to.parse().expect("an address");
        let netns = Netns::open(&from.path()).expect("a network namespace");
        let outcome = netns.run(|| {
            nix::unistd::setfsuid(uid.into());
            TcpStream::connect_timeout(&to, Duration::from_secs(5)).map(drop)
        });
        let error = outcome.expect("entered").expect_err("nobody listens");
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused, "{to}: {error}");
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = host::try_run(&["umount", argument(&self.seen_netns())]);
    }
}

fn wire(pod: &TestNetns, world: &TestNetns) {
    let peer = world.path();
    pod.exec(&["ip", "link", "add", "eth0", "type", "veth", "peer", "name", "veth0"]);
    let name = peer.file_name().and_then(|name| name.to_str()).expect("a name");
    pod.exec(&["ip", "link", "set", "veth0", "netns", name]);
    pod.exec(&["ip", "addr", "add", "10.88.0.6/16", "dev", "eth0"]);
    world.exec(&["ip", "addr", "add", "10.88.0.1/16", "dev", "veth0"]);
    pod.exec(&["ip", "link", "set", "eth0", "up"]);
    world.exec(&["ip", "link", "set", "veth0", "up"]);
    pod.exec(&["ip", "route", "add", "default", "via", "10.88.0.1"]);
    world.exec(&["ip", "route", "add", "local", "default", "dev", "lo"]);
}

/// A list as `install` writes it.
fn conflist(settings: Option<&Value>) -> Value {
    let mut plugins = vec![json!({"type": "bridge", "bridge": "cni0"})];
    if let Some(settings) = settings {
        let mut entry = settings.clone();
        entry["type"] = json!("osm-cni");
        entry["capabilities"] = json!({"io.kubernetes.cri.pod-annotations": true});
        plugins.push(entry);
    }
    json!({"cniVersion": "1.0.0", "name": "rignet", "plugins": plugins})
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let bits = three.iter().fold(0, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - three.len()));
        for place in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * place)) as usize & 63];
            text.push(if place <= three.len() { digit.into() } else { '=' });
        }
    }
    text
}
