//! The choice of the primary, held against a real containerd: it is asked
//! through CRI which network it loaded.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::{Config, TestRunner};

use super::*;
use crate::support::containerd::{Containerd, Options, Version};
use crate::support::wait_for;

/// The files of a directory.
type Files = Vec<(OsString, Vec<u8>)>;

/// What containerd has loaded: the text of its first network, and the types
/// of its plugins.
type Loaded = Option<(String, Vec<String>)>;

const LIST: &str = r#"{"cniVersion": "1.0.0", "name": "NAME", "plugins": [{"type": "bridge"}]}"#;
const SINGLE: &str = r#"{"cniVersion": "1.0.0", "name": "NAME", "type": "ptp"}"#;

/// Contents that a file of the directory may have.
fn contents() -> Vec<Vec<u8>> {
    let texts = [
        LIST,
        SINGLE,
        "",
        "{",
        "[]",
        "null",
        r#"{"cniVersion": "0.2.0", "name": "NAME", "type": "bridge"}"#,
        r#"{"name": "NAME", "plugins": [{"type": "bridge"}]}"#,
        r#"{"cniVersion": "x", "name": "NAME", "plugins": [{"type": "bridge"}]}"#,
        r#"{"cniVersion": "1.0.0", "name": "NAME", "type": "loopback"}"#,
        r#"{"cniVersion": "1.0.0", "name": "NAME", "plugins": [{"type": "loopback"}]}"#,
        r#"{"cniVersion": "1.0.0", "type": "bridge"}"#,
        r#"{"cniVersion": "1.0.0", "plugins": [{"type": "bridge"}]}"#,
        r#"{"cniVersion": "1.0.0", "name": "", "plugins": [{"type": "bridge"}]}"#,
        r#"{"cniVersion": "1.0.0", "name": "NAME", "plugins": []}"#,
        r#"{"cniVersion": "1.0.0", "name": "NAME", "plugins": [{}]}"#,
        r#"{"cniVersion": "1.0.0", "name": "NAME", "plugins": [{"type": "bridge", "ipam": 5}]}"#,
        r#"{"cniVersion": "1.0.0", "name": "NAME", "plugins": [{"type": "bridge", "x": 1e999}]}"#,
        r#"{"cniVersion": "1.0.0", "name": "NAME", "plugins": [{"type": "bridge", "x": "\ud800"}]}"#,
        r#"{"cniVersion": "1.0.0", "name": "x", "name": "NAME", "plugins": [{"type": "bridge"}]}"#,
        r#"{"cniVersion": "0.4.0", "name": "NAME", "Type": "bridge", "type": "ptp"}"#,
        r#"{"cniVersion": "1.0.0", "name": 5, "plugins": [{"type": "bridge"}]}"#,
        r#"{"cniVersion": "1.0.0", "name": "NAME", "plugins": [null]}"#,
        r#"{"cniVersion": 1, "name": "NAME", "plugins": [{"type": "bridge"}]}"#,
        r#"{"cniVersions": ["0.4.0", "1.0.0"], "name": "NAME", "plugins": [{"type": "bridge"}]}"#,
        r#"{"cniVersions": ["x"], "name": "NAME", "plugins": [{"type": "bridge"}]}"#,
        r#"{"cniVersions": ["", "1.0.0"], "name": "NAME", "plugins": [{"type": "bridge"}]}"#,
        r#"{"cniVersions": ["1.1.0"], "name": "NAME", "plugins": [{"type": "bridge"}]}"#,
        r#"{"cniVersions": [], "name": "NAME", "plugins": [{"type": "bridge"}]}"#,
        r#"{"cniVersions": [1], "name": "NAME", "plugins": [{"type": "bridge"}]}"#,
        r#"{"cniVersions": null, "name": "NAME", "plugins": [{"type": "bridge"}]}"#,
        r#"{"cniVersion": null, "name": "NAME", "plugins": [{"type": "bridge"}]}"#,
        r#"{"cniVersion": null, "cniVersions": ["1.0.0"], "name": "NAME", "plugins": [{"type": "bridge"}]}"#,
        r#"{"cniVersion": "0.2.0", "cniVersions": ["1.0.0"], "name": "NAME", "plugins": [{"type": "bridge"}]}"#,
        r#"{"cniVersion": "x", "cniVersions": ["1.0.0"], "name": "NAME", "plugins": [{"type": "bridge"}]}"#,
        r#"{"cniVersion": "1.0.0", "disableCheck": 5, "name": "NAME", "plugins": [{"type": "bridge"}]}"#,
        r#"{"cniVersion": "1.0.0", "disableCheck": "true", "name": "NAME", "plugins": [{"type": "bridge"}]}"#,
        r#"{"cniVersion": "1.0.0", "disableGC": "no", "name": "NAME", "plugins": [{"type": "bridge"}]}"#,
        r#"{"cniVersion": "1.0.0", "loadOnlyInlinedPlugins": "true", "name": "NAME", "plugins": [{"type": "bridge"}]}"#,
        r#"{"cniVersions": ["1.0.0"], "name": "NAME", "type": "bridge"}"#,
        r#"{"cniVersion": "1.0.0", "name": "NAME", "loadOnlyInlinedPlugins": true}"#,
        r#"{"cniVersion": "1.0.0", "name": "NAME"}"#,
    ];
    let mut contents: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_owned()).collect();
    let invalid = LIST.replace("bridge", "brXdge").into_bytes();
    let invalid = invalid.into_iter().map(|byte| if byte == b'X' { 0xff } else { byte });
    contents.push(invalid.collect());
    contents
}

