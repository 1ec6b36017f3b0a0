use super::*;

pub(crate) const OURS: &str = r#"{"type": "osm-cni"}"#;

/// A snapshot of these files.
pub(crate) fn of(files: &[(&str, &str)]) -> Snapshot {
    with_mark(files, "")
}

/// A snapshot of these files, of which one has our mark.
fn with_mark(files: &[(&str, &str)], marked: &str) -> Snapshot {
    let raw = |(name, text): &(&str, &str)| RawFile {
        name: FileName::from(*name),
        content: Ok(Content {
            bytes: text.as_bytes().to_owned(),
            mode: 0o644,
            mark: (*name == marked).then_some(Mark::Own),
        }),
        folder: Vec::new(),
    };
    Snapshot::new(files.iter().map(raw).collect())
}

/// A list of this name with these plugins.
pub(crate) fn list(name: &str, plugins: &[&str]) -> String {
    let plugins: Vec<String> = plugins
        .iter()
        .map(
            |kind| {
                if *kind == "osm-cni" { OURS.into() } else { format!(r#"{{"type": "{kind}"}}"#) }
            },
        )
        .collect();
    let plugins = plugins.join(", ");
    format!(r#"{{"cniVersion": "1.0.0", "name": "{name}", "plugins": [{plugins}]}}"#)
}

pub(crate) fn own() -> OwnList {
    OwnList { name: FileName::from(CONF_NAME), written: None }
}

fn primary(files: &[(&str, &str)]) -> Result<String, Obstacle> {
    of(files).primary(&own()).map(|(file, _)| file.name.to_string())
}

#[test]
fn the_first_name_by_bytes_is_the_primary_whatever_it_holds() {
    let (a, b) = (list("a", &["bridge"]), list("b", &["ptp"]));
    assert_eq!(
        primary(&[("20-b.conflist", &b), ("10-a.conflist", &a)]).expect("a"),
        "10-a.conflist"
    );
    assert_eq!(primary(&[("a.conflist", &a), ("B.conflist", &b)]).expect("b"), "B.conflist");
    let broken = [
        "",
        "{",
        r#"{"cniVersion": "0.2.0", "name": "x", "type": "bridge"}"#,
        r#"{"name": "x", "type": "bridge"}"#,
        r#"{"cniVersion": "1.0.0", "name": "x", "type": "loopback"}"#,
        r#"{"cniVersion": "1.0.0", "type": "bridge"}"#,
    ];
    for text in broken {
        let obstacle = primary(&[("05-x.conf", text), ("10-a.conflist", &a)]).expect_err(text);
        assert!(obstacle.to_string().starts_with("05-x.conf: "), "{text}: {obstacle}");
    }
}

#[test]
fn our_own_list_is_never_the_primary() {
    let (a, copy) = (list("a", &["bridge"]), list("a", &["bridge", "osm-cni"]));
    for name in [CONF_NAME, "01-old-name.conflist"] {
        let files = with_mark(&[(name, &copy), ("10-a.conflist", &a)], "01-old-name.conflist");
        assert_eq!(files.primary(&own()).expect("a").0.name.to_string(), "10-a.conflist");
    }
    assert_eq!(primary(&[(CONF_NAME, "{"), ("10-a.conflist", &a)]).expect("a"), "10-a.conflist");
    let none = primary(&[(CONF_NAME, &copy)]).expect_err("no primary");
    assert_eq!(none, Obstacle::NoPrimary { stale: Some(CONF_NAME.into()) });
    assert_eq!(primary(&[]).expect_err("nothing"), Obstacle::NoPrimary { stale: None });
}

#[test]
fn a_list_under_our_name_without_our_entry_is_an_agents() {
    let (a, b) = (list("a", &["bridge"]), list("b", &["ptp"]));
    let files = of(&[(CONF_NAME, &b), ("10-a.conflist", &a)]);
    assert_eq!(files.primary(&own()).expect("b").0.name.to_string(), CONF_NAME);
    // This process wrote it, and somebody took the entry out.
    let written = Network::parse(Kind::List, &list("b", &["ptp", "osm-cni"])).ok();
    let own = OwnList { written, ..own() };
    assert_eq!(files.primary(&own).expect("a").0.name.to_string(), "10-a.conflist");
}

#[test]
fn an_inserted_entry_leaves_the_file_its_agents() {
    let with = list("a", &["bridge", "osm-cni"]);
    let a = list("a", &["bridge"]);
    let files = of(&[("10-a.conflist", &with), ("10-a.conflist.osm-cni-orig", &a)]);
    let named = OwnList { name: "10-a.conflist".into(), written: None };
    for own in [own(), named] {
        let (file, _) = files.primary(&own).expect("a");
        assert_eq!(files.is_ours(file, &own), Some(Ours::Inserted));
    }
}

#[test]
fn an_agents_list_is_its_agents_whatever_lies_beside_it() {
    let with = list("a", &["bridge", "osm-cni"]);
    let a = list("a", &["bridge"]);
    for twin in [&a, &with] {
        for name in ["05-twin.conflist", "20-twin.conflist"] {
            let files = of(&[("10-a.conflist", &with), (name, twin)]);
            let file = files.get(&"10-a.conflist".into()).expect("the list");
            assert_eq!(files.is_ours(file, &own()), Some(Ours::Inserted), "{name}");
        }
    }
}

#[test]
fn a_list_with_the_default_name_is_ours_also_under_another_conf_name() {
    let (a, copy) = (list("a", &["bridge"]), list("a", &["bridge", "osm-cni"]));
    let named = OwnList { name: "05-x.conflist".into(), written: None };
    for (name, primary) in [
        (CONF_NAME, "10-a.conflist"),
        ("05-x.conflist", "10-a.conflist"),
        ("06-y.conflist", "06-y.conflist"),
    ] {
        let files = of(&[(name, &copy), ("10-a.conflist", &a)]);
        let found = files.primary(&named).expect("a primary").0.name.to_string();
        assert_eq!(found, primary, "{name}");
    }
}

#[test]
fn bytes_that_are_no_text_are_read_as_runtimes_do() {
    let network = |bytes: &[u8]| {
        let content = Content { bytes: bytes.to_owned(), mode: 0o644, mark: None };
        let name = FileName::from("10-a.conf");
        let files = Snapshot::new(vec![RawFile { name, content: Ok(content), folder: Vec::new() }]);
        let broken = files.files()[0].network.as_ref().expect_err("not usable").clone();
        (broken.to_string(), broken.runtimes, broken.is_json)
    };
    // Go replaces such bytes, and a runtime uses the network.
    let in_a_string = b"{\"cniVersion\": \"1.0.0\", \"name\": \"\xff\", \"type\": \"bridge\"}";
    assert_eq!(network(in_a_string), ("is not UTF-8".to_owned(), Runtimes::Take, true));
    let neither = ("is neither UTF-8 nor JSON".to_owned(), Runtimes::Refuse, false);
    assert_eq!(network(b"{\"name\": \xff}"), neither);
}
