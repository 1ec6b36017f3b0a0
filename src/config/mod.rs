//! Settings: raw JSON becomes checked types, and each field is read once.
//!
//! A wrong field fails only the pods that need it. [`Settings`] holds the error of
//! the fields that select pods; the excluded namespaces are known in any case. Each
//! [`Mesh`] holds the error of the fields that make its rules.
//!
//! Pure.

pub(crate) mod expected;
pub mod lists;
mod mesh_config;
mod parse;
pub mod profile;
mod read;
mod scalar;
pub(crate) mod source;
mod unknown;

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::PathBuf;

use log::LevelFilter;
use serde_json::value::RawValue;

pub(crate) use lists::{Lists, PortRange};
pub(crate) use profile::{Layout, Profile};
pub(crate) use read::ConfigError;
pub(crate) use source::SourceError;
pub use source::{Document, Entry};

/// The capability that makes the runtime pass a pod's annotations.
pub(crate) const CAPABILITY: &str = "io.kubernetes.cri.pod-annotations";

/// The `type` of our entry in a conflist, which is also the binary's name.
pub(crate) const PLUGIN_TYPE: &str = "osm-cni";

/// Whether an entry of a conflist with this `type` is ours.
pub(crate) fn is_ours(plugin_type: &str) -> bool {
    plugin_type == PLUGIN_TYPE
}

/// All settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where and how much is logged.
    pub(crate) log: LogSettings,
    /// Namespaces whose pods are left alone; the default where the field is
    /// wrong, so that no setting stops the node's own pods.
    pub(crate) excluded_namespaces: Vec<String>,
    /// Which pods are redirected, and how; or the first field about it that is
    /// wrong.
    pub(crate) selection: Result<Selection, ConfigError>,
    /// What is odd but does no harm, one sentence each.
    pub warnings: Vec<String>,
}

/// All that decides which pods are redirected.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Selection {
    /// Where the kubelet keeps its pods.
    pub(crate) kubelet_dir: PathBuf,
    /// The meshes that are served, at least one.
    pub(crate) meshes: Vec<Mesh>,
    /// Sidecar volumes of the meshes that are known, but not served.
    pub(crate) other_volumes: Vec<OtherVolume>,
}

/// A volume that only the sidecar of a mesh outside the settings has.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct OtherVolume {
    /// The volume.
    pub(crate) volume: String,
    /// The mesh.
    pub(crate) profile: &'static Profile,
}

/// The settings of one mesh.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Mesh {
    /// Which mesh.
    pub(crate) profile: &'static Profile,
    /// The part of its annotations before the slash.
    pub(crate) annotation_prefix: String,
    /// Names of volumes by which an injected sidecar is recognised.
    pub(crate) sidecar_volumes: Vec<String>,
    /// Namespaces whose pods have a sidecar, if that cannot be seen by a volume; `*`
    /// means all.
    pub(crate) namespaces: Vec<String>,
    /// Whether pods may take themselves out of interception.
    pub(crate) pod_exclusions: PodExclusions,
    /// The rules of its pods; or the first field about them that is wrong.
    pub(crate) redirection: Result<Redirection, ConfigError>,
}

/// All settings that decide what the rules are.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Redirection {
    /// The chains.
    pub(crate) layout: &'static Layout,
    /// The proxy's uid and ports.
    pub(crate) proxy: Proxy,
    /// What IPv6 traffic gets.
    pub(crate) ipv6: Ipv6Mode,
    /// Where the proxy reaches the application.
    pub(crate) local_proxy_mode: LocalProxyMode,
    /// The mesh's lists.
    pub(crate) lists: Lists,
}

/// `proxy`: the sidecar's uid and ports.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Proxy {
    /// The uid that the proxy runs as.
    pub(crate) uid: u32,
    /// Where outbound connections are redirected to.
    pub(crate) outbound_port: u16,
    /// Where inbound connections are redirected to.
    pub(crate) inbound_port: u16,
    /// The proxy's administration port.
    pub(crate) admin_port: u16,
    /// Ports of the proxy that are reached directly: metrics and health checks.
    pub(crate) inbound_bypass_ports: Vec<PortRange>,
}

/// `ipv6`: what IPv6 traffic gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ipv6Mode {
    /// It is not touched.
    Bypass,
    /// The same chains as for IPv4.
    Redirect,
    /// What `Redirect` would send to the proxy is reset.
    Reject,
}

/// `sidecar.localProxyMode`: where the proxy reaches the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum LocalProxyMode {
    /// At the loopback address.
    Localhost,
    /// At the pod's own address.
    PodIp,
}

/// `podExclusions`: whether pods may take themselves out of interception.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum PodExclusions {
    /// Their annotations count.
    Honor,
    /// Their list annotations do not, nor does `disabled` on a pod of the mesh.
    Ignore,
}

/// Where and how much is logged. A field that is wrong has its default.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct LogSettings {
    /// `logLevel`
    pub(crate) level: LevelFilter,
    /// `logFile`; none if empty.
    pub(crate) file: Option<PathBuf>,
    /// `logFormat`
    pub(crate) format: LogFormat,
}

/// `logFormat`: the form of a line in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum LogFormat {
    /// Time, level, then `key=value` pairs.
    Text,
    /// A JSON object.
    Json,
}

impl LogFormat {
    /// Its names.
    pub(crate) const WORDS: [(&'static str, Self); 2] =
        [("text", LogFormat::Text), ("json", LogFormat::Json)];
}

impl Settings {
    /// Reads the fields of a configuration, ours and others.
    pub fn parse(fields: BTreeMap<String, &RawValue>) -> Self {
        Self::parse_with(fields, &profile::PROFILES)
    }

    /// The same with other meshes than the built-in ones.
    pub(crate) fn parse_with(
        fields: BTreeMap<String, &RawValue>,
        profiles: &'static [&'static Profile],
    ) -> Self {
        parse::settings(fields, profiles)
    }

    /// Whether every field is in order.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn check(&self) -> Result<(), &ConfigError> {
        let selection = self.selection.as_ref()?;
        selection.meshes.iter().try_for_each(|mesh| mesh.redirection.as_ref().map(|_| ()))
    }

    /// A digest of the settings in force, twelve hexadecimal digits, whatever the form
    /// that they were written in. Two versions of osm-cni may have
    /// different digits for the same settings.
    pub fn digest(&self) -> String {
        let mut hash = DefaultHasher::new();
        (&self.log, &self.excluded_namespaces, &self.selection).hash(&mut hash);
        format!("{:012x}", hash.finish() >> 16)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Settings::parse(BTreeMap::new())
    }
}

impl Default for LogSettings {
    fn default() -> Self {
        let file = Some(PathBuf::from("/var/log/osm-cni/osm-cni.log"));
        LogSettings { level: LevelFilter::Info, file, format: LogFormat::Text }
    }
}

impl Selection {
    /// All volumes by which a sidecar is recognised, of meshes that are served
    /// and of others; none if no mesh is recognised by its volumes.
    pub(crate) fn volumes(&self) -> Vec<String> {
        let ours = self.meshes.iter().flat_map(|mesh| &mesh.sidecar_volumes);
        let others = self.other_volumes.iter().map(|other| &other.volume);
        ours.chain(others).cloned().collect()
    }
}
