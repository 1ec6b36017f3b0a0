//! The machine: programs, the three namespaces of the scene, and the chain of
//! plugins as a runtime runs it.

use std::env;
use std::fmt::Display;
use std::fs;
use std::io::Write;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};
use std::thread;

use nix::sys::signal::{SigSet, Signal};
use serde_json::{Value, json};

use crate::support::netns::TestNetns;

/// The port that the world's rules lead every connection to.
pub const WORLD_PORT: u16 = 9;

const PREFIX: &str = "osm-demo-";

/// A pod and a world with a node between them, and the node's files.
pub struct Scene {
    node: TestNetns,
    pod: TestNetns,
    world: TestNetns,
    files: Files,
    osm_cni: PathBuf,
    bridge: PathBuf,
}

/// What the chain made.
pub struct Attachment {
    /// The pod's address.
    pub address: Ipv4Addr,
    result: Value,
}

/// A directory for IPAM's files, gone when dropped.
struct Files(PathBuf);

impl Scene {
    /// Makes the namespaces and the links between them.
    pub fn new() -> Result<Self, String> {
        remove_leftovers();
        end_on_signals()?;
        let name = |part: &str| format!("{PREFIX}{}-{part}", process::id());
        let binary = env::var_os("OSM_CNI_BIN").ok_or("OSM_CNI_BIN must name the plugin")?;
        let bridge = ["/usr/lib/cni/bridge", "/opt/cni/bin/bridge"].map(PathBuf::from);
        let bridge = bridge.into_iter().find(|path| path.exists());
        let directory = env::temp_dir().join(name("ipam"));
        fs::create_dir_all(&directory).map_err(failed("cannot make a directory"))?;
        let scene = Scene {
            files: Files(directory),
            node: TestNetns::named(name("node")),
            pod: TestNetns::named(name("pod")),
            world: TestNetns::named(name("world")),
            osm_cni: binary.into(),
            bridge: bridge.ok_or("the bridge plugin is missing: containernetworking-plugins")?,
        };
        scene.link()?;
        Ok(scene)
    }

    /// The node forwards between its pods and the world; the world has every
    /// address that nobody else has.
    fn link(&self) -> Result<(), String> {
        let world = self.world.name();
        self.node.ip(&format!("link add uplink type veth peer name node netns {world}"));
        self.node.ip("addr add 192.0.2.1/24 dev uplink");
        self.node.ip("link set uplink up");
        self.node.ip("route add default via 192.0.2.2");
        self.world.ip("addr add 192.0.2.2/24 dev node");
        self.world.ip("link set node up");
        self.world.ip("route add default via 192.0.2.1");
        let forward = || fs::write("/proc/sys/net/ipv4/ip_forward", "1");
        self.node.inside(forward).map_err(failed("cannot forward"))?;
        let everything = format!(
            "table ip world {{\n chain arriving {{\n type nat hook prerouting priority dstnat\n \
             meta l4proto tcp redirect to :{WORLD_PORT}\n }}\n}}\n"
        );
        self.world.run(&["nft", "-f", "-"], &everything);
        Ok(())
    }

    pub fn pod(&self) -> &TestNetns {
        &self.pod
    }

    pub fn world(&self) -> &TestNetns {
        &self.world
    }

    /// Runs the chain: bridge, then osm-cni, each with the result of the one
    /// before it.
    pub fn add(&self) -> Result<Attachment, String> {
        let made = self.call(&self.bridge, "ADD", self.bridge_conf())?;
        let result = self.call(&self.osm_cni, "ADD", self.osm_conf(Some(&made)))?;
        let address = result["ips"][0]["address"].as_str().and_then(|text| text.split('/').next());
        let address = address.ok_or("the chain reports no address")?;
        Ok(Attachment { address: address.parse().map_err(failed("an address"))?, result })
    }

    /// Runs the chain backwards.
    pub fn del(&self, attachment: &Attachment) -> Result<(), String> {
        self.call(&self.osm_cni, "DEL", self.osm_conf(Some(&attachment.result)))?;
        self.call(&self.bridge, "DEL", self.bridge_conf())?;
        Ok(())
    }

    /// What nft lists in the pod.
    pub fn rules(&self) -> String {
        self.pod.run(&["nft", "list", "ruleset"], "")
    }

