//! Real primaries: installed, installed again, with other settings, and taken
//! out, in both modes.

use super::*;

const PRIMARIES: [&str; 12] = [
    "kindnet",
    "calico",
    "cilium",
    "flannel",
    "aws",
    "azure",
    "bridge",
    "single",
    "json",
    "disable-check",
    "newest",
    "several",
];

const SETTINGS: &str =
    r#"{"ruleset": "osm-v1", "traffic": {"outboundPortExclusionList": [6379, "8000-8010"]}}"#;

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/node/primaries").join(name)
}

fn node(primary: &str) -> Node {
    let node = Node::empty();
    for item in fs::read_dir(source(primary)).expect("the primary's files") {
        let path = item.expect("an entry").path();
        fs::copy(&path, node.path(&name(&path))).expect("copy");
    }
    node
}

/// Compares with `tests/golden/node/NAME`, or writes it with `OSM_CNI_BLESS`.
fn golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/node").join(name);
    if std::env::var_os("OSM_CNI_BLESS").is_some() {
        fs::write(&path, text).expect("write the golden");
    }
    let golden = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(golden, text, "{} (OSM_CNI_BLESS=1 writes it)", path.display());
}

/// Installs, installs again, changes the settings, and takes it out.
fn through_life(primary: &str, mode: &str) {
    let node = node(primary);
    let before = node.bytes();
    let (network, types) = the_network(&node);
    node.install(&["--mode", mode]);

    let file = file_with_entry(&node).expect("a file with our entry");
    let text = node.read(&file).expect("its text");
    golden(&format!("{primary}.{mode}.conflist"), &text);
    assert_eq!(file == OWN, mode == "own", "{file}");
    let value: Value = serde_json::from_str(&text).expect("JSON");
    let got: Vec<_> = value["plugins"].as_array().expect("plugins").clone();
    assert_eq!(value["name"], *network);
    let kinds: Vec<_> = got.iter().map(|plugin| plugin["type"].as_str().unwrap_or("")).collect();
    assert_eq!(kinds, [types.as_slice(), &["osm-cni".to_owned()]].concat());

    let installed = node.state();
    let binary = stat(&node.bin().join("osm-cni"));
    assert_eq!(binary.mode, 0o755);
    node.install(&["--mode", mode]);
    assert_eq!(node.state(), installed, "{primary}, {mode}: a second install writes nothing");
    assert_eq!(stat(&node.bin().join("osm-cni")), binary);
    node.check(&["--mode", mode]).expect("in place");

    fs::write(node.settings(), SETTINGS).expect("settings");
    let settings = node.settings();
    let args = ["--mode", mode, "--config", settings.to_str().expect("UTF-8")];
    node.check(&args).expect_err("the settings are other ones");
    node.install(&args);
    let text = node.read(&file).expect("its text");
    assert_eq!(text.matches("\"osm-cni\"").count(), 1, "{text}");
    assert!(text.contains("8000-8010"), "{text}");
    node.check(&args).expect("in place");

    node.uninstall(&[]);
    assert_eq!(node.bytes(), before, "{primary}, {mode}: every byte as before");
    assert!(node.bin().join("osm-cni").exists(), "the binary stays");
    node.uninstall(&["--remove-binary"]);
    assert!(!node.bin().join("osm-cni").exists());
}

/// What the agent's own files say, by the reader of this test: the first that
/// is more than loopback and not too old.
fn the_network(node: &Node) -> (String, Vec<String>) {
    let state = node.bytes();
    let lists = state.iter().filter(|(name, _)| {
        name.ends_with(".conf") || name.ends_with(".conflist") || name.ends_with(".json")
    });
    for (_, bytes) in lists {
        let Ok(value) = serde_json::from_slice::<Value>(bytes) else { continue };
        let list = value["plugins"].as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
        let types: Vec<String> =
            list.iter().map(|plugin| plugin["type"].as_str().expect("a type").to_owned()).collect();
        if types != ["loopback"] && value["cniVersion"] != "0.2.0" {
            return (value["name"].as_str().expect("a name").to_owned(), types);
        }
    }
    panic!("no network")
}

