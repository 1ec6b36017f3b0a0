//! The fields of the settings, their defaults, and how those of one mesh stand
//! above those of all.
//!
//! Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use ipnetwork::IpNetwork;
use log::LevelFilter;
use serde_json::value::RawValue;

use super::expected::Expected;
use super::lists::{self, Lists};
use super::profile::{LAYOUTS, Layout, Profile};
use super::read::{ConfigError, Field, Object};
use super::scalar::Scalar;
use super::unknown;
use super::{
    Ipv6Mode, LocalProxyMode, LogFormat, LogSettings, Mesh, OtherVolume, PodExclusions, Proxy,
    Redirection, Selection, Settings,
};

/// Namespaces of Kubernetes itself, which no mesh injects into.
const KUBERNETES: [&str; 3] = ["kube-system", "kube-public", "kube-node-lease"];

const LEVELS: [(&str, LevelFilter); 6] = [
    ("off", LevelFilter::Off),
    ("error", LevelFilter::Error),
    ("warn", LevelFilter::Warn),
    ("info", LevelFilter::Info),
    ("debug", LevelFilter::Debug),
    ("trace", LevelFilter::Trace),
];

const IPV6: [(&str, Ipv6Mode); 3] =
    [("bypass", Ipv6Mode::Bypass), ("redirect", Ipv6Mode::Redirect), ("reject", Ipv6Mode::Reject)];

const LOCAL_PROXY: [(&str, LocalProxyMode); 2] =
    [("Localhost", LocalProxyMode::Localhost), ("PodIP", LocalProxyMode::PodIp)];

const POD_EXCLUSIONS: [(&str, PodExclusions); 2] =
    [("honor", PodExclusions::Honor), ("ignore", PodExclusions::Ignore)];

/// Reads all settings.
pub(super) fn settings(
    fields: BTreeMap<String, &RawValue>,
    profiles: &'static [&'static Profile],
) -> Settings {
    let root = Object::root(fields);
    let (log, log_error) = log(&root);
    let words: Vec<(&str, &'static Profile)> =
        profiles.iter().map(|profile| (profile.name, *profile)).collect();
    let meshes = root.field("mesh").some_of(&words);
    let mut meshes = meshes.map(|meshes| meshes.unwrap_or_else(|| vec![profiles[0]]));
    if let Ok(meshes) = &mut meshes {
        // A mesh that is named twice counts once.
        let mut names = BTreeSet::new();
        meshes.retain(|profile| names.insert(profile.name));
    }
    // If the mesh is not known, the control planes of all meshes are left alone.
    let control_planes = meshes.as_deref().unwrap_or(profiles);
    let excluded = root.field("excludedNamespaces").list(Scalar::text);
    let default_excluded = || {
        let namespaces = control_planes.iter().map(|profile| profile.namespace);
        KUBERNETES.into_iter().chain(namespaces).map(str::to_owned).collect()
    };
    let excluded = excluded.map(|excluded| excluded.unwrap_or_else(default_excluded));
    let excluded_namespaces = excluded.clone().unwrap_or_else(|_| default_excluded());
    let selection = excluded
        .and(meshes)
        .and_then(|meshes| selection(&root, &meshes, profiles, log_error.as_ref()));
    let warnings = unknown::warnings(&root, profiles);
    Settings { log, excluded_namespaces, selection, warnings }
}

/// The settings about the log, and the first of them that is wrong.
fn log(root: &Object<'_>) -> (LogSettings, Option<ConfigError>) {
    let level = root.field("logLevel").optional(|value| value.word(&LEVELS));
    let format = root.field("logFormat").optional(|value| value.word(&LogFormat::WORDS));
    let file = root.field("logFile").optional(Scalar::optional_path);
    let default = LogSettings::default();
    let settings = LogSettings {
        level: level.clone().ok().flatten().unwrap_or(default.level),
        format: format.clone().ok().flatten().unwrap_or(default.format),
        file: file.clone().ok().flatten().unwrap_or(default.file),
    };
    (settings, level.err().or(format.err()).or(file.err()))
}

fn selection(
    root: &Object<'_>,
    meshes: &[&'static Profile],
    profiles: &'static [&'static Profile],
    log_error: Option<&ConfigError>,
) -> Result<Selection, ConfigError> {
    let kubelet_dir = root.field("kubeletDir").optional(Scalar::path)?;
    let own = root.field("meshes").object()?;
    let shared = Layer::new(root);
    let mut all = Vec::with_capacity(meshes.len());
    for profile in meshes {
        let own = own.field(profile.name).object()?;
        let layers = Layers { own: Layer::new(&own), shared: &shared };
        all.push(mesh(&layers, profile, log_error)?);
    }
    let served = |volume: &str| {
        all.iter().any(|mesh: &Mesh| mesh.sidecar_volumes.iter().any(|name| name == volume))
    };
    let any = all.iter().any(|mesh| !mesh.sidecar_volumes.is_empty());
    let others = profiles.iter().filter(|profile| {
        any && !meshes.iter().any(|mesh| mesh.name == profile.name)
            && !served(profile.sidecar_volume)
    });
    let other_volumes =
        others.map(|profile| OtherVolume { volume: profile.sidecar_volume.to_owned(), profile });
    Ok(Selection {
        kubelet_dir: kubelet_dir.unwrap_or_else(|| PathBuf::from("/var/lib/kubelet")),
        other_volumes: other_volumes.collect(),
        meshes: all,
    })
}

/// The settings of one mesh, or of all.
struct Layer<'o, 'a> {
    object: &'o Object<'a>,
    traffic: Result<Object<'a>, ConfigError>,
    sidecar: Result<Object<'a>, ConfigError>,
    proxy: Result<Object<'a>, ConfigError>,
}

/// The settings of one mesh above those of all.
struct Layers<'l, 'a> {
    own: Layer<'l, 'a>,
    shared: &'l Layer<'l, 'a>,
}

impl<'o, 'a> Layer<'o, 'a> {
    fn new(object: &'o Object<'a>) -> Self {
        let part = |name| object.field(name).object();
        Layer { object, traffic: part("traffic"), sidecar: part("sidecar"), proxy: part("proxy") }
    }
}

impl<'a> Layers<'_, 'a> {
    fn field(&self, name: &str) -> Field<'a> {
        self.own.object.field(name).or(self.shared.object.field(name))
    }

    /// A field of one of the settings' objects.
    fn part(
        &self,
        object: impl for<'l> Fn(&'l Layer<'_, 'a>) -> &'l Result<Object<'a>, ConfigError>,
        name: &str,
    ) -> Result<Field<'a>, ConfigError> {
        let field = |layer| object(layer).as_ref().map(|it| it.field(name)).map_err(Clone::clone);
        Ok(field(&self.own)?.or(field(self.shared)?))
    }

    fn traffic(&self, name: &str) -> Result<Field<'a>, ConfigError> {
        self.part(|layer| &layer.traffic, name)
    }
}

