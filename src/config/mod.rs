//! Settings: raw JSON becomes checked [`Settings`] and [`Selection`].
//!
//! Our entry in the conflist is read lazily, so that a wrong list fails only
//! the pods that need it: [`RawConf::selection`] reads the fields that select
//! pods, [`RawConf::check`] the rest.
//!
//! Pure.

pub mod lists;
pub mod profile;
mod read;
mod scalar;
mod source;

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::hash::Hasher as _;
use std::path::PathBuf;

use log::LevelFilter;
use serde_json::value::RawValue;
use twox_hash::XxHash64;

use crate::sanitize;
pub use lists::{Lists, PortRange};
use profile::{FSM_LAYOUT, OSM_V0, OSM_V1};
pub use profile::{Layout, Profile};
pub use read::ConfigError;
use read::{Fields, Object, Reader};
use scalar::Scalar;
pub use source::{Entry, SourceError};

/// The capability that makes the runtime pass a pod's annotations.
pub const CAPABILITY: &str = "io.kubernetes.cri.pod-annotations";

/// The `type` of our entry in a conflist.
pub const PLUGIN_TYPE: &str = "osm-cni";

/// All that decides what the rules are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Which generation of OSM's chains.
    pub layout: &'static Layout,
    /// The proxy's uid and ports.
    pub proxy: Proxy,
    /// What IPv6 traffic gets.
    pub ipv6: Ipv6Mode,
    /// Where the proxy reaches the application.
    pub local_proxy_mode: LocalProxyMode,
    /// The mesh's lists.
    pub lists: Lists,
}

/// All that decides which pods are redirected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// Namespaces whose pods are left alone.
    pub excluded_namespaces: Vec<String>,
    /// Namespaces whose pods have a sidecar, where nothing else tells; `*` is all.
    pub mesh_namespaces: Vec<String>,
    /// Names of volumes by which an injected sidecar is recognised.
    pub sidecar_volumes: Vec<String>,
    /// Where the kubelet keeps its pods.
    pub kubelet_dir: PathBuf,
    /// Whether pods may take themselves out of interception.
    pub pod_exclusions: PodExclusions,
    /// What our annotations begin with, before the slash.
    pub annotation_prefix: String,
}

/// `proxy`: the sidecar's uid and ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    /// The uid that the proxy runs as.
    pub uid: u32,
    /// Where outbound connections are redirected to.
    pub outbound_port: u16,
    /// Where inbound connections are redirected to.
    pub inbound_port: u16,
    /// The proxy's administration port.
    pub admin_port: u16,
    /// Ports of the proxy that are reached directly: metrics and health checks.
    pub inbound_bypass_ports: Vec<PortRange>,
}

/// `ipv6`: what IPv6 traffic gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ipv6Mode {
    /// It is not touched.
    Bypass,
    /// The same chains as for IPv4.
    Redirect,
    /// What `Redirect` would send to the proxy is reset.
    Reject,
}

/// `sidecar.localProxyMode`: where the proxy reaches the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LocalProxyMode {
    /// At the loopback address.
    Localhost,
    /// At the pod's own address.
    PodIp,
}

/// `podExclusions`: whether pods may take themselves out of interception.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PodExclusions {
    /// Their annotations count.
    Honor,
    /// Their list annotations do not, nor does `disabled` on a pod of the mesh.
    Ignore,
}

/// Where and how much is logged. Never an error: a wrong value here is
/// reported by [`RawConf::check`], and its default holds until then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// `logLevel`
    pub level: LevelFilter,
    /// `logFile`; none if empty.
    pub file: Option<PathBuf>,
}

/// The fields of a configuration as they came, not yet looked at.
#[derive(Debug, Clone, Default)]
pub struct RawConf<'a> {
    fields: BTreeMap<String, &'a RawValue>,
    /// Those of `traffic`, once they are asked for: its lists may be long.
    traffic: OnceCell<Result<Fields<'a>, ConfigError>>,
}

/// A configuration of which every field is in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// Which pods.
    pub selection: Selection,
    /// What they get.
    pub settings: Settings,
    /// What is odd but does no harm, one sentence each.
    pub warnings: Vec<String>,
}

/// Our own fields.
const FIELDS: [&str; 12] = [
    "ruleset",
    "traffic",
    "sidecar",
    "proxy",
    "ipv6",
    "meshNamespaces",
    "excludedNamespaces",
    "sidecarVolumes",
    "kubeletDir",
    "podExclusions",
    "annotationPrefix",
    "logLevel",
];

