//! Real pods under a real containerd: bridge with host-local, then portmap,
//! then osm-cni, and Envoy as the sidecar. Nothing here is simulated but the
//! kubelet, whose calls the tests make.

mod traffic;

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use crate::support::containerd::{Containerd, Options};
use crate::support::world::World;

/// The sample that the tests' network is made from.
const SAMPLE: &str = include_str!("../../conf/10-bridge-osm.conflist");

/// The pods' IPv6 network, where a test wants one.
const PODS_V6: &str = "fd00:88::/64";

/// What a test wants of its node; the rest is the sample's.
struct Setup {
    cni_version: &'static str,
    subnet: &'static str,
    /// Gives pods an IPv6 address too.
    ipv6: bool,
    /// Whether osm-cni is in the chain.
    plugin: bool,
    /// Fields of osm-cni's entry to set.
    settings: Value,
    /// Shell commands of the sandbox's own process.
    pause: &'static str,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            cni_version: "1.0.0",
            subnet: "10.88.0.0/16",
            ipv6: false,
            plugin: true,
            settings: json!({}),
            pause: "",
        }
    }
}

/// A node with its runtime and its network, and the world around it. Tests
/// take turns: each has the machine's two or more cores for itself.
struct Rig {
    world: World,
    node: Containerd,
    _turn: MutexGuard<'static, ()>,
}

impl Rig {
    fn new() -> Self {
        Self::with(&Setup::default())
    }

    fn with(setup: &Setup) -> Self {
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let node = Containerd::start(&Options {
            pause: setup.pause.to_owned(),
        });
        let networks: &[&str] = if setup.ipv6 {
            &[setup.subnet, PODS_V6]
        } else {
            &[setup.subnet]
        };
        let world = World::new(node.dir(), node.netns(), networks);
        let rig = Self {
            world,
            node,
            _turn: turn,
        };
        rig.node.configure("10-pods.conflist", &rig.conflist(setup));
        rig
    }

    /// The sample with this node's name and directories.
    fn conflist(&self, setup: &Setup) -> Value {
        let mut list: Value = serde_json::from_str(SAMPLE).expect("the sample is JSON");
        list["cniVersion"] = json!(setup.cni_version);
        list["name"] = json!(self.node.name());
        let plugins = list["plugins"].as_array_mut().expect("a list of plugins");
        let ipam = &mut plugins[0]["ipam"];
        ipam["dataDir"] = json!(self.node.dir().dir("ipam"));
        ipam["ranges"] = json!([[{"subnet": setup.subnet}]]);
        if setup.ipv6 {
            ipam["ranges"] = json!([[{"subnet": setup.subnet}], [{"subnet": PODS_V6}]]);
        }
        let own = plugins.last_mut().expect("our own entry, the last");
        assert_eq!(own["type"], "osm-cni");
        own["kubeletDir"] = json!(self.kubelet());
        own["logFile"] = json!(self.plugin_log());
        for (key, value) in setup.settings.as_object().expect("an object of settings") {
            own[key] = value.clone();
        }
        if !setup.plugin {
            plugins.pop();
        }
        list
    }

    /// The kubelet's directory, empty unless a test fills it.
    fn kubelet(&self) -> PathBuf {
        self.node.dir().path().join("kubelet")
    }

    fn plugin_log(&self) -> PathBuf {
        self.node.dir().path().join("osm-cni.log")
    }

    /// Addresses that host-local holds in this node's network.
    fn leases(&self) -> Vec<String> {
        let names =
            crate::support::host::names_in(&self.node.dir().dir("ipam").join(self.node.name()));
        names
            .into_iter()
            .filter(|name| name.parse::<std::net::IpAddr>().is_ok())
            .collect()
    }
}
