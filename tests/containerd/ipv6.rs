//! Pods with addresses of both families: what becomes of IPv6.

use std::net::SocketAddr;

use serde_json::json;

use super::{Rig, Setup, way};
use crate::support::envoy::{self, APPLICATION, HEALTH_PORTS};
use crate::support::namespace;
use crate::support::pod::{ContainerSpec, PodSpec};

fn dual_stack(ipv6: &str) -> Rig {
    let settings = json!({"ipv6": ipv6, "traffic": {
        "outboundIPRangeExclusionList": ["1.1.1.1/32", "2001:db8:e::/48"],
        "outboundPortExclusionList": [6379],
    }});
    Rig::with(Setup { ipv6: true, settings, ..Setup::default() })
}

#[test]
fn with_redirect_both_families_pass_envoy_both_ways() {
    let rig = dual_stack("redirect");
    let pod = PodSpec::new("web").enabled().run(&rig.node);
    let _envoy = envoy::start(&pod, envoy::BOTH_FAMILIES);
    let application = pod.start(&ContainerSpec::new("app", &["serve", &APPLICATION.to_string()]));

    for (address, expected) in [
        ("203.0.113.9:80", Some("outbound")),
        ("[2001:db8:77::1]:80", Some("outbound")),
        ("203.0.113.9:6379", None),
        ("[2001:db8:77::1]:6379", None),
        ("1.1.1.1:80", None),
        ("[2001:db8:e::1]:80", None),
    ] {
        let answer = application.get(address).unwrap_or_else(|error| panic!("{address}: {error}"));
        assert!(answer.contains(&format!("\nreached {address}\n")), "{address}: {answer}");
        assert_eq!(way(&answer), expected, "{address}: {answer}");
    }
    let ips = pod.ips();
    assert_eq!(ips.len(), 2, "{ips:?}");
    for ip in ips {
        let answer =
            rig.world.get(SocketAddr::new(ip, APPLICATION)).expect("the application's answer");
        assert_eq!(way(&answer), Some("inbound"), "{ip}: {answer}");
        let health =
            rig.world.get(SocketAddr::new(ip, HEALTH_PORTS[0])).expect("the health port's answer");
        assert!(health.contains("health"), "{ip}: {health}");
    }
}

#[test]
fn with_bypass_ipv6_is_not_touched() {
    let rig = dual_stack("bypass");
    let pod = PodSpec::new("web").enabled().run(&rig.node);
    assert_eq!(namespace::tables(&pod.netns()), "table ip osm\n");
    let application = pod.start(&ContainerSpec::new("app", &["sleep", "1000"]));
    application.get("203.0.113.9:80").expect_err("nobody listens for Envoy");
    let answer = application.get("[2001:db8:77::1]:80").expect("the world's answer");
    assert_eq!(way(&answer), None);
}

#[test]
fn with_reject_nothing_goes_around_the_mesh_over_ipv6() {
    let rig = dual_stack("reject");
    let pod = PodSpec::new("web").enabled().run(&rig.node);
    let _envoy = envoy::start(&pod, envoy::BOTH_FAMILIES);
    let application = pod.start(&ContainerSpec::new("app", &["serve", &APPLICATION.to_string()]));

    let refused = application.get("[2001:db8:77::1]:80").expect_err("IPv6 is refused");
    assert!(refused.contains("Connection refused"), "{refused}");
    assert_eq!(
        way(&application.get("203.0.113.9:80").expect("the world's answer")),
        Some("outbound")
    );
    for excluded in ["[2001:db8:77::1]:6379", "[2001:db8:e::1]:80"] {
        assert_eq!(way(&application.get(excluded).expect("the world's answer")), None);
    }
    let ipv6 = pod.ips()[1];
    let refused = rig.world.get(SocketAddr::new(ipv6, APPLICATION)).expect_err("IPv6 is refused");
    assert!(refused.contains("refused"), "{refused}");
    assert!(
        rig.world
            .get(SocketAddr::new(ipv6, HEALTH_PORTS[0]))
            .expect("an answer")
            .contains("health")
    );
}