    fn bridge_conf(&self) -> Value {
        json!({
            "cniVersion": "1.0.0", "name": "demo", "type": "bridge", "bridge": "cni0",
            "isDefaultGateway": true,
            "ipam": {
                "type": "host-local", "dataDir": self.files.0, "subnet": "10.88.0.0/16",
            },
        })
    }

    fn osm_conf(&self, result: Option<&Value>) -> Value {
        json!({
            "cniVersion": "1.0.0", "name": "demo", "type": "osm-cni",
            "capabilities": {"io.kubernetes.cri.pod-annotations": true},
            "traffic": {
                "outboundIPRangeExclusionList": ["1.1.1.1/32", "2.2.2.2/24"],
                "outboundPortExclusionList": [6379, 7070],
            },
            "kubeletDir": self.files.0, "logFile": "",
            "runtimeConfig": {"io.kubernetes.cri.pod-annotations": {
                "openservicemesh.io/sidecar-injection": "enabled",
                "openservicemesh.io/outbound-port-exclusion-list": "8080",
            }},
            "prevResult": result,
        })
    }

    /// Calls a plugin as a runtime on the node does.
    fn call(&self, plugin: &Path, verb: &str, conf: Value) -> Result<Value, String> {
        let netns = self.pod.path();
        let plugins = self.bridge.parent().unwrap_or(Path::new("/"));
        let env = [
            ("CNI_COMMAND", verb),
            ("CNI_CONTAINERID", "demo"),
            ("CNI_IFNAME", "eth0"),
            ("CNI_NETNS", &netns.to_string_lossy()),
            ("CNI_PATH", &plugins.to_string_lossy()),
            ("CNI_ARGS", "K8S_POD_NAMESPACE=demo;K8S_POD_NAME=web;IgnoreUnknown=1"),
        ];
        let answer =
            self.node.inside(|| run_with(&[&plugin.to_string_lossy()], &env, &conf.to_string()))?;
        match verb {
            "ADD" => serde_json::from_str(&answer).map_err(failed("the plugin's answer")),
            _ => Ok(Value::Null),
        }
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("demo: {}: {error}", self.0.display());
        }
    }
}

/// Says what failed.
pub fn failed<E: Display>(what: &str) -> impl Fn(E) -> String {
    move |error| format!("{what}: {error}")
}

/// Runs a program of this machine.
pub fn run(words: &[&str], stdin: &str) -> Result<String, String> {
    run_with(words, &[], stdin)
}

/// Runs a program with these variables and this input; its output, or its own
/// words where it fails.
pub fn run_with(words: &[&str], env: &[(&str, &str)], stdin: &str) -> Result<String, String> {
    let mut child = Command::new(words[0])
        .args(&words[1..])
        .envs(env.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed(words[0]))?;
    if let Some(mut pipe) = child.stdin.take() {
        // A program that does not read its input closes the pipe.
        let _ = pipe.write_all(stdin.as_bytes());
    }
    let output = child.wait_with_output().map_err(failed(words[0]))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match output.status.success() {
        true => Ok(text(&output.stdout)),
        false => {
            Err(format!("{}: {} {}", words.join(" "), text(&output.stderr), text(&output.stdout)))
        }
    }
}

/// Cleans up as well when somebody ends the demonstration early.
fn end_on_signals() -> Result<(), String> {
    let mut signals = SigSet::empty();
    signals.extend([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]);
    signals.thread_block().map_err(failed("signals"))?;
    thread::spawn(move || {
        if signals.wait().is_ok() {
            remove(|pid| pid == process::id().to_string());
            process::exit(130);
        }
    });
    Ok(())
}

/// Removes what demonstrations left that were killed.
fn remove_leftovers() {
    remove(|pid| !Path::new("/proc").join(pid).exists());
}

fn remove(whose: impl Fn(&str) -> bool) {
    let ours = |directory: &Path| {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let ours = names.filter(|name| {
            let pid = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
            pid.is_some_and(&whose)
        });
        ours.collect::<Vec<_>>()
    };
    for name in ours(Path::new("/run/netns")) {
        let _ = run(&["ip", "netns", "del", &name], "");
    }
    for name in ours(&env::temp_dir()) {
        let _ = fs::remove_dir_all(env::temp_dir().join(name));
    }
}
