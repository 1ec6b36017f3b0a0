//! What an agent writes between a look at the directory and the change that
//! follows is never lost.
#![expect(clippy::disallowed_methods, reason = "the tests play the agent")]

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Map, Value, json};
use tempfile::TempDir;

use super::super::name::CONF_NAME;
use super::super::plan::{self, Mode, Target};
use super::super::snapshot::OwnList;
use super::super::withdraw;
use super::*;

const LIST: &str = r#"{"cniVersion": "1.0.0", "name": "a", "plugins": [{"type": "bridge"}]}"#;
const SINGLE: &str = r#"{"cniVersion": "0.4.0", "name": "a", "type": "bridge"}"#;

fn own() -> OwnList {
    OwnList { name: FileName::from(CONF_NAME), written: None }
}

fn entry() -> Map<String, Value> {
    json!({"type": "osm-cni"}).as_object().cloned().expect("an object")
}

fn steps_in(dir: &Path, mode: Mode) -> Vec<Step> {
    let snapshot = snapshot(dir).expect("a snapshot");
    let target = Target { mode, own: &own(), entry: &entry() };
    plan::install(&snapshot, &target).expect("a plan").steps
}

fn steps_out(dir: &Path) -> Vec<Step> {
    withdraw::all(&snapshot(dir).expect("a snapshot"), &own())
}

fn node(name: &str) -> TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    let text = if name.ends_with("conflist") { LIST } else { SINGLE };
    fs::write(dir.path().join(name), text).expect("write");
    dir
}

/// The names of all files, which must not be temporary ones.
fn names(dir: &Path) -> Vec<String> {
    let items = fs::read_dir(dir).expect("the directory");
    let mut names: Vec<_> = items
        .map(|item| item.expect("an entry").file_name().into_string().expect("UTF-8"))
        .collect();
    names.sort();
    assert!(names.iter().all(|name| !name.starts_with('.')), "{names:?}");
    names
}

/// The files that the steps replace, rename or remove.
fn touched(steps: &[Step]) -> Vec<FileName> {
    let mut names: Vec<_> = steps.iter().map(|step| step.name().clone()).collect();
    names.sort();
    names.dedup();
    names
}

/// Plans in a directory that `make` makes, lets an agent write each file that
/// the plan touches, and carries the plan out.
fn an_agent_writes(make: impl Fn() -> TempDir, plan: impl Fn(&Path) -> Vec<Step>) -> usize {
    let mut written = 0;
    for name in touched(&plan(make().path())) {
        // The kept originals and their names are ours.
        if name.without_suffix(super::super::name::ORIGINAL).is_some() {
            continue;
        }
        for in_place in [true, false] {
            let dir = make();
            let steps = plan(dir.path());
            let path = name.in_dir(dir.path());
            let text = LIST.replace("bridge", "macvlan");
            if in_place {
                fs::write(&path, &text).expect("write");
            } else {
                fs::write(dir.path().join("agent"), &text).expect("write");
                fs::rename(dir.path().join("agent"), &path).expect("rename");
            }
            let done = apply(dir.path(), &steps);
            assert!(matches!(done, Err(NodeError::Changed(_))), "{name}: {done:?}: {steps:?}");
            assert_eq!(fs::read_to_string(&path).ok(), Some(text), "{name} is lost: {steps:?}");
            names(dir.path());
            written += 1;
        }
    }
    written
}

#[test]
fn what_an_agent_writes_after_the_look_stays() {
    let mut written = 0;
    for name in ["10-a.conflist", "10-a.conf"] {
        for mode in [Mode::Own, Mode::Insert] {
            let installed = || {
                let dir = node(name);
                apply(dir.path(), &steps_in(dir.path(), mode)).expect("installed");
                dir
            };
            let other = if mode == Mode::Own { Mode::Insert } else { Mode::Own };
            written += an_agent_writes(|| node(name), |dir| steps_in(dir, mode));
            written += an_agent_writes(installed, steps_out);
            written += an_agent_writes(installed, |dir| steps_in(dir, other));
        }
    }
    assert!(written > 20, "{written}");
}

#[test]
fn a_file_that_was_moved_aside_returns_after_a_kill() {
    let aside = format!(".10-a.conflist.0123456789abcdef{DISPLACED}");
    let ours = LIST.replace("}]", "}, {\"type\": \"osm-cni\"}]");
    let newer = LIST.replace("bridge", "macvlan");
    // What lies aside, what has the name, and what has it afterwards.
    let table = [
        (&*newer, None, Some(&*newer)),
        (&*ours, None, None),
        (&*newer, Some(&*ours), Some(&*newer)),
        (LIST, Some(&*ours), Some(&*ours)),
        (LIST, Some(&*newer), Some(&*newer)),
    ];
    for (left, there, afterwards) in table {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("10-a.conflist");
        fs::write(dir.path().join(&aside), left).expect("write");
        if let Some(there) = there {
            fs::write(&path, there).expect("write");
        }
        clean_up(dir.path()).expect("cleaned up");
        assert_eq!(fs::read_to_string(&path).ok().as_deref(), afterwards, "{left} {there:?}");
        names(dir.path());
    }
}