fn file_with_entry(node: &Node) -> Option<String> {
    let has = |bytes: &[u8]| String::from_utf8_lossy(bytes).contains("\"osm-cni\"");
    node.bytes().into_iter().find(|(_, bytes)| has(bytes)).map(|(name, _)| name)
}

#[test]
fn own_lists_live_and_leave_without_a_trace() {
    PRIMARIES.iter().for_each(|primary| through_life(primary, "own"));
}

#[test]
fn inserted_entries_live_and_leave_without_a_trace() {
    PRIMARIES.iter().for_each(|primary| through_life(primary, "insert"));
}

#[test]
fn an_own_list_never_touches_the_primarys_file() {
    for primary in PRIMARIES {
        let node = node(primary);
        let before = node.state();
        node.install(&[]);
        let mut after = node.state();
        assert_eq!(after.remove(OWN).map(|own| own.mode), Some(0o600));
        assert_eq!(after, before, "{primary}");
    }
}

#[test]
fn other_bytes_of_a_primary_survive_insertion() {
    for primary in PRIMARIES {
        let node = node(primary);
        let before = node.bytes();
        node.install(&["--mode", "insert"]);
        let file = file_with_entry(&node).expect("a file with our entry");
        let Some(old) = before.get(&file) else { continue };
        let new = node.bytes().remove(&file).expect("the file");
        // What was added is one piece: a common head, a common tail, and all
        // of the old text in the two.
        let head = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
        let tail = old.iter().rev().zip(new.iter().rev()).take_while(|(a, b)| a == b).count();
        assert!(head + tail >= old.len(), "{primary}: more than our entry has changed");
    }
}

#[test]
fn an_edit_beside_our_entry_survives_uninstall() {
    let node = node("flannel");
    node.install(&["--mode", "insert"]);
    let text = node.read("10-flannel.conflist").expect("the list");
    node.write("10-flannel.conflist", &text.replace("hairpinMode\": true", "hairpinMode\": false"));
    node.uninstall(&[]);
    let original =
        fs::read_to_string(source("flannel").join("10-flannel.conflist")).expect("the original");
    let wanted = original.replace("hairpinMode\": true", "hairpinMode\": false");
    assert_eq!(node.read("10-flannel.conflist"), Some(wanted));
    assert_eq!(node.bytes().len(), 1, "nothing else is left");
}

#[test]
fn file_modes_are_kept() {
    let node = node("flannel");
    let path = node.path("10-flannel.conflist");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("chmod");
    let before = node.state();
    node.install(&["--mode", "insert"]);
    assert_eq!(stat(&path).mode, 0o640);
    node.uninstall(&[]);
    assert_eq!(node.state(), before, "mode, inode and times too");
}

#[test]
fn changing_the_mode_moves_the_entry() {
    let node = node("calico");
    let before = node.bytes();
    node.install(&["--mode", "insert"]);
    node.install(&["--mode", "own"]);
    let mut own = node.bytes();
    assert!(own.remove(OWN).is_some());
    assert_eq!(own, before);
    node.install(&["--mode", "insert"]);
    assert_eq!(node.read(OWN), None);
    assert_eq!(node.plugins().last().map(String::as_str), Some("osm-cni"));
    node.uninstall(&[]);
    assert_eq!(node.bytes(), before);
}

#[test]
fn changing_the_name_moves_the_list() {
    let node = node("calico");
    let before = node.bytes();
    node.install(&["--conf-name", "01-mesh.conflist"]);
    node.install(&[]);
    assert_eq!(node.read("01-mesh.conflist"), None);
    node.install(&["--conf-name", "01-mesh.conflist"]);
    assert_eq!(node.read(OWN), None);
    node.uninstall(&[]);
    assert_eq!(node.bytes(), before);
}