/// Not part of the digest: where a node keeps its log changes no rule.
const LOG_FILE: &str = "logFile";

/// Fields of the CNI specification (and of libcni) that stand beside ours.
const CNI_FIELDS: [&str; 9] = [
    "cniVersion",
    "name",
    "type",
    "capabilities",
    "args",
    "prevResult",
    "runtimeConfig",
    "ipMasq",
    "dns",
];

/// So many unknown fields are named, the others only counted: a file that is
/// no configuration of ours at all does not flood the log.
const WARNINGS_MAX: usize = 16;

const LEVELS: [(&str, LevelFilter); 6] = [
    ("off", LevelFilter::Off),
    ("error", LevelFilter::Error),
    ("warn", LevelFilter::Warn),
    ("info", LevelFilter::Info),
    ("debug", LevelFilter::Debug),
    ("trace", LevelFilter::Trace),
];

impl<'a> RawConf<'a> {
    /// Takes the fields of a configuration, ours and others.
    pub fn new(fields: BTreeMap<String, &'a RawValue>) -> Self {
        RawConf { fields, traffic: OnceCell::new() }
    }

    fn reader(&self, field: &'static str) -> Reader<'a> {
        Reader::new(field, self.fields.get(field).copied())
    }

    /// The namespaces whose pods are left alone; the default where the field
    /// is wrong, so that a bad list never stops the node's own pods.
    pub fn excluded_namespaces(&self) -> Vec<String> {
        self.read_excluded_namespaces().unwrap_or_else(|_| default_excluded_namespaces())
    }

    fn read_excluded_namespaces(&self) -> Result<Vec<String>, ConfigError> {
        let list = self.reader("excludedNamespaces").list(Scalar::text)?;
        Ok(list.unwrap_or_else(default_excluded_namespaces))
    }

    /// Which pods are redirected.
    ///
    /// # Errors
    /// The first of these fields that is wrong.
    pub fn selection(&self) -> Result<Selection, ConfigError> {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Ok(Selection {
            excluded_namespaces: self.read_excluded_namespaces()?,
            mesh_namespaces: self.reader("meshNamespaces").list(Scalar::text)?.unwrap_or_default(),
            sidecar_volumes: self.reader("sidecarVolumes").list(Scalar::text)?.unwrap_or_else(
                || words(&["envoy-bootstrap-config-volume", "sidecar-bootstrap-config-volume"]),
            ),
            kubelet_dir: self
                .reader("kubeletDir")
                .optional(Scalar::path)?
                .unwrap_or_else(|| PathBuf::from("/var/lib/kubelet")),
            pod_exclusions: self
                .reader("podExclusions")
                .one_of(&[("honor", PodExclusions::Honor), ("ignore", PodExclusions::Ignore)])?,
            annotation_prefix: self
                .reader("annotationPrefix")
                .optional(Scalar::annotation_prefix)?
                .unwrap_or_else(|| "openservicemesh.io".to_owned()),
        })
    }

    /// What redirected pods get.
    ///
    /// # Errors
    /// The first field that is wrong, those about the log included, those that
    /// select pods not.
    pub fn check(&self) -> Result<Settings, ConfigError> {
        self.reader("logLevel").one_of(&LEVELS)?;
        self.reader(LOG_FILE).optional(Scalar::optional_path)?;
        let layout = self.reader("ruleset").one_of(&[
            ("osm-v0", &OSM_V0),
            ("osm-v1", &OSM_V1),
            ("fsm", &FSM_LAYOUT),
        ])?;
        let sidecar = self.reader("sidecar").fields()?;
        let sidecar = Object { name: "sidecar", fields: &sidecar };
        Ok(Settings {
            layout,
            proxy: self.proxy(layout)?,
            ipv6: self.reader("ipv6").one_of(&[
                ("bypass", Ipv6Mode::Bypass),
                ("redirect", Ipv6Mode::Redirect),
                ("reject", Ipv6Mode::Reject),
            ])?,
            local_proxy_mode: sidecar.field("localProxyMode").one_of(&[
                ("Localhost", LocalProxyMode::Localhost),
                ("PodIP", LocalProxyMode::PodIp),
            ])?,
            lists: self.lists()?,
        })
    }

    fn proxy(&self, layout: &Layout) -> Result<Proxy, ConfigError> {
        let proxy = self.reader("proxy").fields()?;
        let proxy = Object { name: "proxy", fields: &proxy };
        let port = |field, default| {
            proxy.field(field).optional(Scalar::port).map(|port| port.unwrap_or(default))
        };
        Ok(Proxy {
            uid: proxy.field("uid").optional(Scalar::uid)?.unwrap_or(1500),
            outbound_port: port("outboundPort", 15001)?,
            inbound_port: port("inboundPort", 15003)?,
            admin_port: port("adminPort", 15000)?,
            inbound_bypass_ports: proxy
                .field("inboundBypassPorts")
                .list(Scalar::port_range)?
                .unwrap_or_else(|| layout.bypass_ranges()),
        })
    }

    fn traffic(&self) -> Result<&Fields<'a>, ConfigError> {
        let fields = self.traffic.get_or_init(|| self.reader("traffic").fields());
        fields.as_ref().map_err(Clone::clone)
    }

