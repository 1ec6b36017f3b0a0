//! ADD, CHECK and DEL on real network namespaces.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;

use serde_json::{Value, json};

use crate::support::netns::TestNetns;
use crate::support::plugin::{Answer, Call, annotated, conf, enabled};
use crate::support::strace;

/// The document's example: its lists, and 8080 from the pod.
fn document(version: &str) -> Value {
    let annotations = json!({
        "openservicemesh.io/sidecar-injection": "enabled",
        "openservicemesh.io/outbound-port-exclusion-list": "8080",
    });
    annotated(conf(version), annotations)
}

fn call(verb: &str, netns: &TestNetns, conf: &Value) -> Answer {
    Call::new(verb, conf).netns(&netns.path()).run()
}

fn listing(netns: &TestNetns) -> String {
    netns.exec(&["nft", "list", "ruleset"])
}

#[test]
fn the_documents_rules_are_listed_as_the_golden_says() {
    let netns = TestNetns::new();
    call("ADD", &netns, &document("1.0.0")).ok();
    assert_eq!(listing(&netns), include_str!("../golden/osm-v0.nft"));
}

#[test]
fn osm_v1_and_fsm_are_listed_as_their_goldens_say() {
    for (ruleset, golden) in [
        ("osm-v1", include_str!("../golden/osm-v1.nft")),
        ("fsm", include_str!("../golden/fsm.nft")),
    ] {
        let netns = TestNetns::new();
        let mut conf = document("1.0.0");
        conf["ruleset"] = json!(ruleset);
        conf["ipv6"] = json!("reject");
        conf["sidecar"] = json!({"localProxyMode": "PodIP"});
        conf["traffic"]["networkInterfaceExclusionList"] = json!(["net1", "dummy+"]);
        conf["traffic"]["outboundIPRangeInclusionList"] = json!(["10.0.0.0/8", "2001:db8::/32"]);
        call("ADD", &netns, &conf).ok();
        assert_eq!(listing(&netns), golden);
        call("CHECK", &netns, &conf).ok();
    }
}

#[test]
fn many_adds_at_once_leave_one_set_of_rules() {
    let (netns, alone) = (TestNetns::new(), TestNetns::new());
    let mut conf = document("1.0.0");
    conf["ipv6"] = json!("redirect");
    let add = |_| {
        let (conf, netns) = (&conf, &netns);
        move || call("ADD", netns, conf)
    };
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let adds: Vec<_> = (0..64).map(add).map(|add| scope.spawn(add)).collect();
        adds.into_iter().map(|add| add.join().expect("no panic")).collect()
    });
    for answer in answers {
        answer.ok();
    }
    call("CHECK", &netns, &conf).ok();
    call("ADD", &alone, &conf).ok();
    assert_eq!(listing(&netns), listing(&alone));
}

#[test]
fn ports_beyond_one_sets_measure_are_excluded_all_the_same() {
    let netns = TestNetns::new();
    let mut conf = document("1.0.0");
    let ports: Vec<u16> = (0..600).map(|index| 20_001 + 2 * index).collect();
    conf["traffic"]["outboundPortExclusionList"] = json!(ports);
    call("ADD", &netns, &conf).ok();
    call("CHECK", &netns, &conf).ok();
    let listed = listing(&netns);
    for port in ports {
        assert_eq!(listed.matches(&format!(" {port}")).count(), 1, "{port}: {listed}");
    }
}

#[test]
fn add_twice_leaves_what_add_once_leaves() {
    let netns = TestNetns::new();
    let conf = document("0.4.0");
    let first = call("ADD", &netns, &conf);
    assert_eq!(first.ok(), conf["prevResult"].to_string());
    let once = listing(&netns);
    assert_eq!(call("ADD", &netns, &conf).ok(), first.ok());
    assert_eq!(listing(&netns), once);
    call("CHECK", &netns, &conf).ok();
}

#[test]
fn many_adds_at_once_leave_what_one_leaves() {
    let netns = TestNetns::new();
    let conf = document("1.0.0");
    std::thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| call("ADD", &netns, &conf).ok().to_owned());
        }
    });
    assert_eq!(listing(&netns), include_str!("../golden/osm-v0.nft"));
}

