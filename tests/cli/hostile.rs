//! What lies in the node's directories is not trusted: `inspect` neither hangs,
//! nor fills its memory, nor leaves the node's root, nor names another pod.

use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::node::{CONTAINER, Node, document};
use super::{Run, argument, osm_cni};
use crate::support::host;

const CACHE: &str = "var/lib/cni/results";
const CONFIGURATIONS: &str = "etc/cni/net.d";

fn inspect(node: &Node, more: &[&str]) -> Run {
    let root = argument(node.root());
    osm_cni(&[&["inspect", "--pod", "test/web", "--host-root", root], more].concat())
}

/// A file system that is seen in the node's root, for the time of a test.
struct Mounted(PathBuf);

impl Mounted {
    fn proc(node: &Node) -> Self {
        let target = node.root().join("proc");
        host::make_dirs(&target);
        host::run(&["mount", "--bind", "/proc", argument(&target)]);
        Mounted(target)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = host::try_run(&["umount", argument(&self.0)]);
    }
}

#[test]
fn pipes_devices_and_endless_files_are_passed_over() {
    let node = Node::new("test", "web");
    node.add(&document(), &json!({}));
    let expected = inspect(&node, &[]).ok().to_owned();
    for directory in [CACHE, CONFIGURATIONS] {
        let directory = node.root().join(directory);
        host::make_dirs(&node.root().join("dev"));
        let zero = node.root().join("dev/zero");
        if !zero.exists() {
            host::run(&["mknod", argument(&zero), "c", "1", "5"]);
        }
        host::run(&["mkfifo", argument(&directory.join("00-a.conflist"))]);
        host::make_dirs(&directory.join("00-b.conflist"));
        symlink("/dev/zero", directory.join("00-c.conflist")).expect("a link");
        symlink("00-d.conflist", directory.join("00-d.conflist")).expect("a link");
        let huge = std::fs::File::create(directory.join("00-e.conflist")).expect("a file");
        huge.set_len(64 << 30).expect("a sparse file");
    }
    let start = Instant::now();
    assert_eq!(inspect(&node, &[]).ok(), expected);
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

#[test]
fn links_stay_inside_of_the_nodes_root() {
    let node = Node::new("test", "web");
    node.add(&document(), &json!({}));
    let root = node.root();
    // Read from outside, these would be the configuration of today.
    let outside = tempfile::tempdir().expect("a temporary directory");
    let secret = outside.path().join("secret.conflist");
    host::write(&secret, r#"{"plugins": [{"type": "osm-cni", "ruleset": "osm-v1"}]}"#);
    symlink(&secret, root.join(CONFIGURATIONS).join("00-a.conflist")).expect("a link");
    let up = "../".repeat(20);
    let climbing = format!("{up}{}", argument(&secret));
    symlink(climbing, root.join(CONFIGURATIONS).join("00-b.conflist")).expect("a link");
    let settings = &inspect(&node, &["-o", "json"]).json()["settings"];
    assert_eq!(settings["file"], "/etc/cni/net.d/00-osm-cni.conflist");
    assert_eq!(settings["changed"], false);
    // A link inside of the root is followed as the node follows it.
    host::make_dirs(&root.join("srv"));
    host::run(&["mv", argument(&root.join(CACHE)), argument(&root.join("srv/results"))]);
    symlink("/srv/results", root.join(CACHE)).expect("a link");
    inspect(&node, &[]).ok();
}

#[test]
fn the_namespace_of_a_process_is_reached_below_the_nodes_root() {
    let node = Node::new("test", "web");
    node.add(&document(), &json!({}));
    let _proc = Mounted::proc(&node);
    let netns = format!("--net={}", node.pod.path().display());
    let mut sleeper =
        host::command("nsenter").args([&netns, "sleep", "60"]).spawn().expect("sleep");
    let path = format!("/proc/{}/ns/net", sleeper.id());
    let read = |path: &str| std::fs::read_link(path).map_err(|error| error.to_string());
    crate::support::wait_for("the process enters", Duration::from_secs(5), || {
        match read(&path) == read("/proc/self/ns/net") {
            true => Err("still outside".to_owned()),
            false => Ok(()),
        }
    });
    let root = argument(node.root());
    let by_path = osm_cni(&["inspect", "--host-root", root, "--netns", &path]);
    let pid = sleeper.id().to_string();
    let by_pid = osm_cni(&["inspect", "--host-root", root, "--pid", &pid]);
    let _ = sleeper.kill();
    let _ = sleeper.wait();
    // The pod is recognised by its namespace.
    for run in [by_path, by_pid] {
        assert!(run.ok().starts_with("pod         test/web\n"), "{run:?}");
        assert!(run.ok().contains("PROXY_REDIRECT"), "{run:?}");
    }
}

#[test]
fn a_comment_names_no_other_pod() {
    let node = Node::new("test", "web");
    node.add(&document(), &json!({}));
    // Another pod, whose NET_ADMIN lets it write what it likes.
    let other = crate::support::netns::TestNetns::new();
    for container in ["", &CONTAINER[..12], CONTAINER] {
        let comment = format!("osm-cni layout 1 container {container} interface eth0");
        other.nft_load(&format!("table ip osm {{ comment \"{comment}\"; }}"));
        let seen = node.root().join("run/netns/other");
        host::write(&seen, "");
        host::run(&["mount", "--bind", argument(&other.path()), argument(&seen)]);
        let mounted = Mounted(seen);
        let root = argument(node.root());
        let run = osm_cni(&["inspect", "--netns", "/run/netns/other", "--host-root", root]);
        drop(mounted);
        assert!(run.ok().starts_with("netns       /run/netns/other\n"), "{container:?}: {run:?}");
        other.exec(&["nft", "flush", "ruleset"]);
    }
}

#[test]
fn a_table_that_redirects_nothing_is_not_called_redirected() {
    let node = Node::new("test", "web");
    node.add(&document(), &json!({}));
    let redirected = || inspect(&node, &["-o", "json"]).json()["redirected"].clone();
    assert_eq!(redirected(), true);
    for chain in ["PROXY_REDIRECT", "PROXY_IN_REDIRECT"] {
        node.pod.exec(&["nft", "flush", "chain", "ip", "osm", chain]);
    }
    assert_eq!(redirected(), false, "the probe rule alone");
    node.pod.exec(&["nft", "flush", "ruleset"]);
    node.pod.exec(&["nft", "add", "table", "ip", "osm"]);
    assert_eq!(redirected(), false, "a table without chains");
    let text = inspect(&node, &[]);
    assert!(text.ok().contains("No rule of the table below redirects anything"), "{text:?}");
}

#[test]
fn no_output_and_no_error_holds_what_a_terminal_would_obey() {
    let node = Node::new("test", "web");
    let evil = "80\u{1b}[2J\n\rpod\u{202e}\u{9b}31m\u{2028}\u{ad}";
    node.remember(Some(&document()), &json!({"openservicemesh.io/x": evil}));
    let wild = |text: &str| {
        let odd = |c: char| c != '\n' && osm_cni::sanitize::is_unprintable(c);
        text.chars().find(|c| odd(*c))
    };
    for format in ["text", "json", "mermaid"] {
        let run = inspect(&node, &["-o", format]);
        assert_eq!(wild(run.ok()), None, "{run:?}");
    }
    let annotations = &inspect(&node, &["-o", "json"]).json()["pod"]["annotations"];
    assert_eq!(annotations["openservicemesh.io/x"], evil, "JSON means the same");
    // The cache's network namespace is quoted in an error.
    let path = node.root().join(CACHE).join(format!("rignet-{CONTAINER}-eth0"));
    let mut cached: Value =
        serde_json::from_str(&std::fs::read_to_string(&path).expect("the cache")).expect("JSON");
    cached["netns"] = json!(format!("/run/netns/{evil}"));
    host::write(&path, cached.to_string());
    let run = inspect(&node, &[]);
    assert_eq!(wild(run.failed(1)), None, "{run:?}");
    assert_eq!(run.stderr.lines().count(), 1, "{run:?}");
    for usage in [format!("--{evil}"), evil.to_owned()] {
        let run = osm_cni(&["inspect", &usage]);
        assert_eq!(wild(run.failed(2)), None, "{run:?}");
    }
}
