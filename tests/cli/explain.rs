//! `explain` says which rule decides about a connection, and where it is from.
//! That the kernel does what it says is another subject's law.

use serde_json::{Value, json};

use super::node::{Node, document};
use super::{argument, osm_cni, osm_cni_line, settings};

fn explained(settings_of_mesh: &Value, options: &str) -> Value {
    let file = settings(settings_of_mesh);
    let config = argument(file.path());
    osm_cni_line(&format!("explain -o json --config {config} {options}")).json()
}

#[test]
fn the_deciding_rule_is_named_with_the_list_it_comes_from() {
    let pod = "--annotation outbound-port-exclusion-list=8080";
    for (options, end, origin) in [
        ("--direction outbound --dst 10.0.0.7:6379", "direct", Some("outbound ports: mesh config")),
        (
            "--direction outbound --dst 10.0.0.7:8080",
            "direct",
            Some("outbound ports: pod annotation"),
        ),
        (
            "--direction outbound --dst 2.2.2.200:443",
            "direct",
            Some("outbound ranges: mesh config"),
        ),
        ("--direction outbound --dst 10.0.0.7:443 --uid 1500", "direct", None),
        ("--direction outbound --dst 127.0.0.1:443", "direct", None),
        ("--direction outbound --dst 10.0.0.7:443", "proxy", None),
        ("--direction inbound --dst 10.0.0.7:15901", "direct", None),
        ("--direction inbound --dst 10.0.0.7:80", "proxy", None),
    ] {
        let json = explained(&document(), &format!("{pod} {options}"));
        assert_eq!(json["end"]["kind"], end, "{options}: {json}");
        assert_eq!(json["origin"], origin.map_or(Value::Null, Into::into), "{options}: {json}");
        let decided = json["decidedBy"].as_u64().expect("a rule") as usize;
        assert_eq!(json["steps"][decided]["matched"], true, "{options}: {json}");
    }
}

#[test]
fn an_inclusion_list_is_the_origin_of_what_it_redirects() {
    let mesh = json!({"traffic": {"outboundIPRangeInclusionList": ["10.0.0.0/8"]}});
    let inside = explained(&mesh, "--direction outbound --dst 10.0.0.7:80");
    assert_eq!(inside["end"], json!({"kind": "proxy", "port": 15001}));
    assert_eq!(inside["origin"], "included ranges: mesh config");
    let outside = explained(&mesh, "--direction outbound --dst 192.0.2.7:80");
    assert_eq!(outside["end"]["kind"], "direct");
    assert!(outside["because"].as_str().unwrap().starts_with("it is not in the inclusion list"));
}

#[test]
fn what_was_not_given_is_what_an_application_would_do_and_is_told() {
    let usual = explained(&json!({}), "--direction outbound --dst 10.0.0.7:80");
    assert_eq!(usual["connection"]["uid"], 1000);
    assert_eq!(usual["connection"]["interface"], "eth0");
    assert_eq!(usual["connection"]["defaults"], json!(["--uid", "--out-interface"]));
    let own = "--direction outbound --dst 10.0.0.7:80 --pod-ip 10.0.0.7 --uid 1500";
    let own = explained(&json!({"ruleset": "osm-v1"}), own);
    assert_eq!(own["connection"]["interface"], "lo");
    assert_eq!(own["end"], json!({"kind": "proxy", "port": 15003}));
    let inbound =
        explained(&json!({}), "--direction inbound --dst 10.0.0.7:80 --in-interface net1");
    assert_eq!(inbound["connection"]["defaults"], json!([]));
    assert_eq!(inbound["connection"]["uid"], Value::Null);
}

#[test]
fn a_pod_that_is_left_alone_goes_its_own_way_and_the_reason_is_told() {
    let run =
        osm_cni_line("explain --namespace kube-system --direction outbound --dst 10.0.0.7:80");
    assert!(run.ok().contains("left alone: namespace kube-system is in excludedNamespaces"));
    assert!(run.ok().contains("directly to 10.0.0.7:80, not through the proxy"));
    assert!(run.ok().contains("the pod has no rules"), "{run:?}");
}