#[test]
fn another_pods_lists_replace_all_that_was_there() {
    let netns = TestNetns::new();
    let mut first = document("1.0.0");
    first["ipv6"] = json!("redirect");
    call("ADD", &netns, &first).ok();
    assert!(listing(&netns).contains("table ip6 osm"));
    call("ADD", &netns, &document("1.0.0")).ok();
    assert_eq!(listing(&netns), include_str!("../golden/osm-v0.nft"));
}

#[test]
fn an_older_layout_is_replaced_and_check_is_content_with_it() {
    let netns = TestNetns::new();
    let conf = document("1.0.0");
    let older = "table ip osm {
        comment \"osm-cni layout 1 container 0ec2d0a4a64b interface eth0\"
        chain PREROUTING { type nat hook prerouting priority -100; meta l4proto tcp redirect to :15003; }
        chain OUTPUT { type nat hook output priority -100; meta skuid != 1500 meta l4proto tcp redirect to :15001; }
    }";
    netns.nft_load(older);
    call("CHECK", &netns, &conf).ok();
    netns.nft_load("flush chain ip osm OUTPUT");
    let msg = call("CHECK", &netns, &conf).error(103);
    assert!(msg.contains("15001"), "{msg}");
    call("ADD", &netns, &conf).ok();
    assert_eq!(listing(&netns), include_str!("../golden/osm-v0.nft"));
}

#[test]
fn foreign_tables_survive_add_and_del() {
    let netns = TestNetns::new();
    let foreign =
        "add table ip theirs\nadd chain ip theirs x { type nat hook output priority 5; }\n
        add rule ip theirs x tcp dport 1 accept\nadd table inet osm\nadd set inet osm y { type inet_service; }";
    netns.nft_load(foreign);
    let before = listing(&netns);
    for verb in ["ADD", "CHECK", "DEL"] {
        call(verb, &netns, &document("1.0.0")).ok();
    }
    assert_eq!(listing(&netns), before);
}

#[test]
fn del_removes_only_what_belongs_to_the_attachment() {
    let netns = TestNetns::new();
    let mut conf = document("1.0.0");
    conf["ipv6"] = json!("redirect");
    call("ADD", &netns, &conf).ok();
    let installed = listing(&netns);
    let del = Call::new("DEL", &conf).netns(&netns.path());
    for other in
        [del.clone().env("CNI_IFNAME", "net1"), del.clone().env("CNI_CONTAINERID", "other")]
    {
        other.run().ok();
        assert_eq!(listing(&netns), installed);
    }
    del.run().ok();
    assert_eq!(listing(&netns), "");
    del.run().ok();
}

#[test]
fn a_table_by_our_name_that_is_not_ours_survives_del() {
    let netns = TestNetns::new();
    netns.nft_load("add table ip osm\nadd chain ip osm a\nadd rule ip osm a accept");
    let before = listing(&netns);
    call("DEL", &netns, &document("1.0.0")).ok();
    assert_eq!(listing(&netns), before);
}

#[test]
fn a_second_interface_leaves_the_rules_to_the_first() {
    let netns = TestNetns::new();
    let conf = document("1.0.0");
    call("ADD", &netns, &conf).ok();
    let installed = listing(&netns);
    let mut other = conf.clone();
    other["traffic"] = json!({});
    for verb in ["ADD", "CHECK", "DEL"] {
        Call::new(verb, &other).netns(&netns.path()).env("CNI_IFNAME", "net1").run().ok();
        assert_eq!(listing(&netns), installed, "{verb}");
    }
}

/// The comment alone is evidence of nothing.
#[test]
fn check_for_a_second_interface_fails_without_rules() {
    let netns = TestNetns::new();
    let conf = document("1.0.0");
    for layout in [1, 2] {
        netns.nft_load(&format!(
            "flush ruleset\nadd table ip osm {{ comment \"osm-cni layout {layout} container 0ec2d0a4a64b interface eth0\"; }}"
        ));
        for interface in ["eth0", "net1"] {
            let check = Call::new("CHECK", &conf).netns(&netns.path());
            let msg = check.env("CNI_IFNAME", interface).run().error(103);
            assert!(msg.contains("table ip osm: "), "{layout} {interface}: {msg}");
        }
    }
}

