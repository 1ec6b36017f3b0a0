//! Other programs change the files while `install` runs.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::*;

const NAME: &str = "10-pods.conflist";

pub(super) fn in_place(node: &Node) -> bool {
    node.read(OWN).is_some_and(|text| {
        serde_json::from_str::<Value>(&text)
            .is_ok_and(|list| list["plugins"][1]["type"] == "osm-cni")
    }) && stat(&node.path(OWN)).mode == 0o600
}

#[test]
fn each_damage_to_our_list_is_repaired() {
    type Damage = fn(&Node);
    let damages: [(&str, Damage); 5] = [
        ("rewritten", |node| node.write(OWN, PRIMARY)),
        ("truncated", |node| fs::write(node.path(OWN), "").expect("truncate")),
        ("deleted", |node| fs::remove_file(node.path(OWN)).expect("delete")),
        ("renamed", |node| fs::rename(node.path(OWN), node.path("moved.bak")).expect("rename")),
        ("made unreadable", |node| {
            fs::set_permissions(node.path(OWN), fs::Permissions::from_mode(0o000)).expect("chmod");
        }),
    ];
    for (what, damage) in damages {
        let node = Node::with(&[(NAME, PRIMARY)]);
        let running = node.start(&[]);
        let before = node.state().remove(NAME);
        damage(&node);
        wait_for(what, || in_place(&node));
        assert_eq!(node.state().remove(NAME), before, "the primary's file is not touched");
        running.stop();
        assert!(in_place(&node), "SIGTERM removes nothing");
    }
}

#[test]
fn a_damaged_binary_is_repaired() {
    let node = Node::with(&[(NAME, PRIMARY)]);
    let _running = node.start(&[]);
    let binary = node.bin().join("osm-cni");
    fs::remove_file(&binary).expect("delete");
    wait_for("the binary", || node.check(&[]).is_ok());
    fs::write(&binary, "#!/bin/false\n").expect("overwrite");
    wait_for("the binary", || node.check(&[]).is_ok());
}

#[test]
fn a_lost_entry_in_the_primarys_file_is_put_back() {
    let node = Node::with(&[(NAME, PRIMARY)]);
    let running = node.start(&["--mode", "insert"]);
    let changed = PRIMARY.replace("1500", "9000");
    node.write(NAME, &changed);
    wait_for("our entry", || node.plugins() == ["bridge", "osm-cni"]);
    assert!(node.read(NAME).is_some_and(|text| text.contains("9000")));
    running.stop();
    node.uninstall(&[]);
    assert_eq!(
        node.bytes().into_iter().collect::<Vec<_>>(),
        [(NAME.to_owned(), changed.into_bytes())]
    );
}

#[test]
fn the_runtime_sees_one_network_however_often_its_agent_rewrites_it() {
    let node = Node::with(&[(NAME, PRIMARY)]);
    let running = node.start(&[]);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let seen = node.network().expect("a network");
                assert_eq!(seen.0, "pods");
                assert_eq!(seen.1, ["bridge", "osm-cni"]);
            }
        });
        for mtu in 1000..1300 {
            node.write(NAME, &PRIMARY.replace("1500", &mtu.to_string()));
            std::thread::sleep(Duration::from_millis(3));
        }
        done.store(true, Ordering::Relaxed);
        reader.join().expect("the reader");
    });
    wait_for("the last rewrite", || node.read(OWN).is_some_and(|text| text.contains("1299")));
    running.stop();
}

#[test]
fn another_primary_is_followed_and_no_primary_ends_our_copy() {
    let node = Node::with(&[(NAME, PRIMARY)]);
    let _running = node.start(&[]);
    node.write("05-new.conflist", &PRIMARY.replace("\"pods\"", "\"fresh\""));
    let is = |name: &str| node.network().is_some_and(|(now, _)| now == name);
    wait_for("the new primary", || is("fresh"));
    fs::remove_file(node.path("05-new.conflist")).expect("delete");
    wait_for("the old primary", || is("pods"));
    fs::remove_file(node.path(NAME)).expect("delete");
    wait_for("the end of our copy", || node.network().is_none());
    node.write(NAME, PRIMARY);
    wait_for("the primary's return", || in_place(&node));
}

#[test]
fn nothing_is_written_while_nothing_changes() {
    let node = Node::with(&[(NAME, PRIMARY)]);
    let running = node.start(&[]);
    let before = node.state();
    // News that means nothing to us, many times.
    for _ in 0..20 {
        node.write("unrelated.bak", "x");
        node.write(NAME, PRIMARY);
    }
    running.stop();
    assert_eq!(node.state().remove(OWN), before.get(OWN).cloned());
    let said = node.log().lines().filter(|line| line.contains("wrote")).count();
    assert_eq!(said, 1, "{}", node.log());
}

#[test]
fn who_keeps_undoing_it_is_named_and_not_fought_without_end() {
    let node = Node::with(&[("05-cilium.conflist", PRIMARY)]);
    let running = node.start(&[]);
    let done = AtomicBool::new(false);
    let undone = AtomicU32::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let bak = node.path(&format!("{OWN}.cilium_bak"));
                if fs::rename(node.path(OWN), bak).is_ok() {
                    undone.fetch_add(1, Ordering::Relaxed);
                    node.write("05-cilium.conflist", PRIMARY);
                }
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        wait_for("the back-off", || node.log().contains("keeps undoing"));
        // It goes on looking: a lost binary comes back. Our list does not.
        for _ in 0..3 {
            let binary = node.bin().join("osm-cni");
            fs::remove_file(&binary).expect("delete");
            wait_for("another look", || binary.exists());
        }
        done.store(true, Ordering::Relaxed);
    });
    // The first install and five repairs.
    assert_eq!(undone.load(Ordering::Relaxed), 6, "{}", node.log());
    let error = node.check(&[]).expect_err("it is not in place");
    for log in [error, node.log()] {
        assert!(log.contains(OWN) && log.contains("cni.exclusive=false"), "{log}");
    }
    running.stop();
    node.uninstall(&[]);
    assert_eq!(node.bytes().len(), 1, "our renamed list is gone, too");
}
