//! A pod of Flomesh Service Mesh with a real Envoy: known by FSM's volume, its own
//! annotations read, and redirected by FSM's chains.

use std::net::SocketAddr;

use serde_json::json;

use super::traffic::start_application;
use super::{Rig, Setup, way};
use crate::support::envoy::{self, APPLICATION, HEALTH_PORTS, INBOUND_REQUESTS};
use crate::support::namespace::run_inside;
use crate::support::pod::{PodSpec, kubelet_dirs};

#[test]
fn a_pod_of_fsm_passes_envoy_both_ways_by_fsms_chains() {
    let rig = Rig::with(Setup { settings: json!({"mesh": "fsm"}), ..Setup::default() });
    kubelet_dirs(&rig.kubelet(), "uid-web", &["sidecar-bootstrap-config-volume"]);
    let mut spec = PodSpec::new("web").annotation("outbound-port-exclusion-list", "9090");
    spec.annotations.insert("flomesh.io/outbound-port-exclusion-list".into(), "8080".into());
    let pod = rig.run_redirected(&spec);
    let envoy = envoy::start(&pod, envoy::IPV4);
    let application = start_application(&pod);

    for (address, expected) in [
        ("203.0.113.9:80", Some("outbound")),
        // OSM's annotation is not FSM's.
        ("203.0.113.9:9090", Some("outbound")),
        ("203.0.113.9:8080", None),
        ("203.0.113.9:6379", None),
    ] {
        let answer = application.get(address).unwrap_or_else(|error| panic!("{address}: {error}"));
        assert_eq!(way(&answer), expected, "{address}: {answer}");
    }
    let inbound = SocketAddr::new(pod.ip(), APPLICATION);
    let answer = rig.world.get(inbound).expect("the application's answer");
    assert_eq!(way(&answer), Some("inbound"), "{answer}");
    for port in HEALTH_PORTS {
        let answer = rig.world.get(SocketAddr::new(pod.ip(), port)).expect("a health port");
        assert!(answer.contains(&format!("health {port}")), "{answer}");
    }
    assert_eq!(envoy::statistic(&envoy, INBOUND_REQUESTS), 1, "a probe came in as a request");

    // The counters of FSM's own chains show it, too.
    let rules = run_inside(&pod.netns(), &["nft", "list", "table", "ip", "osm"]);
    for chain in ["FSM_PROXY_INBOUND", "FSM_PROXY_IN_REDIRECT", "FSM_PROXY_OUTBOUND"] {
        assert!(rules.contains(&format!("chain {chain} {{")), "{chain}: {rules}");
    }
    let redirect = ["nft", "list", "chain", "ip", "osm", "FSM_PROXY_OUT_REDIRECT"];
    let redirect = run_inside(&pod.netns(), &redirect);
    assert!(redirect.contains("counter packets 2 "), "{redirect}");
}