#[test]
fn an_upgrade_of_the_layout_fails_no_pod_and_an_unknown_one_is_a_difference() {
    let netns = TestNetns::new();
    let conf = document("1.0.0");
    call("ADD", &netns, &conf).ok();
    // the first release had no probe rule
    let older = listing(&netns).replace("layout 2", "layout 1");
    let older: Vec<&str> = older.lines().filter(|line| !line.contains("validate")).collect();
    let older = older.join("\n");
    netns.nft_load(&format!("flush ruleset\n{older}"));
    call("CHECK", &netns, &conf).ok();
    netns.nft_load(&format!("flush ruleset\n{}", older.replace("layout 1", "layout 7")));
    let msg = call("CHECK", &netns, &conf).error(103);
    assert!(msg.contains("has layout 7 instead of 2"), "{msg}");
    // an ADD brings it to today's
    call("ADD", &netns, &conf).ok();
    assert_eq!(listing(&netns), include_str!("../golden/osm-v0.nft"));
}

/// A plugin behind us in the list adds an address in front of the pod's.
#[test]
fn an_address_that_came_later_does_not_fail_check() {
    let netns = TestNetns::new();
    let mut conf = document("1.0.0");
    conf["sidecar"] = json!({"localProxyMode": "PodIP"});
    conf["ipv6"] = json!("redirect");
    call("ADD", &netns, &conf).ok();
    let ips = conf["prevResult"]["ips"].as_array_mut().expect("a list");
    ips.insert(0, json!({"address": "10.99.0.7/16", "interface": 2}));
    ips.push(json!({"address": "fd00::7/64", "interface": 2}));
    call("CHECK", &netns, &conf).ok();
    conf["prevResult"]["ips"] = json!([{"address": "10.99.0.7/16", "interface": 2}]);
    let msg = call("CHECK", &netns, &conf).error(103);
    assert!(msg.contains("dnat to 10.88.0.6"), "{msg}");
}

/// Multus removes one of two interfaces, and the pod lives on.
#[test]
fn del_of_one_interface_leaves_the_rules_while_another_is_up() {
    let netns = TestNetns::new();
    let conf = document("1.0.0");
    netns.exec(&["ip", "link", "add", "eth0", "type", "veth", "peer", "name", "net1"]);
    netns.exec(&["ip", "link", "set", "eth0", "up"]);
    netns.exec(&["ip", "link", "set", "net1", "up"]);
    call("ADD", &netns, &conf).ok();
    let installed = listing(&netns);
    call("DEL", &netns, &conf).ok();
    assert_eq!(listing(&netns), installed);
    // what is down carries nothing, as the kernel's own fallback tunnels
    netns.exec(&["ip", "link", "set", "net1", "down"]);
    call("DEL", &netns, &conf).ok();
    assert_eq!(listing(&netns), "");
}

/// `/proc` masked, or a filter that refuses readlink: whether the namespace is
/// the node's own cannot be found out, so it is not touched.
#[test]
fn a_namespace_that_cannot_be_compared_with_ours_is_never_touched() {
    let netns = TestNetns::new();
    let add = Call::new("ADD", &document("1.0.0")).netns(&netns.path());
    let (refused, trace) = strace::inject(&add, "readlink:error=EACCES");
    assert!(trace.was_injected(), "{trace:?}");
    let masked = "mount -t tmpfs none /proc && exec \"$@\"";
    let masked = add.clone().under(["/usr/bin/unshare", "-m", "sh", "-c", masked, "sh"]).run();
    let (failed, trace) = strace::inject(&add, "readlink:error=EIO:when=2");
    assert!(trace.was_injected(), "{trace:?}");
    for answer in [refused, masked, failed] {
        let msg = answer.error(5);
        assert!(msg.contains("cannot find out whether"), "{msg}");
        assert_eq!(listing(&netns), "");
    }
    add.run().ok();
}