#[test]
fn ipv6_follows_its_setting() {
    let options = "--direction outbound --dst [2001:db8::7]:80";
    let bypass = explained(&json!({}), options);
    assert_eq!(bypass["because"], "IPv6 is not touched (setting ipv6: bypass)");
    assert_eq!(explained(&json!({"ipv6": "redirect"}), options)["end"]["port"], 15001);
    assert_eq!(explained(&json!({"ipv6": "reject"}), options)["end"]["kind"], "reset");
}

#[test]
fn a_pod_that_is_there_is_explained_from_the_kernel() {
    let node = Node::new("test", "web");
    node.add(&document(), &json!({"openservicemesh.io/outbound-port-exclusion-list": "8080"}));
    let root = argument(node.root());
    let there = |options: &str| {
        osm_cni_line(&format!("explain --pod test/web --host-root {root} -o json {options}")).json()
    };
    let by_settings = "--annotation outbound-port-exclusion-list=8080";
    for options in [
        "--direction outbound --dst 10.0.0.7:8080",
        "--direction outbound --dst 10.0.0.7:443",
        "--direction inbound --dst 10.88.0.6:80",
    ] {
        let (kernel, thought) =
            (there(options), explained(&document(), &format!("{by_settings} {options}")));
        for field in ["connection", "steps", "decidedBy", "origin", "end"] {
            assert_eq!(kernel[field], thought[field], "{options}: {field}");
        }
    }
    let decided = there("--direction inbound --dst 10.88.0.6:80");
    assert_eq!(decided["decision"], "redirect");
    assert_eq!(decided["reason"], "sidecar volume envoy-bootstrap-config-volume is mounted");
    assert_eq!(decided["reasonWord"], "sidecar-volume");
    // The pod's own address is found in its namespace.
    let own = there("--direction outbound --dst 10.88.0.6:80");
    assert_eq!(own["connection"]["interface"], "lo");
    // So are addresses that are not, also where any address could be bound to.
    node.pod.exec(&["sysctl", "-qw", "net.ipv4.ip_nonlocal_bind=1"]);
    let other = there("--direction outbound --dst 10.88.0.7:80");
    assert_eq!(other["connection"]["interface"], "eth0");
    node.pod.exec(&["ip", "addr", "add", "10.88.0.8/32", "dev", "lo"]);
    let second = there("--direction outbound --dst 10.88.0.8:80");
    assert_eq!(second["connection"]["interface"], "lo");
    // A rule that another took out changes the way.
    node.pod.exec(&["nft", "flush", "chain", "ip", "osm", "PROXY_REDIRECT"]);
    assert_eq!(there("--direction outbound --dst 10.0.0.7:443")["end"]["kind"], "direct");
    // What another put in can't be followed.
    node.pod.exec(&["nft", "add rule ip osm PROXY_OUTPUT udp dport 53 drop"]);
    let run = osm_cni(&[
        "explain",
        "--pod",
        "test/web",
        "--host-root",
        root,
        "--direction",
        "inbound",
        "--dst",
        "10.88.0.6:80",
    ]);
    assert!(run.failed(1).contains("in chain PROXY_OUTPUT of IPv4"), "{run:?}");
}

#[test]
fn the_text_marks_the_rules_on_the_way_and_the_one_that_decides() {
    let file = settings(document());
    let run = osm_cni_line(&format!(
        "explain --config {} --direction outbound --dst 1.1.1.1:443 --uid 7 --out-interface eth1",
        argument(file.path())
    ));
    let expected = "\
connection  outbound to 1.1.1.1:443, by uid 7, out by eth1
pod         redirected: sidecar volume envoy-bootstrap-config-volume is mounted
            (as is assumed without --no-sidecar)
ruleset     osm-v0 (mesh osm)
ends        directly to 1.1.1.1:443, not through the proxy
because     its address is excluded, outbound ranges: mesh config
decided by  rule 2 of PROXY_OUTPUT

OUTPUT
  no  1  redirect to port 15001  to 127.0.2.1, tcp dport 15099, not uid 1500
                                 [validate]
  ->  2  jump PROXY_OUTPUT  tcp
PROXY_OUTPUT
  no  1  return  tcp dport 6379, 7070  [outbound ports: mesh config]
  =>  2  return  to 1.1.1.1  [outbound ranges: mesh config]
";
    assert_eq!(run.ok(), expected);
}
