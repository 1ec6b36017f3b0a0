//! The paths of a pod's connections with Envoy as its sidecar, known by a header
//! that Envoy adds and by its statistics.

use std::net::SocketAddr;

use serde_json::json;

use super::{Rig, Setup, way};
use crate::support::envoy::{self, APPLICATION, HEALTH_PORTS, INBOUND_REQUESTS, OUTBOUND_REQUESTS};
use crate::support::namespace;
use crate::support::pod::{Container, ContainerSpec, Pod, PodSpec};
use crate::support::wait_for;

/// A pod of the mesh that excludes port 8080 by itself.
fn meshed() -> PodSpec {
    PodSpec::new("web").enabled().annotation("outbound-port-exclusion-list", "8080")
}

/// The pod's application: a server on the port that Envoy's inbound listener
/// leads to, and the container that the tests' requests come from.
pub(super) fn start_application<'node>(pod: &Pod<'node>) -> Container<'node> {
    let application = pod.start(&ContainerSpec::new("app", &["serve", &APPLICATION.to_string()]));
    let address = SocketAddr::from(([127, 0, 0, 1], APPLICATION));
    wait_for("the application answers", std::time::Duration::from_secs(20), || {
        application.get(address)
    });
    application
}

#[test]
fn outbound_requests_pass_envoy_and_excluded_ones_do_not() {
    outbound_requests_pass_envoy_but_for_exclusions("osm-v0");
}

#[test]
fn outbound_requests_pass_envoy_under_osm_v1_too() {
    outbound_requests_pass_envoy_but_for_exclusions("osm-v1");
}

fn outbound_requests_pass_envoy_but_for_exclusions(ruleset: &str) {
    let rig = Rig::with(Setup { settings: json!({"ruleset": ruleset}), ..Setup::default() });
    let pod = rig.run_redirected(&meshed());
    let envoy = envoy::start(&pod, envoy::IPV4);
    let application = start_application(&pod);

    for (address, expected) in [
        ("203.0.113.9:80", Some("outbound")),
        ("203.0.113.9:9090", Some("outbound")),
        ("1.1.1.2:80", Some("outbound")),
        // By the pod's annotation, the mesh's ports and the mesh's ranges.
        ("203.0.113.9:8080", None),
        ("203.0.113.9:6379", None),
        ("203.0.113.9:7070", None),
        ("1.1.1.1:80", None),
        ("2.2.2.77:80", None),
    ] {
        let before = envoy::statistic(&envoy, OUTBOUND_REQUESTS);
        let answer = application.get(address).unwrap_or_else(|error| panic!("{address}: {error}"));
        assert!(answer.contains(&format!("\nreached {address}\n")), "{address}: {answer}");
        assert_eq!(way(&answer), expected, "{address}: {answer}");
        let passed = envoy::statistic(&envoy, OUTBOUND_REQUESTS) - before;
        assert_eq!(passed, u64::from(expected.is_some()), "{address}: requests that Envoy counted");
    }
}

#[test]
fn inbound_requests_pass_envoy_and_probes_of_its_health_ports_do_not() {
    inbound_requests_pass_envoy_but_for_probes("osm-v0");
}

#[test]
fn inbound_requests_pass_envoy_under_osm_v1_too() {
    inbound_requests_pass_envoy_but_for_probes("osm-v1");
}

fn inbound_requests_pass_envoy_but_for_probes(ruleset: &str) {
    let rig = Rig::with(Setup { settings: json!({"ruleset": ruleset}), ..Setup::default() });
    let pod = rig.run_redirected(&meshed());
    let envoy = envoy::start(&pod, envoy::IPV4);
    let _application = start_application(&pod);

    let answer =
        rig.world.get(SocketAddr::new(pod.ip(), APPLICATION)).expect("the application's answer");
    assert!(answer.contains("application of the pod"), "{answer}");
    assert_eq!(way(&answer), Some("inbound"), "{answer}");
    assert_eq!(envoy::statistic(&envoy, INBOUND_REQUESTS), 1);

    for port in HEALTH_PORTS {
        let answer =
            rig.world.get(SocketAddr::new(pod.ip(), port)).expect("the answer of a health port");
        assert!(answer.contains(&format!("health {port}")), "{answer}");
    }
    assert_eq!(envoy::statistic(&envoy, INBOUND_REQUESTS), 1, "a probe came in as a request");
}

#[test]
fn a_port_of_the_node_leads_through_envoy() {
    let rig = Rig::new();
    let pod = meshed().host_port(18000, APPLICATION).run(&rig.node);
    let _envoy = envoy::start(&pod, envoy::IPV4);
    let _application = start_application(&pod);

    let answer =
        rig.world.get(SocketAddr::from(([192, 0, 2, 1], 18000))).expect("the application's answer");
    assert_eq!(way(&answer), Some("inbound"), "{answer}");
}

#[test]
fn no_container_of_a_redirected_pod_has_a_capability() {
    let rig = Rig::new();
    let pod = rig.run_redirected(&meshed());
    for container in [envoy::start(&pod, envoy::IPV4), start_application(&pod)] {
        let exec = container.exec(&["cat", "/proc/1/status"]);
        assert_eq!(exec.code, 0, "{exec:?}");
        let status = exec.stdout;
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            let line = format!("{set}:\t0000000000000000");
            assert!(status.contains(&line), "{status}");
        }
    }
}

#[test]
fn the_first_process_of_a_pod_is_redirected() {
    // The sandbox's own process runs before any container of the pod.
    let pause = "get 203.0.113.9 80 203.0.113.9 /";
    let rig = Rig::with(Setup { pause, ..Setup::default() });
    let pod = rig.run_redirected(&meshed());
    let outside = PodSpec::new("outside").run(&rig.node);

    // No process listens on Envoy's port; the counter of the redirect shows it.
    wait_for(
        "the sandbox's first connection is counted",
        std::time::Duration::from_secs(20),
        || {
            let chain = namespace::run_inside(
                &pod.netns(),
                &["nft", "list", "chain", "ip", "osm", "PROXY_REDIRECT"],
            );
            if chain.contains("counter packets 1 ") { Ok(()) } else { Err(chain) }
        },
    );
    // Only the pod outside the mesh reached the world.
    wait_for("the world is reached", std::time::Duration::from_secs(20), || {
        if rig.world.reached().is_empty() { Err("no connection".to_owned()) } else { Ok(()) }
    });
    assert_eq!(rig.world.reached().len(), 1, "{:?} and {:?}", pod.ip(), outside.ip());

    // The same holds for the first process of the first container.
    let first =
        pod.start(&ContainerSpec::new("first", &["get", "203.0.113.9", "80", "203.0.113.9", "/"]));
    assert_ne!(first.wait(), 0);
    assert!(first.log().contains("Connection refused"), "{}", first.log());
    assert_eq!(rig.world.reached().len(), 1);
}