fn names() -> Vec<Vec<u8>> {
    let names = [
        "05-a.conflist",
        "05-a.conf",
        "10-b.conf",
        "10-b.json",
        "10-b.conflist",
        "B.conflist",
        "20-c.conflist",
        ".hidden.conf",
        "30-d.conf.bak",
        "00-first.conflist",
        "99-lo.conf",
    ];
    let mut names: Vec<Vec<u8>> = names.map(|name| name.as_bytes().to_owned()).into();
    names.push(b"07-\xff.conflist".to_vec());
    names
}

/// Each content as the first file before a good one, then random directories.
fn directories() -> Vec<Files> {
    let named = |index: usize, text: &[u8]| -> Vec<u8> {
        String::from_utf8(text.to_owned()).map_or_else(
            |error| error.into_bytes(),
            |text| text.replace("NAME", &format!("net{index}")).into_bytes(),
        )
    };
    let last = ("50-good.conflist".into(), named(50, LIST.as_bytes()));
    let mut all: Vec<Files> = Vec::new();
    for (index, text) in contents().into_iter().enumerate() {
        for name in ["10-x.conflist", "10-x.conf"] {
            all.push(vec![(name.into(), named(index, &text)), last.clone()]);
        }
    }
    // Half of the random files are good ones.
    let good = [LIST, SINGLE].map(|text| text.as_bytes().to_owned());
    let good = std::iter::repeat_n(good, contents().len() / 2).flatten();
    let texts: Vec<_> = contents().into_iter().chain(good).collect();
    let file = (proptest::sample::select(names()), proptest::sample::select(texts));
    let directory = proptest::collection::vec(file, 0..6);
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::default() });
    for _ in 0..60 {
        let files = directory.new_tree(&mut runner).expect("a directory").current();
        let mut unique = BTreeMap::new();
        for (index, (name, text)) in files.into_iter().enumerate() {
            unique.insert(name, named(index, &text));
        }
        all.push(unique.into_iter().map(|(name, text)| (OsString::from_vec(name), text)).collect());
    }
    all
}

/// What containerd loads of the directory as it is now. A list of a new name is
/// put first and taken away again: when it is gone, all files were read again.
fn loaded(node: &Containerd, number: &mut u32) -> Loaded {
    *number += 1;
    let marker = format!("marker{number}");
    let path = node.conf_dir().join("!marker.conflist");
    let temporary = node.conf_dir().join("!marker.tmp");
    fs::write(&temporary, LIST.replace("NAME", &marker)).expect("write");
    fs::rename(&temporary, &path).expect("rename");
    let first = || -> Option<(String, Vec<String>)> {
        let answer = match node.cri().status(true) {
            Ok(answer) => answer,
            // The reason why it has loaded nothing quotes a file's name.
            Err(error) if error.to_string().contains("not UTF-8") => return None,
            Err(error) => panic!("{error}"),
        };
        let config: Value = serde_json::from_str(answer.info.get("cniconfig")?).ok()?;
        let networks = config["Networks"].as_array()?;
        // Without a pods' network, containerd still has its own loopback.
        let network = networks.iter().find(|network| network["IFName"] != "lo")?;
        let plugins = network["Config"]["Plugins"].as_array()?;
        let kind = |plugin: &Value| plugin["Network"]["type"].as_str().map(str::to_owned);
        let kinds = plugins.iter().filter_map(kind).collect();
        Some((network["Config"]["Source"].as_str()?.to_owned(), kinds))
    };
    let is_marker =
        |loaded: &Loaded| loaded.as_ref().is_some_and(|(text, _)| text.contains(&marker));
    let limit = Duration::from_secs(30);
    wait_for("the marker", limit, || match first() {
        loaded if is_marker(&loaded) => Ok(()),
        loaded => Err(format!("{loaded:?}")),
    });
    fs::remove_file(&path).expect("delete");
    wait_for("the directory", limit, || match first() {
        loaded if is_marker(&loaded) => Err(format!("{loaded:?}")),
        loaded => Ok(loaded),
    })
}

/// The name of a network, by which each file of a directory is known.
fn net(text: &str) -> Option<&str> {
    let begin = text.find("\"net")? + 1;
    text[begin..].split('"').next()
}