#[test]
fn check_names_each_kind_of_damage() {
    let conf = document("1.0.0");
    let out = "ip osm PROXY_OUTPUT";
    // A place in the listing, and what is done there.
    let handle = |netns: &TestNetns, rule: &str| {
        let all = netns.exec(&["nft", "-a", "list", "table", "ip", "osm"]);
        let line = all.lines().find(|line| line.contains(rule)).expect("the rule is listed");
        line.rsplit(' ').next().expect("a handle").to_owned()
    };
    type Damage<'a> = (&'a str, &'a dyn Fn(&TestNetns) -> String);
    let damages: [Damage<'_>; 10] = [
        ("table", &|_| "delete table ip osm".to_owned()),
        ("1500", &|netns| format!("delete rule {out} handle {}", handle(netns, "skuid 1500"))),
        ("443", &|_| format!("insert rule {out} tcp dport 443 counter return")),
        ("PROXY_OUTPUT", &|_| format!("add rule {out} counter accept")),
        ("2.2.2.0/24", &|netns| {
            format!(
                "replace rule {out} handle {} ip daddr 2.2.3.0/24 counter return comment \"outbound ranges: mesh config\"",
                handle(netns, "2.2.2.0/24")
            )
        }),
        ("moved", &|netns| {
            format!(
                "delete rule {out} handle {}\ninsert rule {out} meta skuid 1500 counter return",
                handle(netns, "skuid 1500")
            )
        }),
        ("7070", &|_| "delete element ip osm outbound_ports_mesh { 7070 }".to_owned()),
        ("9090", &|_| "add element ip osm outbound_ports_mesh { 9090 }".to_owned()),
        ("EXTRA", &|_| "add chain ip osm EXTRA".to_owned()),
        ("15003", &|_| "flush chain ip osm PROXY_IN_REDIRECT".to_owned()),
    ];
    let netns = TestNetns::new();
    for (named, damage) in damages {
        call("ADD", &netns, &conf).ok();
        call("CHECK", &netns, &conf).ok();
        let script = damage(&netns);
        netns.nft_load(&script);
        let msg = call("CHECK", &netns, &conf).error(103);
        assert!(msg.contains(named), "{script}\nsaid: {msg}");
    }
    // Counters are no difference.
    call("ADD", &netns, &conf).ok();
    netns.exec(&["bash", "-c", "echo x > /dev/tcp/127.0.0.1/9 || true"]);
    call("CHECK", &netns, &conf).ok();
    // Other settings than those of the ADD are.
    let mut other = conf;
    other["traffic"]["outboundPortExclusionList"] = json!([6379]);
    call("CHECK", &netns, &other).error(103);
}

#[test]
fn a_pod_that_is_left_alone_has_no_table_and_passes_check() {
    let netns = TestNetns::new();
    for conf in [
        conf("1.0.0"),
        annotated(conf("1.0.0"), json!({"openservicemesh.io/sidecar-injection": "disabled"})),
    ] {
        for verb in ["ADD", "CHECK", "DEL"] {
            call(verb, &netns, &conf).ok();
            assert_eq!(listing(&netns), "");
        }
    }
}

#[test]
fn what_is_no_pods_namespace_is_never_touched() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("file");
    fs::write(&file, "x").expect("written");
    let cases = [
        ("/run/netns/osmt-gone", 5),
        (file.to_str().expect("UTF-8"), 101),
        ("/proc/self/ns/uts", 101),
        ("/proc/self/ns/net", 101),
        ("/dev/null", 101),
        ("/run", 101),
    ];
    for (path, code) in cases {
        for verb in ["ADD", "CHECK"] {
            let call = Call::new(verb, &document("1.0.0")).env("CNI_NETNS", path);
            let msg = call.run().error(code);
            assert!(msg.contains(path), "{msg}");
        }
    }
    let own =
        std::process::Command::new("nft").args(["list", "tables"]).output().expect("nft runs");
    let own = String::from_utf8(own.stdout).expect("UTF-8");
    assert!(!own.contains("ip osm"), "{own}");
}

/// A kubelet's directory with one pod that has these volumes.
fn kubelet(uid: &str, volumes: &[&str]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let pod = directory.path().join("pods").join(uid);
    fs::create_dir_all(&pod).expect("made");
    for volume in volumes {
        fs::create_dir_all(pod.join("volumes").join(volume)).expect("made");
    }
    directory
}

fn with_kubelet(mut conf: Value, directory: &tempfile::TempDir) -> Value {
    conf["kubeletDir"] = json!(directory.path());
    conf.as_object_mut().expect("an object").remove("sidecarVolumes");
    conf
}

