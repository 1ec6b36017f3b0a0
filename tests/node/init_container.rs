//! Pods that the mesh's own init container redirected, by iptables: what the audit
//! says of them, and that the repair leaves their rules alone.

use super::audit::{VOLUME, node_with_kubelet};
use super::*;
use crate::support::netns::TestNetns;
use crate::support::newest;

/// The chains of OSM's first releases, of OSM 1.x and of FSM.
const CHAINS: [[&str; 4]; 3] = [
    ["PROXY_INBOUND", "PROXY_IN_REDIRECT", "PROXY_OUTPUT", "PROXY_REDIRECT"],
    ["OSM_PROXY_INBOUND", "OSM_PROXY_IN_REDIRECT", "OSM_PROXY_OUTBOUND", "OSM_PROXY_OUT_REDIRECT"],
    ["FSM_PROXY_INBOUND", "FSM_PROXY_IN_REDIRECT", "FSM_PROXY_OUTBOUND", "FSM_PROXY_OUT_REDIRECT"],
];

/// What the init container gives to `iptables-restore`.
fn rules([inbound, in_redirect, outbound, out_redirect]: [&str; 4]) -> String {
    format!(
        "*nat
:{inbound} - [0:0]
:{in_redirect} - [0:0]
:{outbound} - [0:0]
:{out_redirect} - [0:0]
-A {in_redirect} -p tcp -j REDIRECT --to-port 15003
-A PREROUTING -p tcp -j {inbound}
-A {inbound} -p tcp --dport 15010 -j RETURN
-A {inbound} -p tcp -j {in_redirect}
-A {out_redirect} -p tcp -j REDIRECT --to-port 15001
-A {out_redirect} -p tcp --dport 15000 -j ACCEPT
-A OUTPUT -p tcp -j {outbound}
-A {outbound} -p tcp --match multiport --dports 6379,7070 -j RETURN
-A {outbound} -m owner --uid-owner 1500 -j RETURN
-A {outbound} -d 127.0.0.1/32 -j RETURN
-A {outbound} -j {out_redirect}
COMMIT
"
    )
}

/// A meshed pod whose init container ran this program.
fn pod(node: &Node, name: &str, iptables: &str, rules: &str) -> TestNetns {
    let netns = TestNetns::new();
    netns.run(&[&format!("{iptables}-restore"), "--noflush"], rules);
    node.remember(name, &netns.path(), &json!({}), &[VOLUME]);
    netns
}

/// What the audit says of the only pod, and its exit code.
fn state(node: &Node) -> (Value, Option<i32>) {
    let (text, code) = node.audit(&["-o", "json"]);
    let document: Value = serde_json::from_str(&text).expect("JSON");
    (document["pods"][0].clone(), code)
}

#[test]
fn a_pod_that_its_init_container_redirected_is_not_around_the_mesh() {
    for iptables in ["iptables-nft".to_owned(), newest::program("iptables-nft")] {
        for chains in CHAINS {
            let node = node_with_kubelet();
            let _pod = pod(&node, "web", &iptables, &rules(chains));
            let (pod, code) = state(&node);
            assert_eq!(pod["state"], "redirected-by-init", "{iptables}: {pod}");
            assert_eq!((&pod["rules"], code), (&json!("init-container"), Some(0)), "{pod}");
        }
    }
    let node = node_with_kubelet();
    let _pod = pod(&node, "web", "iptables-nft", &rules(CHAINS[1]));
    let (text, _) = node.audit(&[]);
    assert!(text.starts_with("redirected-by-init "), "{text}");
    assert!(text.contains("by the mesh's own init container"), "{text}");
}

