//! `inspect` shows what the kernel holds, and what the node knows of the pod.

use serde_json::{Value, json};

use super::node::{CONTAINER, Node, document};
use super::{argument, osm_cni};
use crate::support::host;
use crate::support::schema;

fn inspect(node: &Node, more: &[&str]) -> super::Run {
    let root = argument(node.root());
    osm_cni(&[&["inspect", "--pod", "test/web", "--host-root", root], more].concat())
}

/// The packets and bytes of the rules of a chain, by condition.
fn counters(inspected: &Value, chain: &str) -> Vec<(String, u64, u64)> {
    let chains = inspected["tables"][0]["chains"].as_array().expect("chains");
    let chain = chains.iter().find(|it| it["name"] == chain).expect("the chain");
    let rules = chain["rules"].as_array().expect("rules").iter();
    let number = |value: &Value| value.as_u64().expect("a number");
    let condition = |rule: &Value| rule["condition"].as_str().expect("a text").to_owned();
    rules.map(|it| (condition(it), number(&it["packets"]), number(&it["bytes"]))).collect()
}

#[test]
fn known_traffic_is_counted_on_the_right_rules() {
    let node = Node::new("test", "web");
    node.add(&document(), &json!({"openservicemesh.io/outbound-port-exclusion-list": "8080"}));
    for (times, to, uid) in [
        (3, "192.0.2.7:6379", 1000),
        (2, "192.0.2.7:8080", 1000),
        (4, "2.2.2.9:443", 1000),
        (5, "192.0.2.7:443", 1500),
        (1, "192.0.2.7:443", 1000),
    ] {
        (0..times).for_each(|_| node.connect(&node.pod, to, uid));
    }
    for _ in 0..6 {
        node.connect(&node.world, "10.88.0.6:15901", 0);
    }
    let inspected = inspect(&node, &["-o", "json"]).json();
    let of = |chain: &str| counters(&inspected, chain);
    let counted = |rule: &str, packets| (rule.to_owned(), packets, packets * 60);
    assert_eq!(
        of("PROXY_OUTPUT"),
        [
            counted("tcp dport 6379, 7070", 3),
            counted("tcp dport 8080", 2),
            counted("to 1.1.1.1", 0),
            counted("to 2.2.2.0/24", 4),
            counted("uid 1500", 5),
            counted("to 127.0.0.1", 0),
            counted("anything", 1),
        ]
    );
    assert_eq!(of("PROXY_REDIRECT")[0], counted("tcp", 1));
    let probe = counted("to 127.0.2.1, tcp dport 15099, not uid 1500", 0);
    assert_eq!(of("OUTPUT"), [probe, counted("tcp", 15)]);
    assert_eq!(of("PROXY_INBOUND")[1], counted("tcp dport 15901", 6));
}

#[test]
fn the_json_is_as_its_schema_says() {
    let schema = schema::named("inspect");
    let node = Node::new("test", "web");
    let mut settings = document();
    settings["ipv6"] = json!("reject");
    node.add(&settings, &json!({"openservicemesh.io/outbound-uid-exclusion-list": "0,1337"}));
    let with_rules = inspect(&node, &["-o", "json"]).json();
    assert_eq!(schema::problems(&schema, &with_rules), [""; 0]);
    let path = node.pod.path();
    node.pod.exec(&["nft", "add rule ip osm PROXY_OUTPUT udp dport 53 drop"]);
    let foreign = osm_cni(&["inspect", "--netns", argument(&path), "-o", "json"]).json();
    assert_eq!(schema::problems(&schema, &foreign), [""; 0]);
    node.pod.exec(&["nft", "flush", "ruleset"]);
    let none = osm_cni(&["inspect", "--netns", argument(&path), "-o", "json"]).json();
    assert_eq!(schema::problems(&schema, &none), [""; 0]);
    assert_eq!(none["redirected"], false);
    // The check itself can say no.
    let mut broken = with_rules;
    broken["tables"][0]["chains"][0]["rules"][0]["packets"] = json!("many");
    broken["more"] = json!(1);
    assert_eq!(schema::problems(&schema, &broken).len(), 2);
}

