//! The meshes that osm-cni knows, as data: a mesh with other ports, volume,
//! annotation prefix or chain names is one more row of [`PROFILES`], and a
//! ruleset that differs in names or bypass ports one more row of [`LAYOUTS`].
//!
//! Pure.

use super::PortRange;

/// `ruleset`: the chains that redirect.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Layout {
    /// The word in the settings.
    pub name: &'static str,
    /// The order of the rules.
    pub(crate) order: RuleOrder,
    /// The names of the chains.
    pub(crate) chains: ChainNames,
    /// The default of `proxy.inboundBypassPorts`: metrics, then health checks.
    pub(crate) inbound_bypass_ports: &'static [u16],
}

/// The order of the rules, which two generations of OSM have differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum RuleOrder {
    /// The reference document's.
    V0,
    /// That of OSM 1.1 and later, and of FSM.
    V1,
}

/// The names of the four chains.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct ChainNames {
    /// Inbound connections: exclusions, then on to the proxy.
    pub(crate) inbound: &'static str,
    /// Redirects to the proxy's inbound port.
    pub(crate) in_redirect: &'static str,
    /// Outbound connections: exclusions, then on to the proxy.
    pub(crate) outbound: &'static str,
    /// Redirects to the proxy's outbound port.
    pub(crate) out_redirect: &'static str,
}

/// A mesh, with the defaults of its settings.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Profile {
    /// The word in the setting `mesh`.
    pub name: &'static str,
    /// The mesh's name for people.
    pub(crate) title: &'static str,
    /// The default of `ruleset`.
    pub(crate) layout: &'static Layout,
    /// The default of `annotationPrefix`.
    pub(crate) annotation_prefix: &'static str,
    /// Annotations under that prefix that are the mesh's own business.
    pub(crate) other_annotations: &'static [&'static str],
    /// The default of `sidecarVolumes`.
    pub(crate) sidecar_volume: &'static str,
    /// Where the control plane runs: one of the default `excludedNamespaces`.
    pub namespace: &'static str,
    /// The default of `proxy`.
    pub(crate) proxy: ProxyDefaults,
    /// The mesh's own MeshConfig.
    pub mesh_config: MeshConfigKind,
}

/// The uid and the ports of a mesh's proxy.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct ProxyDefaults {
    /// The uid that the proxy runs as.
    pub(crate) uid: u32,
    /// Where outbound connections are redirected to.
    pub(crate) outbound_port: u16,
    /// Where inbound connections are redirected to.
    pub(crate) inbound_port: u16,
    /// The proxy's administration port.
    pub(crate) admin_port: u16,
}

/// How a MeshConfig of this mesh is recognised, and which ruleset it selects.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct MeshConfigKind {
    /// The group of its `apiVersion`.
    pub group: &'static str,
    /// The name of the object in the control plane's namespace.
    pub name: &'static str,
    /// The ruleset of certain versions; all others have `newest`.
    pub(crate) versions: &'static [(&'static str, &'static Layout)],
    /// The ruleset of all other versions.
    pub(crate) newest: &'static Layout,
}

/// The reference document's chains, OSM's first releases.
pub(crate) static OSM_V0: Layout = Layout {
    name: "osm-v0",
    order: RuleOrder::V0,
    chains: ChainNames {
        inbound: "PROXY_INBOUND",
        in_redirect: "PROXY_IN_REDIRECT",
        outbound: "PROXY_OUTPUT",
        out_redirect: "PROXY_REDIRECT",
    },
    inbound_bypass_ports: &[15010, 15901, 15902, 15903],
};

/// The chains of OSM 1.1 and 1.2.
pub(crate) static OSM_V1: Layout = Layout {
    name: "osm-v1",
    order: RuleOrder::V1,
    chains: ChainNames {
        inbound: "OSM_PROXY_INBOUND",
        in_redirect: "OSM_PROXY_IN_REDIRECT",
        outbound: "OSM_PROXY_OUTBOUND",
        out_redirect: "OSM_PROXY_OUT_REDIRECT",
    },
    inbound_bypass_ports: &[15010, 15901, 15902, 15903, 15904],
};

/// The chains of Flomesh Service Mesh.
pub(crate) static FSM_LAYOUT: Layout = Layout {
    name: "fsm",
    order: RuleOrder::V1,
    chains: ChainNames {
        inbound: "FSM_PROXY_INBOUND",
        in_redirect: "FSM_PROXY_IN_REDIRECT",
        outbound: "FSM_PROXY_OUTBOUND",
        out_redirect: "FSM_PROXY_OUT_REDIRECT",
    },
    inbound_bypass_ports: &[15010, 15901, 15902, 15903, 15904],
};

/// The values of `ruleset`.
pub static LAYOUTS: [&Layout; 3] = [&OSM_V0, &OSM_V1, &FSM_LAYOUT];

/// Envoy as OSM and FSM start it.
const ENVOY: ProxyDefaults =
    ProxyDefaults { uid: 1500, outbound_port: 15001, inbound_port: 15003, admin_port: 15000 };

/// Open Service Mesh.
pub(crate) static OSM: Profile = Profile {
    name: "osm",
    title: "Open Service Mesh",
    layout: &OSM_V0,
    annotation_prefix: "openservicemesh.io",
    other_annotations: &["metrics"],
    sidecar_volume: "envoy-bootstrap-config-volume",
    namespace: "osm-system",
    proxy: ENVOY,
    mesh_config: MeshConfigKind {
        group: "config.openservicemesh.io",
        name: "osm-mesh-config",
        versions: &[("v1alpha1", &OSM_V0)],
        newest: &OSM_V1,
    },
};

/// Flomesh Service Mesh.
pub(crate) static FSM: Profile = Profile {
    name: "fsm",
    title: "Flomesh Service Mesh",
    layout: &FSM_LAYOUT,
    annotation_prefix: "flomesh.io",
    other_annotations: &["metrics"],
    sidecar_volume: "sidecar-bootstrap-config-volume",
    namespace: "fsm-system",
    proxy: ENVOY,
    mesh_config: MeshConfigKind {
        group: "config.flomesh.io",
        name: "fsm-mesh-config",
        versions: &[],
        newest: &FSM_LAYOUT,
    },
};

/// All meshes; the first is the default of `mesh`.
pub static PROFILES: [&Profile; 2] = [&OSM, &FSM];

impl Layout {
    /// The ports of the proxy that are reached directly, as ranges.
    pub(super) fn bypass_ranges(&self) -> Vec<PortRange> {
        let ports = self.inbound_bypass_ports.iter();
        ports.filter_map(|port| PortRange::new(*port, *port)).collect()
    }
}