/// Chains alone redirect nothing.
#[test]
fn half_of_an_init_containers_rules_are_none() {
    for chains in CHAINS {
        let [inbound, _, outbound, out_redirect] = chains;
        let whole = rules(chains);
        for (what, with) in [
            (format!("-A OUTPUT -p tcp -j {outbound}\n"), ""),
            (format!("-A PREROUTING -p tcp -j {inbound}\n"), ""),
            (format!("-A {outbound} -j {out_redirect}\n"), ""),
            ("--to-port 15001".to_owned(), "--to-port 15999"),
            ("-A OUTPUT ".to_owned(), "-A OUTPUT -j ACCEPT\n-A OUTPUT "),
        ] {
            let half = whole.replacen(&what, with, 1);
            assert_ne!(half, whole, "{what}");
            let node = node_with_kubelet();
            let _pod = pod(&node, "web", "iptables-nft", &half);
            let (pod, code) = state(&node);
            assert_eq!(
                (&pod["state"], code),
                (&json!("around-the-mesh"), Some(1)),
                "{what}: {pod}"
            );
        }
    }
}

/// The rules of iptables-legacy cannot be read by way of nf_tables.
#[test]
fn a_nat_table_of_iptables_legacy_is_a_hint() {
    let node = node_with_kubelet();
    let _pod = pod(&node, "web", "iptables-legacy", &rules(CHAINS[1]));
    let (pod, code) = state(&node);
    assert_eq!((&pod["state"], code), (&json!("around-the-mesh"), Some(1)), "{pod}");
    assert_eq!(pod["rules"], "iptables-legacy", "{pod}");
    let reason = pod["reason"].as_str().expect("a reason");
    assert!(reason.contains("iptables-legacy -t nat -S"), "{reason}");
}

/// The installer without SYS_ADMIN reports what it knows, and how to find out.
#[test]
fn who_may_not_look_says_that_the_init_container_may_have_done_it() {
    let node = node_with_kubelet();
    let _pod = pod(&node, "web", "iptables-nft", &rules(CHAINS[1]));
    let mut audit = Command::new("setpriv");
    audit.arg("--bounding-set=-sys_admin").arg(under_test()).args(["audit", "-o", "json"]);
    audit.arg("--cache-dir").arg(node.cache()).arg("--conf-dir").arg(node.conf());
    audit.arg("--kubelet-dir").arg(node.root.path().join("kubelet"));
    let output = audit.output().expect("it runs");
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let pod = &document["pods"][0];
    assert_eq!(pod["state"], "around-the-mesh", "{pod}");
    assert_eq!(pod["rules"], "unknown", "{pod}");
    let reason = pod["reason"].as_str().expect("a reason");
    assert!(reason.contains("its own init container may have redirected it"), "{reason}");
    assert!(reason.contains("osm-cni audit as root"), "{reason}");
}

/// With both, an exclusion holds only where both have it: the ports 6379 and
/// 7070, which the init container excluded, would go to the proxy from then on.
#[test]
fn the_repair_adds_nothing_to_an_init_containers_rules() {
    for (iptables, around) in [("iptables-nft", 0), ("iptables-legacy", 1)] {
        let node = node_with_kubelet();
        let theirs = pod(&node, "init", iptables, &rules(CHAINS[0]));
        let bare = TestNetns::new();
        node.remember("bare", &bare.path(), &json!({}), &[VOLUME]);
        let saved = || theirs.exec(&["nft", "-a", "list", "ruleset"]);
        let before = saved();
        let (settings, cache) = (node.settings(), node.cache());
        let (settings, cache) = (settings.to_str().expect("UTF-8"), cache.to_str().expect("UTF-8"));
        let args =
            ["--repair", "--config", settings, "--cache-dir", cache, "--metrics", "127.0.0.1:0"];
        let running = node.launch(&args);
        let address = node.metrics();
        let says = |text: &str| get(&address, "/metrics").contains(text);
        wait_for("the repair of the other pod", || {
            says("osm_cni_pods_repaired_total 1\n")
                && says(&format!("osm_cni_pods_around_mesh {around}\n"))
        });
        assert!(bare.nft_list().contains("table ip osm"));
        assert_eq!(saved(), before, "{iptables}");
        let log = node.log();
        let hint = "pod demo/init goes around the mesh, or its own init container";
        assert_eq!(log.contains(hint), around == 1, "{log}");
        running.stop();
    }
}
