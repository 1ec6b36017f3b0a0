use serde_json::json;

use super::super::name::CONF_NAME;
use super::super::snapshot::tests::{list, of, own};
use super::super::withdraw;
use super::*;

pub(super) fn entry() -> Map<String, Value> {
    json!({"type": "osm-cni"}).as_object().cloned().expect("an object")
}

fn plan(mode: Mode, files: &[(&str, &str)]) -> Result<Plan, Obstacle> {
    install(&of(files), &Target { mode, own: &own(), entry: &entry() })
}

/// What the directory holds after the steps, without modes.
pub(super) fn after(files: &[(&str, &str)], steps: &[Step]) -> Vec<(String, String)> {
    let mut files: Vec<(String, String)> =
        files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    let take = |files: &mut Vec<(String, String)>, name: &FileName| {
        let index = files.iter().position(|(there, _)| *name == *there.as_str())?;
        Some(files.remove(index).1)
    };
    for step in steps {
        match step {
            Step::Write { name, text, replaced, keep, .. } => {
                let old = take(&mut files, name);
                assert_eq!(replaced.is_some(), old.is_some(), "{name}");
                if let (Some(keep), Some(old)) = (keep, old) {
                    files.push((keep.to_string(), old));
                }
                files.push((name.to_string(), text.clone()));
            }
            Step::Keep { name, .. } => {
                let text = take(&mut files, name).expect("the file");
                let _ = take(&mut files, &name.original());
                files.push((name.original().to_string(), text));
            }
            Step::Restore { name, replaced } => {
                let text = take(&mut files, &name.original()).expect("the original");
                assert_eq!(replaced.is_some(), take(&mut files, name).is_some(), "{name}");
                files.push((name.to_string(), text));
            }
            Step::Remove { name, .. } => drop(take(&mut files, name).expect("the file")),
        }
    }
    files.sort();
    files
}

pub(super) fn borrowed(files: &[(String, String)]) -> Vec<(&str, &str)> {
    files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect()
}

const SINGLE: &str = r#"{"cniVersion": "0.4.0", "name": "a", "type": "bridge"}"#;

#[test]
fn twice_is_once_and_the_way_back_is_complete() {
    let a = list("a", &["bridge"]);
    for files in [[("10-a.conflist", a.as_str())], [("10-a.conf", SINGLE)]] {
        for mode in [Mode::Own, Mode::Insert] {
            let done = plan(mode, &files).expect("a plan");
            let installed = after(&files, &done.steps);
            let installed = borrowed(&installed);
            let file = (&*done.file.to_string(), &*done.text);
            assert!(installed.contains(&file) && file.1.contains("osm-cni"), "{mode:?}");
            // What runtimes read first is that file.
            let first = of(&installed).configurations().next().map(|file| file.name.to_string());
            assert_eq!(first.as_deref(), Some(file.0), "{mode:?}");
            assert_eq!(plan(mode, &installed).expect("a plan").steps, [], "{mode:?}");
            let back = after(&installed, &withdraw::all(&of(&installed), &own()));
            assert_eq!(borrowed(&back), files, "{mode:?}");
        }
    }
}

#[test]
fn an_agents_file_under_our_name_is_neither_overwritten_nor_removed() {
    let (a, b) = (list("a", &["bridge"]), list("b", &["ptp"]));
    let files = [(CONF_NAME, a.as_str()), ("10-b.conflist", b.as_str())];
    let obstacle = plan(Mode::Own, &files).expect_err("not ours");
    assert!(matches!(obstacle, Obstacle::NotOurs { .. }), "{obstacle}");
    assert_eq!(withdraw::all(&of(&files), &own()), []);
}

#[test]
fn an_agents_list_beside_its_single_plugin_is_not_overwritten() {
    let with = list("a", &["bridge", "osm-cni"]);
    let orig = list("a", &["bridge"]);
    for other in [orig.as_str(), with.as_str()] {
        let files = [
            ("10-a.conf", SINGLE),
            ("10-a.conflist", other),
            ("10-a.conflist.osm-cni-orig", orig.as_str()),
        ];
        let obstacle = plan(Mode::Insert, &files).expect_err("taken");
        assert!(matches!(obstacle, Obstacle::Taken { .. }), "{obstacle}");
    }
}