#[test]
fn our_own_list_is_known_by_its_mark_and_a_copy_of_it_is_not() {
    let dir = node("10-a.conflist");
    apply(dir.path(), &steps_in(dir.path(), Mode::Own)).expect("installed");
    let path = |name: &str| dir.path().join(name);
    fs::rename(path(CONF_NAME), path("01-old.conflist")).expect("rename");
    let text = fs::read_to_string(path("01-old.conflist")).expect("read");
    fs::write(path("05-copy.conflist"), text).expect("write");
    apply(dir.path(), &steps_out(dir.path())).expect("taken out");
    assert_eq!(names(dir.path()), ["05-copy.conflist", "10-a.conflist"]);
    assert_eq!(fs::read_to_string(path("05-copy.conflist")).expect("read"), LIST);
}

/// Of `10-a.conf` and `10-a.json` runtimes read the first one, and its list
/// stands before the other. That is no rewritten original of it.
#[test]
fn a_second_single_plugin_of_the_same_stem_does_not_replace_the_first() {
    for other in [SINGLE.replace("bridge", "ptp"), "{".to_owned()] {
        let dir = node("10-a.conf");
        fs::write(dir.path().join("10-a.json"), &other).expect("write");
        apply(dir.path(), &steps_in(dir.path(), Mode::Insert)).expect("installed");
        assert_eq!(steps_in(dir.path(), Mode::Insert), [], "{other}");
        let list = fs::read_to_string(dir.path().join("10-a.conflist")).expect("read");
        assert!(list.contains("bridge"), "{list}");
        apply(dir.path(), &steps_out(dir.path())).expect("taken out");
        assert_eq!(names(dir.path()), ["10-a.conf", "10-a.json"]);
        assert_eq!(fs::read_to_string(dir.path().join("10-a.conf")).expect("read"), SINGLE);
    }
    // The agent of either writes its file anew: the list follows.
    for name in ["10-a.conf", "10-a.json"] {
        let dir = node(name);
        apply(dir.path(), &steps_in(dir.path(), Mode::Insert)).expect("installed");
        assert!(names(dir.path()).contains(&format!("{name}.osm-cni-orig")), "{name}");
        fs::write(dir.path().join(name), SINGLE.replace("bridge", "ptp")).expect("write");
        apply(dir.path(), &steps_in(dir.path(), Mode::Insert)).expect("followed");
        let list = fs::read_to_string(dir.path().join("10-a.conflist")).expect("read");
        assert!(list.contains("ptp"), "{list}");
    }
}

#[test]
fn a_file_whose_original_cannot_be_kept_stays() {
    let dir = node("10-a.conf");
    let in_the_way = dir.path().join("10-a.conf.osm-cni-orig");
    fs::create_dir(&in_the_way).expect("made");
    let error = apply(dir.path(), &steps_in(dir.path(), Mode::Insert)).expect_err("no name for it");
    assert!(error.to_string().contains(&*in_the_way.to_string_lossy()), "{error}");
    assert_eq!(fs::read_to_string(dir.path().join("10-a.conf")).expect("read"), SINGLE);
    names(dir.path());
}

#[test]
fn who_cleans_up_leaves_a_file_that_is_being_replaced_alone() {
    let node = node("10-a.conflist");
    let dir = node.path();
    let (file, original) = (dir.join("10-a.conflist"), dir.join("10-a.conflist.osm-cni-orig"));
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let installer = scope.spawn(|| {
            for _ in 0..300 {
                apply(dir, &steps_in(dir, Mode::Insert)).expect("applied");
                assert_eq!(fs::read_to_string(&original).expect("kept"), LIST);
                fs::remove_file(&original).expect("removed");
                fs::write(&file, LIST).expect("written");
            }
        });
        // One may meet a file that the installer has just removed.
        let clean = || {
            while !is_over.load(Ordering::Relaxed) {
                let _ = clean_up(dir);
            }
        };
        (0..3).for_each(|_| drop(scope.spawn(clean)));
        while !installer.is_finished() {
            let _ = clean_up(dir);
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert_eq!(names(dir), ["10-a.conflist"]);
}