fn fill(node: &Node, files: &Files) {
    for item in fs::read_dir(node.conf()).expect("the directory") {
        let path = item.expect("an entry").path();
        if path.is_file() {
            fs::remove_file(path).expect("delete");
        }
    }
    for (name, bytes) in files {
        fs::write(node.conf().join(name), bytes).expect("write");
    }
}

/// CNI 1.1: the plugins of the folder of the network's name follow those of the
/// list, and all programs are needed.
#[test]
fn plugins_of_the_folder_follow_ours_under_the_newest_containerd() {
    let containerd = Containerd::start(&Options { version: Version::Newest, ..Options::default() });
    let mut node = Node::empty();
    node.conf = containerd.conf_dir();
    fs::create_dir(node.path("net1")).expect("a folder");
    fs::write(node.path("net1").join("10.conf"), r#"{"type": "portmap"}"#).expect("write");
    fill(&node, &vec![("10-x.conflist".into(), LIST.replace("NAME", "net1").into_bytes())]);
    let kinds = |number: &mut u32| loaded(&containerd, number).map(|(_, kinds)| kinds);
    let mut number = 0;
    assert_eq!(kinds(&mut number).expect("a network"), ["bridge", "portmap"]);
    for (mode, file) in [("own", OWN), ("insert", "10-x.conflist")] {
        node.install(&["--mode", mode]);
        assert_eq!(
            kinds(&mut number).expect("a network"),
            ["bridge", "osm-cni", "portmap"],
            "{mode}"
        );
        node.check(&["--mode", mode]).expect("in place");
        fs::remove_file(node.bin().join("portmap")).expect("delete");
        let error = node.check(&["--mode", mode]).expect_err("a program is missing");
        assert!(error.contains("portmap") && error.contains(file), "{error}");
        make_program(&node.bin().join("portmap"));
        node.uninstall(&[]);
    }
    node.install(&[]);
    fs::write(node.path("net1").join("20.conf"), "{").expect("write");
    let error = node.check(&[]).expect_err("a broken plugin");
    assert!(error.contains("10-x.conflist") && error.contains("in the folder net1"), "{error}");
    node.uninstall(&[]);
    assert_eq!(node.read(OWN), None);
    assert_eq!(kinds(&mut number), None);
    let output = node.run("install", &["--once"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("in the folder net1"), "{}", stderr(&output));
}

#[test]
fn the_primary_is_what_containerd_takes() {
    hold_against(Version::Installed);
}

#[test]
fn the_primary_is_what_the_newest_containerd_takes() {
    hold_against(Version::Newest);
}

fn hold_against(version: Version) {
    let containerd = Containerd::start(&Options { version, ..Options::default() });
    let mut node = Node::empty();
    node.conf = containerd.conf_dir();
    let (mut number, mut used, mut refused) = (0, 0, 0);
    let all = directories();
    assert!(all.len() >= 40, "{}", all.len());
    for files in &all {
        fill(&node, files);
        let alone = loaded(&containerd, &mut number);
        let output = node.run("install", &["--once"]);
        let with = loaded(&containerd, &mut number);
        let shown = || format!("{files:?}\nalone: {alone:?}\nwith: {with:?}\n{output:?}");
        if output.status.code() == Some(0) {
            used += 1;
            // Ours is the network that containerd took, with our entry.
            let (text, kinds) = alone.as_ref().unwrap_or_else(|| panic!("{}", shown()));
            let (ours, with_ours) = with.as_ref().unwrap_or_else(|| panic!("{}", shown()));
            let expected = [kinds.as_slice(), &["osm-cni".to_owned()]].concat();
            assert_eq!(*with_ours, expected, "{}", shown());
            assert_eq!(net(text), net(ours), "{}", shown());
        } else {
            refused += 1;
            assert_eq!(with, alone, "nothing was changed: {}", shown());
            let error = stderr(&output);
            if error.contains("no primary") || error.contains("containerd has no network") {
                assert_eq!(alone, None, "{}", shown());
            } else if error.contains("depends on their releases") {
                // Nothing is claimed.
            } else if error.contains("containerd and CRI-O use it")
                || error.contains("containerd reads it")
                || error.contains("sorts before")
            {
                // What is named is what it took.
                let (text, _) = alone.as_ref().unwrap_or_else(|| panic!("{}", shown()));
                let named = files.iter().find(|(name, _)| {
                    error.contains(&*String::from_utf8_lossy(name.as_encoded_bytes()))
                });
                let (_, bytes) = named.unwrap_or_else(|| panic!("{}", shown()));
                match std::str::from_utf8(bytes) {
                    Ok(file) => assert_eq!(net(file), net(text), "{}", shown()),
                    Err(_) => assert!(text.contains('\u{fffd}'), "{}", shown()),
                }
            } else {
                panic!("{}", shown());
            }
        }
    }
    assert!(used > 5 && refused > 20, "{used} used, {refused} refused");
}