#[test]
fn the_sidecars_volume_decides_where_the_kubelet_is() {
    let osm = "kubernetes.io~secret/envoy-bootstrap-config-volume";
    let token = "kubernetes.io~projected/kube-api-access-x";
    let cases: [(&[&str], bool); 3] = [(&[token, osm], true), (&[token], false), (&[], false)];
    for (volumes, redirected) in cases {
        let kubelet = kubelet("uid-web-1", volumes);
        for conf in [conf("1.0.0"), enabled(conf("1.0.0"))] {
            let netns = TestNetns::new();
            call("ADD", &netns, &with_kubelet(conf, &kubelet)).ok();
            assert_eq!(listing(&netns).contains("table ip osm"), redirected, "{volumes:?}");
        }
    }
}

#[test]
fn a_pod_of_a_mesh_that_is_not_served_is_refused() {
    let osm = "kubernetes.io~secret/envoy-bootstrap-config-volume";
    let fsm = "kubernetes.io~secret/sidecar-bootstrap-config-volume";
    let netns = TestNetns::new();
    let with = |volumes: &[&str], mesh: Value| {
        let kubelet = kubelet("uid-web-1", volumes);
        let mut conf = with_kubelet(conf("1.0.0"), &kubelet);
        conf["mesh"] = mesh;
        call("ADD", &netns, &conf)
    };
    let answer = with(&[fsm], json!("osm"));
    assert!(answer.error(7).contains("of mesh fsm, which the setting mesh does not name"));
    assert!(answer.json()["details"].as_str().is_some_and(|text| text.contains("\"mesh\"")));
    assert!(with(&[osm, fsm], json!(["osm", "fsm"])).error(7).contains("one of two meshes"));
    assert_eq!(listing(&netns), "");
    with(&[fsm], json!(["osm", "fsm"])).ok();
    assert!(listing(&netns).contains("chain FSM_PROXY_OUTBOUND"));
}

#[test]
fn what_cannot_be_found_out_about_a_sidecar_is_said() {
    let kubelet = kubelet("uid-web-1", &[]);
    let log = kubelet.path().join("osm-cni.log");
    let mut conf = with_kubelet(conf("1.0.0"), &kubelet);
    conf["logFile"] = json!(log);
    let without_uid = "K8S_POD_NAMESPACE=demo;K8S_POD_NAME=web";
    let answer = Call::new("ADD", &conf).env("CNI_ARGS", without_uid).run();
    answer.ok();
    assert!(answer.stderr.contains("K8S_POD_UID"), "{answer:?}");
    conf["kubeletDir"] = json!("/nonexistent/kubelet");
    let answer = Call::new("ADD", &conf).run();
    answer.ok();
    assert!(answer.stderr.contains("/nonexistent/kubelet/pods is missing"), "{answer:?}");
    let text = fs::read_to_string(&log).expect("a log");
    assert!(text.contains("reason=no-pod-uid") && text.contains("reason=no-kubelet-dir"), "{text}");
}

#[test]
fn a_pod_without_the_volume_is_left_alone_and_the_log_says_why() {
    let kubelet = kubelet("uid-web-1", &[]);
    let log = kubelet.path().join("log/osm-cni.log");
    let mut conf = with_kubelet(enabled(conf("1.0.0")), &kubelet);
    conf["logFile"] = json!(log);
    conf["logLevel"] = json!("off");
    Call::new("ADD", &conf).run().ok();
    let line = fs::read_to_string(&log).expect("a log");
    for part in [
        "decision=leave",
        "reason=no-sidecar",
        "envoy-bootstrap-config-volume",
        "sidecarVolumes",
        "pod=demo/web",
    ] {
        assert!(line.contains(part), "{line}");
    }
    assert_eq!(line.lines().count(), 1);
}

#[test]
fn no_link_is_followed_and_no_odd_uid_is_looked_up() {
    let kubelet = kubelet("real", &["kubernetes.io~secret/envoy-bootstrap-config-volume"]);
    let pods = kubelet.path().join("pods");
    symlink(pods.join("real"), pods.join("linked")).expect("linked");
    fs::create_dir_all(pods.join("inside/volumes")).expect("made");
    let secret = pods.join("real/volumes/kubernetes.io~secret");
    symlink(&secret, pods.join("inside/volumes/kubernetes.io~secret")).expect("linked");
    fs::create_dir_all(pods.join("last/volumes/x")).expect("made");
    let volume = secret.join("envoy-bootstrap-config-volume");
    symlink(volume, pods.join("last/volumes/x/envoy-bootstrap-config-volume")).expect("linked");
    let netns = TestNetns::new();
    for uid in ["linked", "inside", "last", "../pods/real", "real/", ".", ""] {
        let args = format!("K8S_POD_NAMESPACE=demo;K8S_POD_NAME=web;K8S_POD_UID={uid}");
        let call = Call::new("ADD", &with_kubelet(conf("1.0.0"), &kubelet)).netns(&netns.path());
        call.env("CNI_ARGS", args).run().ok();
        assert_eq!(listing(&netns), "", "{uid}");
    }
}