/// A table by our name, with our comment, redirects nothing.
#[test]
fn a_table_without_chains_is_not_redirected() {
    let node = Node::new("test", "web");
    node.add(&document(), &json!({}));
    let comment = "osm-cni layout 2 container 98840f655f23 interface eth0";
    for rules in [
        String::new(),
        "add chain ip osm OUTPUT { type nat hook output priority -100; }".to_owned(),
    ] {
        node.pod.nft_load(&format!(
            "flush ruleset\nadd table ip osm {{ comment \"{comment}\"; }}\n{rules}"
        ));
        assert_eq!(inspect(&node, &["-o", "json"]).json()["redirected"], false, "{rules}");
        let shown = inspect(&node, &[]);
        assert!(shown.ok().contains("No rule of the table below redirects"), "{shown:?}");
    }
    node.add(&document(), &json!({}));
    assert_eq!(inspect(&node, &["-o", "json"]).json()["redirected"], true);
}

#[test]
fn a_pod_is_found_by_its_name_its_namespace_and_its_processes() {
    let node = Node::new("test", "web");
    node.add(&document(), &json!({}));
    let by_name = inspect(&node, &[]);
    assert!(by_name.ok().starts_with("pod         test/web\ncontainer   98840f655f23, interface eth0\nnetns       /var/run/netns/cni-4f1e0c9e\n"), "{by_name:?}");
    let root = argument(node.root());
    let by_path = osm_cni(&["inspect", "--netns", "/run/netns/cni-4f1e0c9e", "--host-root", root]);
    // The rules' owner leads back to the cache, and so to the pod's name.
    assert!(by_path.ok().starts_with("pod         test/web\n"), "{by_path:?}");
    let netns = format!("--net={}", node.pod.path().display());
    let mut sleeper =
        host::command("nsenter").args([&netns, "sleep", "60"]).spawn().expect("sleep");
    let pid = sleeper.id().to_string();
    let entered = |pid: &str| {
        let of = |path: String| std::fs::read_link(path).ok();
        match of(format!("/proc/{pid}/ns/net")) == of("/proc/self/ns/net".to_owned()) {
            true => Err("still outside".to_owned()),
            false => Ok(()),
        }
    };
    crate::support::wait_for("the process enters", std::time::Duration::from_secs(5), || {
        entered(&pid)
    });
    let by_process = osm_cni(&["inspect", "--pid", &pid]);
    let _ = sleeper.kill();
    let _ = sleeper.wait();
    let rules = |text: &str| text[text.find("IPv4").expect("rules")..].to_owned();
    assert_eq!(rules(by_process.ok()), rules(by_name.ok()));
    assert_eq!(rules(by_path.ok()), rules(by_name.ok()));
}

#[test]
fn settings_that_changed_since_the_add_are_told() {
    let node = Node::new("test", "web");
    node.add(&document(), &json!({}));
    assert!(inspect(&node, &[]).ok().contains(", as in /etc/cni"), "{:?}", inspect(&node, &[]));
    assert_eq!(inspect(&node, &["-o", "json"]).json()["settings"]["changed"], false);
    node.configure(&json!({"traffic": {"outboundPortExclusionList": [6379]}}));
    let changed = inspect(&node, &[]);
    assert!(changed.ok().contains("at its start, but"), "{changed:?}");
    let json = inspect(&node, &["-o", "json"]).json();
    assert_eq!(json["settings"]["changed"], true);
    assert_eq!(json["settings"]["file"], "/etc/cni/net.d/00-osm-cni.conflist");
    assert_eq!(json["pod"]["container"], CONTAINER);
    // The directory of another platform.
    let named = inspect(&node, &["-o", "json", "--conf-dir", "/home"]).json();
    assert_eq!(named["settings"]["now"], Value::Null);
    let from = node.root().join("etc/cni/net.d/00-osm-cni.conflist");
    std::fs::copy(from, node.root().join("home/00-osm-cni.conflist")).expect("a copy");
    let named = inspect(&node, &["-o", "json", "--conf-dir", "/home"]).json();
    assert_eq!(named["settings"]["file"], "/home/00-osm-cni.conflist");
    // What is no setting of ours changes nothing.
    let mut elsewhere = document();
    elsewhere["unknown"] = json!("field");
    node.configure(&elsewhere);
    assert_eq!(inspect(&node, &["-o", "json"]).json()["settings"]["changed"], false);
}

#[test]
fn a_pod_without_rules_says_so_and_what_to_look_at_next() {
    let node = Node::new("test", "web");
    let missing = inspect(&node, &[]);
    assert!(missing.failed(1).contains("knows no pod test/web"), "{missing:?}");
    let said = |part: &str| {
        let run = inspect(&node, &[]);
        let folded = run.ok().split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(folded.contains("There are no rules of osm-cni"), "{folded}");
        assert!(folded.contains(part), "{part}: {folded}");
    };
    // Made before osm-cni was on the node.
    node.remember(None, &json!({}));
    said("The pod is older than osm-cni on this node");
    // Left alone.
    node.remember(Some(&document()), &json!({"openservicemesh.io/sidecar-injection": "disabled"}));
    said("left alone: annotation sidecar-injection is disabled");
    // Somebody removed them.
    node.remember(Some(&document()), &json!({}));
    said("This pod should have rules");
}