fn mesh(
    layers: &Layers<'_, '_>,
    profile: &'static Profile,
    log_error: Option<&ConfigError>,
) -> Result<Mesh, ConfigError> {
    let prefix = layers.field("annotationPrefix").optional(Scalar::annotation_prefix)?;
    let volumes = layers.field("sidecarVolumes").list(Scalar::volume)?;
    Ok(Mesh {
        profile,
        annotation_prefix: prefix.unwrap_or_else(|| profile.annotation_prefix.to_owned()),
        sidecar_volumes: volumes.unwrap_or_else(|| vec![profile.sidecar_volume.to_owned()]),
        namespaces: layers.field("meshNamespaces").list(Scalar::text)?.unwrap_or_default(),
        pod_exclusions: layers.field("podExclusions").one_of(&POD_EXCLUSIONS)?,
        redirection: match log_error {
            Some(error) => Err(error.clone()),
            None => redirection(layers, profile),
        },
    })
}

fn redirection(
    layers: &Layers<'_, '_>,
    profile: &'static Profile,
) -> Result<Redirection, ConfigError> {
    let words = LAYOUTS.map(|layout| (layout.name, layout));
    let layout = layers.field("ruleset").optional(|value| {
        // A profile may bring a ruleset of its own.
        value.clone().word(&[(profile.layout.name, profile.layout)]).or_else(|_| value.word(&words))
    })?;
    let layout = layout.unwrap_or(profile.layout);
    let ipv6 = layers.field("ipv6").one_of(&IPV6)?;
    Ok(Redirection {
        layout,
        ipv6,
        proxy: proxy(layers, profile, layout)?,
        local_proxy_mode: layers
            .part(|layer| &layer.sidecar, "localProxyMode")?
            .one_of(&LOCAL_PROXY)?,
        lists: traffic(layers, ipv6)?,
    })
}

fn proxy(
    layers: &Layers<'_, '_>,
    profile: &Profile,
    layout: &Layout,
) -> Result<Proxy, ConfigError> {
    let field = |name| layers.part(|layer| &layer.proxy, name);
    let port = |name, default| {
        let port = field(name)?.optional(Scalar::port)?;
        Ok(port.unwrap_or(default))
    };
    let bypass = field("inboundBypassPorts")?.list(Scalar::port_range)?;
    Ok(Proxy {
        uid: field("uid")?.optional(Scalar::uid)?.unwrap_or(profile.proxy.uid),
        outbound_port: port("outboundPort", profile.proxy.outbound_port)?,
        inbound_port: port("inboundPort", profile.proxy.inbound_port)?,
        admin_port: port("adminPort", profile.proxy.admin_port)?,
        inbound_bypass_ports: bypass.unwrap_or_else(|| layout.bypass_ranges()),
    })
}

fn traffic(layers: &Layers<'_, '_>, ipv6: Ipv6Mode) -> Result<Lists, ConfigError> {
    let ports = |name| Ok(layers.traffic(name)?.list(Scalar::port_range)?.unwrap_or_default());
    let range = |value: Scalar| -> Result<IpNetwork, Expected> {
        lists::allowed_range(value.range()?, ipv6)
    };
    let ranges = |name| Ok(layers.traffic(name)?.list(range)?.unwrap_or_default());
    let interfaces = layers.traffic("networkInterfaceExclusionList")?.list(Scalar::interface)?;
    let uids = layers.traffic("outboundUIDExclusionList")?.list(Scalar::uid)?;
    Ok(Lists {
        outbound_ports: ports("outboundPortExclusionList")?,
        inbound_ports: ports("inboundPortExclusionList")?,
        outbound_ranges: ranges("outboundIPRangeExclusionList")?,
        included_ranges: ranges("outboundIPRangeInclusionList")?,
        interfaces: interfaces.unwrap_or_default(),
        outbound_uids: uids.unwrap_or_default(),
    })
}