#[test]
fn a_volume_is_looked_up_by_its_name_alone() {
    let volume = "kubernetes.io~secret/envoy-bootstrap-config-volume";
    let kubelet = kubelet("uid-web-1", &[volume, "kubernetes.io~secret/other/inner"]);
    let mut conf = with_kubelet(conf("1.0.0"), &kubelet);
    let netns = TestNetns::new();
    for name in [".", "..", "other/inner", "../kubernetes.io~secret"] {
        conf["sidecarVolumes"] = json!([name]);
        let msg = call("ADD", &netns, &conf).error(7);
        assert!(msg.contains("is not the name of a volume"), "{msg}");
    }
    conf["sidecarVolumes"] = json!(["missing"]);
    call("ADD", &netns, &conf).ok();
    assert_eq!(listing(&netns), "");
    conf["sidecarVolumes"] = json!(["missing", "other"]);
    call("ADD", &netns, &conf).ok();
    assert!(listing(&netns).contains("table ip osm"), "the second of two names is there");
}

#[test]
fn opting_out_can_be_withdrawn() {
    let annotations = json!({
        "openservicemesh.io/sidecar-injection": "disabled",
        "openservicemesh.io/outbound-port-exclusion-list": "443, garbage",
        "openservicemesh.io/outbound-ip-range-inclusion-list": "10.0.0.0/8",
    });
    let kubelet = kubelet("uid-web-1", &["kubernetes.io~secret/envoy-bootstrap-config-volume"]);
    let mut conf = with_kubelet(annotated(conf("1.0.0"), annotations), &kubelet);
    let netns = TestNetns::new();
    call("ADD", &netns, &conf).ok();
    assert_eq!(listing(&netns), "", "disabled counts");
    conf["podExclusions"] = json!("ignore");
    let answer = call("ADD", &netns, &conf);
    answer.ok();
    for ignored in
        ["outbound-port-exclusion-list", "outbound-ip-range-inclusion-list", "sidecar-injection"]
    {
        assert!(answer.stderr.contains(ignored), "{answer:?}");
    }
    let listing = listing(&netns);
    assert!(listing.contains("mesh config") && !listing.contains("pod annotation"), "{listing}");
}

/// The elements of all sets of the mesh's outbound ports.
fn ports_held(listing: &str) -> BTreeSet<u16> {
    let sets = listing.split("\tset outbound_ports_mesh").skip(1);
    let elements = sets.filter_map(|set| set.split_once("elements = {")?.1.split('}').next());
    let ports = elements.flat_map(|elements| elements.split(','));
    ports.map(|port| port.trim().parse().expect("a port")).collect()
}

#[test]
fn long_lists_install_and_hold() {
    let netns = TestNetns::new();
    let wanted: BTreeSet<u16> = (0..1000).map(|n| 1001 + 7 * n).collect();
    let ports: Vec<Value> = wanted.iter().map(|port| json!(port)).collect();
    let ranges = |count: u32| -> Vec<Value> {
        (0..count).map(|n| json!(format!("10.{}.{}.0/{}", n / 250, n % 250, 24 + n % 9))).collect()
    };
    for count in [16, 1000, 5000, 10_000] {
        let mut conf = enabled(conf("1.0.0"));
        conf["traffic"]["outboundPortExclusionList"] = json!(ports);
        conf["traffic"]["inboundPortExclusionList"] = json!(ports);
        conf["traffic"]["outboundIPRangeExclusionList"] = json!(ranges(count));
        call("ADD", &netns, &conf).ok();
        call("CHECK", &netns, &conf).ok();
        assert_eq!(ports_held(&netns.exec(&["nft", "list", "table", "ip", "osm"])), wanted);
    }
}
