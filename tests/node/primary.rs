//! Which file is the primary, and what is said of one that cannot be used.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use super::directory::refused;
use super::*;

const NAME: &str = "10-pods.conflist";

/// Files that runtimes read first and that cannot be chained into.
const UNUSABLE: [(&str, &str, &str); 7] = [
    (
        "05-old.conf",
        r#"{"cniVersion": "0.2.0", "name": "x", "type": "bridge"}"#,
        "containerd and CRI-O use it",
    ),
    (
        "05-none.conflist",
        r#"{"name": "x", "plugins": [{"type": "bridge"}]}"#,
        "containerd and CRI-O use it",
    ),
    (
        "05-lo.conf",
        r#"{"cniVersion": "1.0.0", "name": "lo", "type": "loopback"}"#,
        "containerd and CRI-O use it",
    ),
    ("05-nameless.conf", r#"{"cniVersion": "1.0.0", "type": "bridge"}"#, "CRI-O names the network"),
    ("05-cut.conflist", r#"{"cniVersion": "1.0.0", "#, "CRI-O skips it"),
    (
        "05-inf.conf",
        r#"{"cniVersion": "1.0.0", "name": "x", "type": "bridge", "y": 1e999}"#,
        "CRI-O skips it",
    ),
    ("05-empty.json", "", "CRI-O skips it"),
];

#[test]
fn the_first_file_is_the_primary_or_nothing_is_done() {
    for (name, text, runtimes) in UNUSABLE {
        let node = Node::with(&[(NAME, PRIMARY), (name, text)]);
        refused(&node, &[], &[name, runtimes]);
        refused(&node, &["--mode", "insert"], &[name, runtimes]);
        assert!(node.check(&[]).expect_err(name).contains(name));
    }
}

#[test]
fn a_file_that_comes_later_is_named_as_well() {
    for mode in ["own", "insert"] {
        for (name, text, _) in UNUSABLE {
            let node = Node::with(&[(NAME, PRIMARY)]);
            node.install(&["--mode", mode]);
            node.check(&["--mode", mode]).expect("in place");
            let before = node.state();
            node.write(name, text);
            let error = node.check(&["--mode", mode]).expect_err(name);
            assert!(error.contains(name), "{error}");
            let output = node.run("install", &["--once", "--mode", mode]);
            assert_eq!(output.status.code(), Some(1), "{mode} {name}");
            fs::remove_file(node.path(name)).expect("delete");
            assert_eq!(node.state(), before, "{mode} {name}");
        }
    }
}

#[test]
fn a_name_that_is_not_utf_8_is_a_name() {
    let odd = OsStr::from_bytes(b"05-\xff\n\x1b.conflist");
    let node = Node::with(&[(NAME, PRIMARY)]);
    fs::write(node.conf().join(odd), PRIMARY.replace("\"pods\"", "\"odd\"")).expect("write");
    node.install(&[]);
    assert!(node.read(OWN).is_some_and(|text| text.contains("\"odd\"")), "the first one by bytes");
    node.check(&[]).expect("in place");
    fs::write(node.conf().join(odd), "{").expect("write");
    let error = node.check(&[]).expect_err("broken");
    assert!(error.contains("05-") && !error.trim_end().contains(['\n', '\u{1b}']), "{error:?}");
}

#[test]
fn versions_and_folders_of_cni_1_1_are_understood() {
    let versions = r#"{"cniVersions": ["0.4.0", "1.0.0", "1.1.0"], "name": "pods", "plugins": [{"type": "bridge"}]}"#;
    let node = Node::with(&[(NAME, versions)]);
    node.install(&[]);
    node.check(&[]).expect("in place");
    assert_eq!(node.plugins(), ["bridge", "osm-cni"]);
    // A runtime before CNI 1.1 reads this field alone.
    let list: Value = serde_json::from_str(&node.read(OWN).expect("our list")).expect("JSON");
    assert_eq!(list["cniVersion"], "1.0.0");
    node.uninstall(&[]);
    refused(&node, &["--mode", "insert"], &[NAME, "cniVersions", "--mode own"]);

    let node = Node::with(&[(NAME, r#"{"cniVersion": "1.1.0", "name": "pods"}"#)]);
    refused(&node, &[], &[NAME]);
    fs::create_dir(node.path("pods")).expect("a folder");
    fs::write(node.path("pods").join("10.conf"), r#"{"type": "bridge"}"#).expect("write");
    fs::write(node.path("pods").join("20.conf"), r#"{"type": "portmap"}"#).expect("write");
    refused(&node, &["--mode", "insert"], &["--mode own"]);
    node.install(&[]);
    node.check(&[]).expect("in place");
    assert_eq!(node.plugins(), ["bridge", "portmap", "osm-cni"]);
    fs::remove_file(node.path("pods").join("20.conf")).expect("delete");
    node.check(&[]).expect_err("the folder has changed");
}

#[test]
fn a_program_that_is_missing_makes_check_fail() {
    let node = Node::with(&[(NAME, &PRIMARY.replace("bridge", "gone-cni"))]);
    let output = node.run("install", &["--once"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("gone-cni"), "{}", stderr(&output));
    for mode in ["own", "insert"] {
        let args = ["--mode", mode];
        node.install(&args);
        let error = node.check(&args).expect_err("the program is missing");
        assert!(error.contains("gone-cni") && error.contains("CRI-O") && error.contains(NAME));
        // On the node the link may lead somewhere.
        std::os::unix::fs::symlink("/nowhere", node.bin().join("gone-cni")).expect("link");
        node.check(&args).expect("in place");
        fs::remove_file(node.bin().join("gone-cni")).expect("delete");
    }
}

#[test]
fn an_agents_file_under_our_name_is_left_alone() {
    let other = PRIMARY.replace("\"pods\"", "\"other\"");
    for name in [OWN, "05-agent.conflist"] {
        let node = Node::with(&[(name, &other), (NAME, PRIMARY)]);
        let before = node.state();
        refused(&node, &["--conf-name", name], &[name, "--conf-name"]);
        node.uninstall(&["--conf-name", name]);
        assert_eq!(node.state(), before);
    }
}

/// Somebody put our entry into an agent's list by hand, and its twin lies beside
/// it, with the entry or without.
#[test]
fn an_agents_list_with_our_entry_stays_beside_its_twin() {
    let with = PRIMARY.replace("1500}", "1500},\n    {\"type\": \"osm-cni\"}");
    for twin in [PRIMARY, &with] {
        for mode in ["own", "insert"] {
            let node = Node::with(&[("10-a.conflist", &with), ("20-b.conflist", twin)]);
            for _ in 0..2 {
                node.install(&["--mode", mode]);
                let names: Vec<_> = node.bytes().into_keys().collect();
                let agents =
                    |name: &&String| name.ends_with("-a.conflist") || name.ends_with("-b.conflist");
                assert_eq!(names.iter().filter(agents).count(), 2, "{mode}: {names:?}");
            }
            node.uninstall(&[]);
            for name in ["10-a.conflist", "20-b.conflist"] {
                assert_eq!(node.read(name).as_deref(), Some(PRIMARY), "{mode} {name}");
            }
            assert_eq!(node.bytes().len(), 2, "{mode}");
        }
    }
}

#[test]
fn agents_lists_that_no_reader_can_hold_stay_apart() {
    let odd = |name: &str, value: &str| {
        format!(
            r#"{{"cniVersion": "1.0.0", "name": "{name}", "plugins": [{{"type": "bridge", "x": {value}}}]}}"#
        )
    };
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    for (a, b) in [("\"\\ud800\"".to_owned(), "\"\\ud801\"".to_owned()), (deep(200), deep(201))] {
        let (ours, theirs) = (odd("a", &a), odd("b", &b));
        // An agent's list to which our entry was added, beside another agent's.
        let with = ours.replace("]}", "") + ", {\"type\": \"osm-cni\"}]}";
        let with = if a.starts_with('[') {
            ours.replace("}]}", "}, {\"type\": \"osm-cni\"}]}")
        } else {
            with
        };
        let node = Node::with(&[("05-a.conflist", &with), ("10-b.conflist", &theirs)]);
        node.install(&[]);
        assert!(node.read("05-a.conflist").is_some_and(|text| text.contains("\"a\"")));
        assert_eq!(node.read("10-b.conflist"), Some(theirs));
        node.uninstall(&[]);
        assert!(node.read("05-a.conflist").is_some(), "an agent's list is never removed");
    }
}

#[test]
fn our_entry_goes_behind_multus() {
    let multus = r#"{"cniVersion": "0.4.0", "name": "multus-cni-network", "type": "multus", "readinessindicatorfile": "/etc/cni/net.d/10-ovn.conf", "clusterNetwork": "ovn"}"#;
    let ovn = r#"{"cniVersion": "0.4.0", "name": "ovn", "type": "bridge"}"#;
    let node = Node::with(&[("00-multus.conf", multus), ("10-ovn.conf", ovn)]);
    let before = node.bytes();
    refused(&node, &[], &["Multus", "--mode insert"]);
    node.install(&["--mode", "insert"]);
    assert_eq!(node.plugins(), ["multus", "osm-cni"]);
    assert_eq!(node.read("10-ovn.conf").as_deref(), Some(ovn));
    node.check(&["--mode", "insert"]).expect("in place");
    node.uninstall(&[]);
    assert_eq!(node.bytes(), before);

    let node = Node::with(&[("10-ovn.conf", ovn), ("20-multus.conf", multus)]);
    refused(&node, &["--mode", "insert"], &["10-ovn.conf", "20-multus.conf", "--mode own"]);
}
