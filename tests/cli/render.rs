//! `render` prints what ADD sets, in forms that the system's own programs load.

use std::io::Write as _;
use std::process::Stdio;

use serde_json::{Value, json};

use super::node::{Node, document};
use super::{argument, finish, osm_cni, osm_cni_line, settings};
use crate::support::host;
use crate::support::netns::TestNetns;
use crate::support::program::under_test;

/// Settings that use all there is.
fn everything(ruleset: &str, ipv6: &str) -> Value {
    json!({
        "ruleset": ruleset,
        "ipv6": ipv6,
        "sidecar": {"localProxyMode": "PodIP"},
        "traffic": {
            "outboundIPRangeExclusionList": ["1.1.1.1/32", "2.2.2.2/24", "9.9.9.9", "3.0.0.0/24", "2001:db8::/32"],
            "outboundIPRangeInclusionList": ["10.0.0.0/8", "fd00::/8"],
            "outboundPortExclusionList": [6379, 7070, "8000-8010"],
            "inboundPortExclusionList": [9090, "3000-3999"],
            "networkInterfaceExclusionList": ["net1", "tap+"],
            "outboundUIDExclusionList": [0, 1337],
        }
    })
}

/// The rules that nft lists, without the table's comment.
fn listed(netns: &TestNetns) -> String {
    let listed = netns.nft_list();
    let lines = listed.lines().filter(|line| !line.trim().starts_with("comment \"osm-cni"));
    // nft puts a blank line after a comment of the table.
    lines.filter(|line| !line.is_empty()).map(|line| format!("{line}\n")).collect()
}

#[test]
fn what_render_prints_loads_with_nft_and_lists_as_what_add_sets() {
    for (ruleset, ipv6) in
        [("osm-v0", "bypass"), ("osm-v0", "redirect"), ("osm-v1", "reject"), ("osm-v1", "redirect")]
    {
        let node = Node::new("test", "web");
        let settings_of_node = everything(ruleset, ipv6);
        node.add(
            &settings_of_node,
            &json!({"openservicemesh.io/outbound-port-exclusion-list": "8080"}),
        );
        let file = settings(&settings_of_node);
        let rendered = osm_cni(&[
            "render",
            "--config",
            argument(file.path()),
            "--annotation",
            "outbound-port-exclusion-list=8080",
            "--pod-ip",
            "10.88.0.6",
        ]);
        let fresh = TestNetns::new();
        fresh.nft_load(rendered.ok());
        assert_eq!(listed(&fresh), listed(&node.pod), "{ruleset} {ipv6}");
    }
}

#[test]
fn what_render_prints_loads_with_iptables_restore() {
    host::require(&["iptables-restore", "ip6tables-restore"]);
    for (ruleset, ipv6, restore, save, family) in [
        ("osm-v0", "bypass", "iptables-restore", "iptables-save", None),
        // IPv6's rules follow as comments, which the program passes over.
        ("osm-v1", "redirect", "iptables-restore", "iptables-save", None),
        ("osm-v1", "redirect", "ip6tables-restore", "ip6tables-save", Some("ip6")),
        ("osm-v0", "reject", "ip6tables-restore", "ip6tables-save", Some("ip6")),
    ] {
        let file = settings(everything(ruleset, ipv6));
        let mut arguments = vec!["render", "-o", "iptables", "--config", argument(file.path())];
        arguments.extend(["--pod-ip", "10.88.0.6", "--pod-ip", "fd00::6"]);
        arguments.extend(family.iter().flat_map(|family| ["--family", family]));
        let rendered = osm_cni(&arguments);
        let netns = TestNetns::new();
        let rules = settings(rendered.ok());
        netns.exec(&[restore, argument(rules.path())]);
        let saved = netns.exec(&[save]);
        let rules = |text: &str| text.lines().filter(|line| line.starts_with("-A")).count();
        assert_eq!(rules(&saved), rules(rendered.ok()), "{restore}:\n{saved}");
        assert!(saved.contains("outbound ports: mesh config"), "{saved}");
    }
}

#[test]
fn the_documents_settings_render_as_the_documents_commands() {
    let file = settings(document());
    let rendered = osm_cni_line(&format!(
        "render -o iptables --annotation outbound-port-exclusion-list=8080 --config {}",
        argument(file.path())
    ));
    for line in [
        "-A PREROUTING -p tcp -j PROXY_INBOUND",
        "-A PROXY_INBOUND -p tcp --dport 15010 -j RETURN",
        "-A PROXY_IN_REDIRECT -p tcp -j REDIRECT --to-port 15003",
        "-A PROXY_OUTPUT -m owner --uid-owner 1500 -j RETURN",
        "-A PROXY_OUTPUT -d 127.0.0.1/32 -j RETURN",
        "-A PROXY_OUTPUT -j PROXY_REDIRECT",
        "-A PROXY_REDIRECT -p tcp -j REDIRECT --to-port 15001",
    ] {
        assert!(rendered.ok().lines().any(|it| it == line), "{line}: {}", rendered.ok());
    }
}

#[test]
fn a_pod_that_is_left_alone_has_no_rules_and_the_output_says_why() {
    for (format, expected) in [
        ("nft", "# no rules: namespace kube-system is in excludedNamespaces\n"),
        ("iptables", "# no rules: namespace kube-system is in excludedNamespaces\n"),
    ] {
        let run = osm_cni_line(&format!("render --namespace kube-system -o {format}"));
        assert_eq!(run.ok(), expected);
    }
    let json = osm_cni_line("render --no-sidecar -o json").json();
    assert_eq!(json["decision"], "leave");
    assert_eq!(json["reason"], "no sidecar was injected");
    let disabled = osm_cni_line("render --annotation openservicemesh.io/sidecar-injection=no");
    assert_eq!(disabled.ok(), "# no rules: annotation sidecar-injection is disabled\n");
}

#[test]
fn a_wrong_list_fails_with_its_place_and_value() {
    let file = settings(r#"{"traffic": {"outboundPortExclusionList": [80, 70000]}}"#);
    let path = argument(file.path());
    let run = osm_cni(&["render", "--config", path]);
    let expected = "osm-cni: traffic.outboundPortExclusionList[1]: 70000 is not a port (1-65535)\n";
    assert_eq!(run.failed(1), expected);
    // A pod that is left alone is left alone all the same, as by ADD.
    osm_cni(&["render", "--config", path, "--namespace", "kube-system"]).ok();
    let run = osm_cni_line("render --annotation outbound-port-exclusion-list=http");
    assert!(run.failed(1).contains("openservicemesh.io/outbound-port-exclusion-list"), "{run:?}");
    let run = osm_cni_line("render --config /nonexistent/settings");
    assert!(run.failed(1).contains("/nonexistent/settings"), "{run:?}");
}

#[test]
fn a_mesh_config_may_come_through_a_pipe() {
    let mesh_config = json!({"kind": "MeshConfig", "spec": document()});
    let mut child = host::command(under_test())
        .args(["render", "--config", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("started");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(mesh_config.to_string().as_bytes()).expect("written");
    drop(stdin);
    let output = child.wait_with_output().expect("ended");
    assert!(String::from_utf8_lossy(&output.stdout).contains("elements = { 6379, 7070 }"));
}

#[test]
fn what_is_odd_is_told_on_standard_error() {
    let file = settings(r#"{"trafic": {}}"#);
    let run = finish(host::command(under_test()).args(["render", "--config"]).arg(file.path()));
    assert_eq!(run.status, Some(0));
    assert_eq!(run.stderr, "osm-cni: unknown field trafic is ignored; did you mean traffic?\n");
}