#[test]
fn the_nodes_own_namespace_is_named_as_what_it_is() {
    host::require(&[]);
    let run = osm_cni(&["inspect", "--pid", &std::process::id().to_string()]);
    assert!(run.failed(1).contains("is the node's own network namespace"), "{run:?}");
    let run = osm_cni(&["inspect", "--netns", "/dev/null"]);
    assert!(run.failed(1).contains("/dev/null is not a namespace"), "{run:?}");
}

#[test]
fn rules_of_others_are_shown_as_such() {
    let node = Node::new("test", "web");
    node.add(&document(), &json!({}));
    node.pod.exec(&["nft", "add rule ip osm PROXY_OUTPUT udp dport 53 drop"]);
    let run = inspect(&node, &[]);
    assert!(run.ok().contains("not osm-cni's: "), "{run:?}");
    node.pod.exec(&["nft", "flush", "ruleset"]);
    node.pod.exec(&["nft", "add", "table", "ip", "osm"]);
    let run = inspect(&node, &[]);
    assert!(run.ok().contains("not made by osm-cni"), "{run:?}");
}

#[test]
fn what_pods_write_is_no_command_to_the_terminal() {
    let node = Node::new("test", "web");
    let evil =
        json!({"openservicemesh.io/outbound-port-exclusion-list": "80\u{1b}[2J\n\rpod\u{202e}"});
    node.remember(Some(&document()), &evil);
    node.pod.exec(&["nft", "add", "table", "ip", "osm", "{ comment \"\u{1b}[2J\"; }"]);
    for format in ["text", "mermaid"] {
        let run = inspect(&node, &["-o", format]);
        let wild = |c: char| (c.is_control() || c == '\u{202e}') && c != '\n';
        assert!(!run.ok().contains(wild), "{run:?}");
        assert!(!run.ok().contains("\npod\n"), "{run:?}");
    }
}

#[test]
fn long_lists_are_shortened_on_screen_and_whole_in_json() {
    let node = Node::new("test", "web");
    let ports: Vec<u16> = (0..50).map(|n| 2000 + 2 * n).collect();
    node.add(&json!({"traffic": {"outboundPortExclusionList": ports}}), &json!({}));
    let text = inspect(&node, &[]);
    assert!(text.ok().contains("and 38 more"), "{text:?}");
    let json = inspect(&node, &["-o", "json"]).json();
    assert_eq!(json["tables"][0]["sets"][0]["elements"], json!(ports));
}

#[test]
fn a_picture_names_every_chain() {
    let node = Node::new("test", "web");
    node.add(&document(), &json!({}));
    let picture = inspect(&node, &["-o", "mermaid"]);
    assert!(picture.ok().starts_with("flowchart TD\n"), "{picture:?}");
    for chain in ["PREROUTING", "PROXY_INBOUND", "PROXY_IN_REDIRECT", "OUTPUT", "PROXY_OUTPUT"] {
        assert!(picture.ok().contains(&format!("<b>{chain}</b>")), "{chain}");
    }
}

#[test]
fn without_root_it_says_that_root_is_needed() {
    let node = Node::new("test", "web");
    node.add(&document(), &json!({}));
    // In the pod, as nobody: the pod's namespace is its own there.
    let own = node.run_in_pod(&["inspect", "--netns", "/proc/self/ns/net"]);
    assert!(own.failed(1).contains("is the node's own network namespace"), "{own:?}");
    let path = node.world.path();
    let entered = node.run_in_pod(&["inspect", "--netns", argument(&path)]);
    assert!(entered.failed(1).contains("root on the node is needed"), "{entered:?}");
    let locked = node.root().join("var/lib/cni/results");
    std::fs::set_permissions(&locked, std::os::unix::fs::PermissionsExt::from_mode(0o700))
        .expect("mode");
    let root = argument(node.root());
    let cache = node.run_in_pod(&["inspect", "test/web", "--host-root", root]);
    assert!(cache.failed(1).contains("root on the node is needed"), "{cache:?}");
    let elsewhere = tempfile::tempdir().expect("a temporary directory");
    let missing = osm_cni(&["inspect", "test/web", "--host-root", argument(elsewhere.path())]);
    assert!(missing.failed(1).contains("--host-root /host"), "{missing:?}");
}