    fn lists(&self) -> Result<Lists, ConfigError> {
        let traffic = Object { name: "traffic", fields: self.traffic()? };
        let ports =
            |field| traffic.field(field).list(Scalar::port_range).map(Option::unwrap_or_default);
        let ranges =
            |field| traffic.field(field).list(Scalar::range).map(Option::unwrap_or_default);
        Ok(Lists {
            outbound_ports: ports("outboundPortExclusionList")?,
            inbound_ports: ports("inboundPortExclusionList")?,
            outbound_ranges: ranges("outboundIPRangeExclusionList")?,
            included_ranges: ranges("outboundIPRangeInclusionList")?,
            interfaces: traffic
                .field("networkInterfaceExclusionList")
                .list(Scalar::interface)?
                .unwrap_or_default(),
            outbound_uids: traffic
                .field("outboundUIDExclusionList")
                .list(Scalar::uid)?
                .unwrap_or_default(),
        })
    }

    /// Where and how much is logged.
    pub fn log(&self) -> LogSettings {
        let file = self.reader(LOG_FILE).optional(Scalar::optional_path).ok().flatten();
        let file = file.unwrap_or_else(|| Some(PathBuf::from("/var/log/osm-cni/osm-cni.log")));
        let level = self.reader("logLevel").optional(|value| value.word(&LEVELS));
        LogSettings { level: level.ok().flatten().unwrap_or(LevelFilter::Info), file }
    }

    /// Unknown fields of our own part, a sentence each.
    pub fn warnings(&self) -> Vec<String> {
        const PROXY: [&str; 5] =
            ["uid", "outboundPort", "inboundPort", "adminPort", "inboundBypassPorts"];
        let known = |field: &str| {
            FIELDS.contains(&field) || CNI_FIELDS.contains(&field) || field == LOG_FILE
        };
        let top = self.fields.keys().filter(|field| !known(field)).cloned();
        let proxy = self.reader("proxy").fields().unwrap_or_default().into_keys();
        let proxy = proxy.filter(|field| !PROXY.contains(&field.as_str()));
        let mut unknown = top.chain(proxy.map(|field| format!("proxy.{field}")));
        let mut warnings: Vec<String> = unknown
            .by_ref()
            .take(WARNINGS_MAX)
            .map(|field| format!("unknown field {} is ignored", sanitize::value(&field)))
            .collect();
        match unknown.count() {
            0 => {}
            more => warnings.push(format!("{more} more unknown fields are ignored")),
        }
        warnings
    }

    /// Twelve hexadecimal digits that stand for the settings in force: the
    /// upper 48 bits of the XXH64 of our own fields. It tells settings apart, and
    /// keeps nobody from making others with the same digits.
    pub fn digest(&self) -> String {
        let mut hash = XxHash64::with_seed(0);
        for field in FIELDS {
            if let Some(value) = self.fields.get(field) {
                hash.write(field.as_bytes());
                hash.write_u8(0);
                let tell = &mut |piece: &str| hash.write(piece.as_bytes());
                match self.traffic() {
                    // as read for the rules, and not once more
                    Ok(fields) if field == "traffic" && !fields.is_empty() => {
                        read::canonical_object(fields, tell);
                    }
                    _ => read::canonical(value.get(), tell),
                }
                hash.write_u8(0);
            }
        }
        format!("{:012x}", hash.finish() >> 16)
    }
}

impl Default for LogSettings {
    fn default() -> Self {
        RawConf::default().log()
    }
}

fn default_excluded_namespaces() -> Vec<String> {
    ["kube-system", "kube-public", "kube-node-lease", "osm-system"].map(str::to_owned).to_vec()
}
