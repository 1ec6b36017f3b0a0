//! Pods under a real containerd: bridge with host-local, then portmap, then
//! osm-cni, and Envoy as the sidecar. Only the kubelet is simulated: the tests
//! make its calls.

mod audit;
mod crowd;
mod daemonset;
mod failure;
mod fsm;
mod ipv6;
mod lifecycle;
mod selection;
mod soak;
mod traffic;
mod userns;
mod verbs;
mod versions;
mod withdrawn;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use crate::support::containerd::{Containerd, Options, Version};
use crate::support::envoy;
use crate::support::host::names_in;
use crate::support::namespace::{run_inside, tables};
use crate::support::pod::{Pod, PodSpec};
use crate::support::world::World;

/// The sample that the tests' network is made from.
const SAMPLE: &str = include_str!("../../conf/10-bridge-osm.conflist");

/// Its name in the configuration directory.
const CONFLIST: &str = "10-pods.conflist";

/// The pods' IPv6 network, where a test wants one.
const PODS_V6: &str = "fd00:88::/64";

/// How a test's node differs from the sample.
struct Setup {
    containerd: Version,
    cni_version: &'static str,
    subnet: &'static str,
    /// Gives pods an IPv6 address too.
    ipv6: bool,
    /// Whether osm-cni is in the list.
    plugin: bool,
    /// Fields of osm-cni's entry to set.
    settings: Value,
    /// Shell commands of the sandbox's own process.
    pause: &'static str,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            containerd: Version::default(),
            cni_version: "1.0.0",
            subnet: "10.88.0.0/16",
            ipv6: false,
            plugin: true,
            settings: json!({}),
            pause: "",
        }
    }
}

/// A node with its runtime and its network, and the world around it. One test at
/// a time has a node.
struct Rig {
    world: World,
    node: Containerd,
    setup: Setup,
    _turn: Option<MutexGuard<'static, ()>>,
}

impl Rig {
    fn new() -> Self {
        Self::with(Setup::default())
    }

    fn with(setup: Setup) -> Self {
        static TURN: Mutex<()> = Mutex::new(());
        Self::start(setup, Some(TURN.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    fn start(setup: Setup, turn: Option<MutexGuard<'static, ()>>) -> Self {
        let options = Options { version: setup.containerd, pause: setup.pause.to_owned() };
        let node = Containerd::start(&options);
        let networks: &[&str] = if setup.ipv6 { &[setup.subnet, PODS_V6] } else { &[setup.subnet] };
        let world = World::new(node.dir(), node.netns(), networks);
        let rig = Self { world, node, setup, _turn: turn };
        rig.node.configure(CONFLIST, &rig.conflist());
        rig
    }

    /// Changes osm-cni's settings for later calls.
    fn set(&self, settings: &Value) {
        let mut list = self.conflist();
        let own = list["plugins"].as_array_mut().and_then(|plugins| plugins.last_mut());
        put(own.expect("our own entry"), settings);
        self.node.configure(CONFLIST, &list);
    }

    /// The sample with this node's name and directories.
    fn conflist(&self) -> Value {
        let mut list: Value = serde_json::from_str(SAMPLE).expect("the sample is JSON");
        list["cniVersion"] = json!(self.setup.cni_version);
        list["name"] = json!(self.node.name());
        let plugins = list["plugins"].as_array_mut().expect("a list of plugins");
        let ipam = &mut plugins[0]["ipam"];
        ipam["dataDir"] = json!(self.node.dir().dir("ipam"));
        let networks =
            [self.setup.subnet, PODS_V6].into_iter().take(1 + usize::from(self.setup.ipv6));
        ipam["ranges"] = networks.map(|subnet| json!([{"subnet": subnet}])).collect();
        let own = plugins.last_mut().expect("our own entry, the last");
        assert_eq!(own["type"], "osm-cni");
        own["kubeletDir"] = json!(self.kubelet());
        own["logFile"] = json!(self.log_file());
        put(own, &self.setup.settings);
        if !self.setup.plugin {
            plugins.pop();
        }
        list
    }

    /// Our entry as libcni passes it to the plugin: with version and name of its
    /// list.
    fn entry(&self) -> Value {
        let list = self.conflist();
        let mut entry = list["plugins"]
            .as_array()
            .and_then(|plugins| plugins.last())
            .expect("our entry")
            .clone();
        entry["cniVersion"] = list["cniVersion"].clone();
        entry["name"] = list["name"].clone();
        entry
    }

    /// Runs a pod that must be redirected, over IPv4 alone.
    #[track_caller]
    fn run_redirected(&self, spec: &PodSpec) -> Pod<'_> {
        let pod = spec.run(&self.node);
        assert_eq!(tables(&pod.netns()), "table ip osm\n", "{spec:?}");
        pod
    }

    /// The kubelet's directory, empty unless a test fills it.
    fn kubelet(&self) -> PathBuf {
        self.node.dir().path().join("kubelet")
    }

    fn log_file(&self) -> PathBuf {
        self.node.dir().path().join("osm-cni.log")
    }

    /// What the plugin has logged so far.
    fn plugin_log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// Addresses that host-local holds in this node's network.
    fn leases(&self) -> Vec<String> {
        let names = names_in(&self.node.dir().dir("ipam").join(self.node.name()));
        names.into_iter().filter(|name| name.parse::<IpAddr>().is_ok()).collect()
    }

    /// The iptables chains of the standard plugins on the node; each pod has some.
    fn node_chains(&self) -> Vec<String> {
        let listing = run_inside(&self.node.netns().path(), &["iptables-save"]);
        let names = listing.lines().filter_map(|line| line.strip_prefix(':')?.split(' ').next());
        let mut names: Vec<_> =
            names.filter(|name| name.starts_with("CNI-")).map(str::to_owned).collect();
        names.sort();
        names
    }
}

/// Sets the fields of `settings` in our entry.
fn put(entry: &mut Value, settings: &Value) {
    for (key, value) in settings.as_object().expect("an object of settings") {
        entry[key] = value.clone();
    }
}

/// The direction that Envoy added to a request as a header, if it passed Envoy.
fn way(answer: &str) -> Option<&str> {
    let mark = format!("{}: ", envoy::HEADER);
    answer.lines().find_map(|line| line.strip_prefix(&mark)).map(str::trim_end)
}