#[test]
fn what_multus_names_is_never_renamed() {
    let multus = |field: &str| {
        format!(r#"{{"cniVersion": "0.4.0", "name": "m", "type": "multus", {field}}}"#)
    };
    for field in [
        r#""readinessindicatorfile": "/x/net.d/10-a.conf""#,
        r#""clusterNetwork": "a""#,
        r#""clusterNetwork": "/x/net.d/10-a.conf""#,
        r#""readinessIndicatorFile": "/x/net.d/10-a.conf""#,
        r#""masterPlugin": "10-a.conf""#,
        r#""defaultNetworks": ["b", "a"]"#,
        r#""delegates": ["a"]"#,
        r#""delegates": [{"name": "a", "type": "bridge"}]"#,
    ] {
        let multus = multus(field);
        let files = [("10-a.conf", SINGLE), ("20-multus.conf", multus.as_str())];
        let obstacle = plan(Mode::Insert, &files).expect_err(field);
        assert!(matches!(obstacle, Obstacle::Named { .. }), "{obstacle}");
        plan(Mode::Own, &files).expect("a copy renames nothing");
    }
    let other = multus(r#""clusterNetwork": "b""#);
    plan(Mode::Insert, &[("10-a.conf", SINGLE), ("20-multus.conf", &other)]).expect("a plan");
}

#[test]
fn our_entry_goes_behind_multus_in_its_own_list() {
    let files = [("00-multus.conflist", &*list("m", &["multus"])), ("10-a.conf", SINGLE)];
    assert!(matches!(plan(Mode::Own, &files), Err(Obstacle::Multus { .. })));
    let done = plan(Mode::Insert, &files).expect("a plan");
    assert_eq!(done.file.to_string(), "00-multus.conflist");
    assert!(done.text.find("multus") < done.text.find("osm-cni"));
}

#[test]
fn a_list_that_was_not_finished_is_ours_to_finish() {
    let start = [("10-a.conf", SINGLE)];
    let done = plan(Mode::Insert, &start).expect("a plan");
    let [write @ Step::Write { .. }, Step::Keep { .. }] = &done.steps[..] else {
        panic!("{:?}", done.steps)
    };
    let killed = after(&start, std::slice::from_ref(write));
    let rest = plan(Mode::Insert, &borrowed(&killed)).expect("a plan").steps;
    assert_eq!(rest, done.steps[1..]);
}

#[test]
fn the_programs_of_a_list_are_those_of_the_others() {
    let a = list("a", &["bridge", "osm-cni", "portmap"]);
    for mode in [Mode::Own, Mode::Insert] {
        let done = plan(mode, &[("10-a.conflist", &a)]).expect("a plan");
        assert_eq!(done.programs, ["bridge", "portmap"], "{mode:?}");
    }
}

fn raw_file(name: &str, text: &str, mode: u32) -> RawFile {
    let content = Content { bytes: text.as_bytes().to_owned(), mode, mark: None };
    RawFile { name: FileName::from(name), content: Ok(content), folder: Vec::new() }
}

/// The modes that a plan's steps write, for a file of this mode.
fn written(plan_mode: Mode, file: &str, text: &str, mode: u32, wanted: &str) -> Vec<u32> {
    let mut files = vec![raw_file(file, text, mode)];
    if file != "10-a.conflist" {
        files.push(raw_file("10-a.conflist", &list("a", &["bridge"]), 0o666));
    }
    let entry: Map<String, Value> = serde_json::from_str(wanted).expect("an object");
    let target = Target { mode: plan_mode, own: &own(), entry: &entry };
    let plan = install(&Snapshot::new(files), &target).expect("a plan");
    let mode = |step: &Step| match step {
        Step::Write { mode, .. } => *mode,
        other => panic!("{other}"),
    };
    plan.steps.iter().map(mode).collect()
}

#[test]
fn a_files_mode_stays_unless_others_could_write_our_list() {
    const OURS: &str = r#"{"type": "osm-cni"}"#;
    const CHANGED: &str = r#"{"type": "osm-cni", "logLevel": "debug"}"#;
    let a = list("a", &["bridge"]);
    let ours = plan(Mode::Own, &[("10-a.conflist", &a)]).expect("a plan").text;
    for mode in [0o600, 0o640, 0o644, 0o755] {
        assert_eq!(written(Mode::Own, CONF_NAME, &ours, mode, OURS), [0; 0], "{mode:o}");
        assert_eq!(written(Mode::Own, CONF_NAME, &ours, mode, CHANGED), [mode], "{mode:o}");
    }
    assert_eq!(written(Mode::Own, CONF_NAME, &ours, 0o4644, CHANGED), [0o644]);
    for mode in [0o400, 0o200, 0o620, 0o602, 0o666, 0o000] {
        assert_eq!(written(Mode::Own, CONF_NAME, &ours, mode, OURS), [0o600], "{mode:o}");
    }
    assert_eq!(written(Mode::Own, CONF_NAME, "{", 0o644, OURS), [0o600], "no list of ours");
    // The agent's file is the agent's, but for the bits that a copy must not have.
    let inserted = list("a", &["bridge", "osm-cni"]);
    for (mode, kept) in [(0o666, 0o666), (0o400, 0o400), (0o4755, 0o755)] {
        assert_eq!(written(Mode::Insert, "10-a.conflist", &a, mode, OURS), [kept]);
        let raw = raw_file("10-a.conflist", &inserted, mode);
        let steps = withdraw::all(&Snapshot::new(vec![raw]), &own());
        assert!(matches!(steps[..], [Step::Write { mode, .. }] if mode == kept), "{steps:?}");
    }
}

#[test]
fn a_file_before_ours_is_named() {
    let a = list("a", &["bridge"]);
    let obstacle = plan(Mode::Own, &[("00-a.conflist", &a)]).expect_err("before ours");
    assert!(obstacle.to_string().contains("00-a.conflist"), "{obstacle}");
    // In the other mode the entry moves to the file that is now the first one.
    let with = list("a", &["bridge", "osm-cni"]);
    let files = [
        ("05-b.conflist", &*list("b", &["ptp"])),
        ("10-a.conflist", &*with),
        ("10-a.conflist.osm-cni-orig", &*a),
    ];
    let done = plan(Mode::Insert, &files).expect("a plan");
    let installed = after(&files, &done.steps);
    let ours: Vec<_> = installed
        .iter()
        .filter(|(_, text)| text.contains("osm-cni"))
        .map(|(name, _)| name)
        .collect();
    assert_eq!(ours, ["05-b.conflist"]);
}
