use serde_json::json;

use super::*;

fn list(plugins: &str) -> String {
    format!(r#"{{"cniVersion": "1.0.0", "name": "n", "plugins": [{plugins}]}}"#)
}

fn entry() -> Map<String, Value> {
    json!({"type": PLUGIN_TYPE, "x": 1}).as_object().cloned().expect("an object")
}

#[test]
fn what_go_refuses_is_refused_and_what_it_takes_is_said() {
    use Runtimes::{Depends, Nameless, Refuse, Take};
    let table = [
        (Kind::List, "", Refuse),
        (Kind::List, "[]", Refuse),
        (Kind::List, r#"{"plugins": [{"type": "a"}]}"#, Refuse),
        (Kind::List, r#"{"name": 1, "plugins": [{"type": "a"}]}"#, Refuse),
        (Kind::List, r#"{"name": "", "plugins": [{"type": "a"}]}"#, Depends),
        (Kind::List, r#"{"name": "n"}"#, Refuse),
        (Kind::List, r#"{"name": "n", "plugins": []}"#, Refuse),
        (Kind::List, r#"{"name": "n", "plugins": [{}]}"#, Refuse),
        (Kind::List, r#"{"name": "n", "plugins": [{"type": 1}]}"#, Refuse),
        (Kind::List, r#"{"name": "n", "plugins": [{"type": "a", "x": 1e999}]}"#, Refuse),
        (Kind::List, r#"{"name": "n", "plugins": [{"type": "a", "ipam": 5}]}"#, Refuse),
        (Kind::List, r#"{"name": "n", "cniVersion": 1, "plugins": [{"type": "a"}]}"#, Refuse),
        (Kind::List, r#"{"name": "n", "cniVersion": "x", "plugins": [{"type": "a"}]}"#, Take),
        (Kind::List, r#"{"name": "n", "cniVersion": null, "plugins": [{"type": "a"}]}"#, Refuse),
        (Kind::List, r#"{"name": "n", "cniVersions": null, "plugins": [{"type": "a"}]}"#, Depends),
        (Kind::List, r#"{"name": "n", "disableCheck": 1, "plugins": [{"type": "a"}]}"#, Refuse),
        (
            Kind::List,
            r#"{"name": "n", "disableCheck": "true", "plugins": [{"type": "a"}]}"#,
            Depends,
        ),
        (Kind::List, r#"{"name": "n", "disableGC": "no", "plugins": [{"type": "a"}]}"#, Depends),
        (Kind::Single, r#"{"type": "a"}"#, Nameless),
        (Kind::Single, r#"{"name": "n", "plugins": [{"type": "a"}]}"#, Refuse),
    ];
    for (kind, text, runtimes) in table {
        let broken = Network::parse(kind, text).expect_err(text);
        assert_eq!(broken.runtimes, runtimes, "{text}: {broken}");
    }
}

#[test]
fn the_last_of_two_equal_keys_counts() {
    let text = r#"{"name": "a", "name": "b", "plugins": [{"type": "x"}], "cniVersion": "1.0.0",
        "plugins": [{"type": "y"}]}"#;
    let network = Network::parse(Kind::List, text).expect("a network");
    assert_eq!((network.name(), network.kinds().collect::<Vec<_>>()), ("b", vec!["y"]));
    let with = Network::parse(Kind::List, &network.with_entry(&entry())).expect("a network");
    assert_eq!(with.kinds().collect::<Vec<_>>(), ["y", PLUGIN_TYPE]);
}

#[test]
fn the_version_is_the_highest_that_is_known() {
    let table = [
        (r#""cniVersion": "0.4.0""#, "0.4.0"),
        (r#""cniVersions": ["0.4.0", "1.0.0"]"#, "1.0.0"),
        (r#""cniVersion": "0.3.1", "cniVersions": ["1.1.0", "2.0.0"]"#, "1.1.0"),
        (r#""cniVersions": ["2.0.0"]"#, "0.1.0"),
        (r#""cniVersions": ["", "0.3.1"]"#, "0.3.1"),
        (r#""cniVersion": "1.7.0", "cniVersions": ["1.0.0"]"#, "1.0.0"),
        (r#""cniVersion": "1.7.0""#, "1.7.0"),
        (r#""cniVersion": """#, "0.1.0"),
        (r#""x": 1"#, "0.1.0"),
    ];
    for (version, read) in table {
        let text = format!(r#"{{{version}, "name": "n", "plugins": [{{"type": "a"}}]}}"#);
        let network = Network::parse(Kind::List, &text).expect("a network");
        assert_eq!(network.version().to_string(), read, "{version}");
    }
}

/// With CNI 1.1 the version is the same as in the primary's list; before, where only
/// `cniVersion` counts, it is one that the plugin answers.
#[test]
fn our_own_list_has_a_version_for_every_runtime() {
    let table = [
        (r#""cniVersions": ["0.4.0", "1.0.0"]"#, "1.0.0"),
        (r#""cniVersions": ["0.4.0", "1.1.0"]"#, "0.4.0"),
        (r#""cniVersions": ["1.1.0"]"#, "1.0.0"),
        (r#""cniVersion": "", "cniVersions": ["0.3.1"]"#, "0.3.1"),
        (r#""cniVersion": "0.2.0", "cniVersions": ["1.0.0"]"#, "1.0.0"),
        (r#""cniVersion": "1.7.0", "cniVersions": ["1.0.0"]"#, "1.0.0"),
        (r#""cniVersion": "0.4.0", "cniVersions": ["1.0.0"]"#, "0.4.0"),
        (r#""cniVersion": "1.1.0""#, "1.1.0"),
    ];
    for (versions, expected) in table {
        for text in [
            format!(r#"{{{versions}, "name": "n", "plugins": [{{"type": "a"}}]}}"#),
            format!(
                "{{\n  \"name\": \"n\",\n  \"plugins\": [{{\"type\": \"a\"}}],\n  {versions}\n}}\n"
            ),
        ] {
            let primary = Network::parse(Kind::List, &text).expect("a network");
            let own = primary.own_list(&entry());
            let own = Network::parse(Kind::List, &own).expect("a network");
            assert!(own.holds(&entry()) && own.is_supported_before_1_1(), "{}", own.text());
            assert_eq!(own.version(), primary.version(), "{}", own.text());
            assert_eq!(own.versions.before_1_1.to_string(), expected, "{}", own.text());
            let keys = own.text().matches(r#""cniVersion":"#).count();
            assert_eq!(keys, 1, "{}", own.text());
            assert_eq!(own.own_list(&entry()), own.text());
        }
    }
}

#[test]
fn plugins_of_the_folder_stand_in_for_missing_ones() {
    let text = r#"{"cniVersion": "1.1.0", "name": "n"}"#;
    assert_eq!(folder_of(text), Some("n".to_owned()));
    assert_eq!(folder_of(&list(r#"{"type": "a"}"#)), Some("n".to_owned()));
    assert_eq!(folder_of(r#"{"name": "n", "loadOnlyInlinedPlugins": true}"#), None);
    assert_eq!(folder_of(r#"{"name": "../n"}"#), None);
    let folder = [r#"{"type": "a"}"#.to_owned(), r#"{"type": "b"}"#.to_owned()];
    let network = Network::of_list(text.to_owned(), &folder).expect("a network");
    assert!(network.is_in_folder());
    assert_eq!(network.kinds().collect::<Vec<_>>(), ["a", "b"]);
    let with: Value = serde_json::from_str(&network.with_entry(&entry())).expect("JSON");
    assert_eq!(with["loadOnlyInlinedPlugins"], true);
    assert_eq!(with["plugins"][2]["type"], PLUGIN_TYPE);
    let both = Network::of_list(list(r#"{"type": "c"}"#), &folder).expect("a network");
    assert_eq!(both.kinds().collect::<Vec<_>>(), ["c"]);
    assert_eq!(both.kinds_beside().collect::<Vec<_>>(), ["a", "b"]);
    assert!(!both.is_broken_beside());
    let broken = Network::of_list(list(r#"{"type": "c"}"#), &["{".to_owned()]);
    assert!(broken.expect("a network").is_broken_beside());
    let no = r#"{"name": "n", "loadOnlyInlinedPlugins": true}"#;
    Network::of_list(no.to_owned(), &folder).expect_err("only inline plugins");
}

#[test]
fn an_entry_goes_in_and_out_without_a_trace() {
    for text in [
        list(r#"{"type": "a"}"#),
        list(r#"{"type": "a"}, {"type": "b"}"#),
        "{\n\t\"cniVersion\": \"1.0.0\",\n\t\"name\": \"n\",\n\t\"plugins\": [\n\t\t{\"type\": \"a\"}\n\t]\n}\n".to_owned(),
    ] {
        let network = Network::parse(Kind::List, &text).expect("a network");
        let with = Network::parse(Kind::List, &network.with_entry(&entry())).expect("a network");
        assert!(with.holds(&entry()) && with.same_but_ours(&network));
        assert_eq!(with.without_ours(), text);
    }
}

#[test]
fn lists_that_differ_are_never_the_same() {
    let odd = |value: &str| list(&format!(r#"{{"type": "a", "x": {value}}}"#));
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let values = [r#""\ud800""#.to_owned(), r#""\ud801""#.to_owned(), deep(200), deep(300)];
    let read = |text: &str| Network::parse(Kind::List, &odd(text)).expect("a network");
    for (number, a) in values.iter().enumerate() {
        for (other, b) in values.iter().enumerate() {
            assert_eq!(read(a).same_but_ours(&read(b)), number == other, "{a} {b}");
        }
    }
    assert!(read("1").same_but_ours(&read("\n 1 ")));
    assert!(!read(r#"" ""#).same_but_ours(&read(r#""""#)));
}

#[test]
fn ours_is_never_alone() {
    let alone = Network::parse(Kind::List, &list(r#"{"type": "osm-cni"}"#)).expect("a network");
    assert!(alone.is_ours_alone() && alone.is_loopback_only());
    assert_eq!(alone.with_entry(&entry()), alone.text());
}
