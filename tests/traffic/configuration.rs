//! A configuration as the tests write it down, and two ways to put it into a
//! pod: as the settings and annotations of osm-cni, and (in [`super::osm`]) as
//! OSM's own rules. The two share no code with each other.

use serde_json::{Value, json};

use super::pod::{Connection, From, INTERFACES, POD_IPV4, POD_IPV6, is_local};

/// Everything that decides where connections go.
#[derive(Debug, Clone)]
pub(super) struct Configuration {
    pub(super) chains: Chains,
    pub(super) pod_ip: bool,
    /// Whether `prevResult` names the pod's IPv6 address.
    pub(super) ipv6_in_result: bool,
    pub(super) ipv6: Ipv6,
    pub(super) proxy: Proxy,
    pub(super) mesh: Lists,
    /// Of the annotations; no interfaces.
    pub(super) pod: Lists,
}

/// `ruleset`: whose chains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chains {
    OsmV0,
    OsmV1,
    Fsm,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ipv6 {
    Bypass,
    Redirect,
    Reject,
}

#[derive(Debug, Clone)]
pub(super) struct Proxy {
    pub(super) uid: u32,
    pub(super) outbound_port: u16,
    pub(super) inbound_port: u16,
    pub(super) admin_port: u16,
    /// `inboundBypassPorts`; OSM's own if none.
    pub(super) bypass: Option<Vec<(u16, u16)>>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Lists {
    pub(super) outbound_ports: Vec<(u16, u16)>,
    pub(super) inbound_ports: Vec<(u16, u16)>,
    pub(super) outbound_ranges: Vec<String>,
    pub(super) included_ranges: Vec<String>,
    pub(super) interfaces: Vec<String>,
    pub(super) uids: Vec<u32>,
}

impl Configuration {
    /// The mesh's lists and the pod's.
    pub(super) fn lists(&self) -> impl Iterator<Item = &Lists> {
        [&self.mesh, &self.pod].into_iter()
    }

    /// With `ipv6: reject`, whether one can't see from where a connection ends
    /// if it was redirected: it was meant for the proxy's port anyway.
    pub(super) fn ambiguous(&self, connection: &Connection) -> bool {
        let ports = [self.proxy.outbound_port, self.proxy.inbound_port];
        self.ipv6 == Ipv6::Reject
            && connection.to.is_ipv6()
            && (connection.from == From::Outside || is_local(connection.to.ip()))
            && ports.contains(&connection.to.port())
    }

    /// The settings, as they stand in a conflist.
    pub(super) fn settings(&self) -> Value {
        let mut proxy = json!({
            "uid": self.proxy.uid,
            "outboundPort": self.proxy.outbound_port,
            "inboundPort": self.proxy.inbound_port,
            "adminPort": self.proxy.admin_port,
        });
        if let Some(bypass) = &self.proxy.bypass {
            proxy["inboundBypassPorts"] = ports_json(bypass);
        }
        json!({
            "ruleset": match self.chains {
                Chains::OsmV0 => "osm-v0",
                Chains::OsmV1 => "osm-v1",
                Chains::Fsm => "fsm",
            },
            "traffic": {
                "outboundIPRangeExclusionList": first_two_in_one(&self.mesh.outbound_ranges),
                "outboundIPRangeInclusionList": self.mesh.included_ranges,
                "outboundPortExclusionList": ports_json(&self.mesh.outbound_ports),
                "inboundPortExclusionList": ports_json(&self.mesh.inbound_ports),
                "networkInterfaceExclusionList": self.mesh.interfaces,
                "outboundUIDExclusionList": self.mesh.uids,
            },
            "sidecar": {"localProxyMode": if self.pod_ip { "PodIP" } else { "Localhost" }},
            "proxy": proxy,
            "ipv6": match self.ipv6 {
                Ipv6::Bypass => "bypass",
                Ipv6::Redirect => "redirect",
                Ipv6::Reject => "reject",
            },
            "sidecarVolumes": [],
            "logFile": "",
        })
    }

    /// The pod's annotations.
    pub(super) fn annotations(&self) -> Value {
        let list = |items: Vec<String>| items.join(", ");
        let ports = |list: &[(u16, u16)]| {
            list.iter().map(|ports| port_text(*ports, "-")).collect::<Vec<_>>()
        };
        json!({
            "openservicemesh.io/sidecar-injection": "enabled",
            "openservicemesh.io/outbound-port-exclusion-list": list(ports(&self.pod.outbound_ports)),
            "openservicemesh.io/inbound-port-exclusion-list": list(ports(&self.pod.inbound_ports)),
            "openservicemesh.io/outbound-ip-range-exclusion-list": list(self.pod.outbound_ranges.clone()),
            "openservicemesh.io/outbound-ip-range-inclusion-list": list(self.pod.included_ranges.clone()),
            "openservicemesh.io/outbound-uid-exclusion-list":
                list(self.pod.uids.iter().map(u32::to_string).collect()),
        })
    }

    /// The whole configuration that a runtime passes at ADD.
    pub(super) fn plugin_conf(&self, sandbox: &str) -> Value {
        let mut conf = self.settings();
        let interfaces = INTERFACES.map(|name| json!({"name": name, "sandbox": sandbox}));
        let ip =
            |address: String, interface: u8| json!({"address": address, "interface": interface});
        conf["cniVersion"] = json!("1.0.0");
        conf["name"] = json!("rignet");
        conf["type"] = json!("osm-cni");
        conf["capabilities"] = json!({"io.kubernetes.cri.pod-annotations": true});
        conf["runtimeConfig"] = json!({"io.kubernetes.cri.pod-annotations": self.annotations()});
        // net1's first: `localProxyMode: PodIP` is about CNI_IFNAME's address.
        let mut ips = vec![ip(format!("{}/24", POD_IPV4[1]), 1)];
        ips.push(ip(format!("{}/64", POD_IPV6[1]), 1));
        ips.push(ip(format!("{}/24", POD_IPV4[0]), 0));
        if self.ipv6_in_result {
            ips.push(ip(format!("{}/64", POD_IPV6[0]), 0));
        }
        let result = json!({"cniVersion": "1.0.0", "interfaces": interfaces, "ips": ips});
        conf["prevResult"] = result;
        conf
    }
}

/// OSM takes a list in one item for several items.
fn first_two_in_one(items: &[String]) -> Vec<String> {
    match items {
        [first, second, rest @ ..] => {
            [format!(" {first},{second} ")].into_iter().chain(rest.iter().cloned()).collect()
        }
        _ => items.to_vec(),
    }
}

/// `8080` or `8000-8010`, with this between.
pub(super) fn port_text((first, last): (u16, u16), between: &str) -> String {
    if first == last { first.to_string() } else { format!("{first}{between}{last}") }
}

fn ports_json(list: &[(u16, u16)]) -> Value {
    let one = |ports: &(u16, u16)| match ports {
        (first, last) if first == last => json!(first),
        ports => json!(port_text(*ports, "-")),
    };
    list.iter().map(one).collect()
}
