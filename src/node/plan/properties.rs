//! Laws of any directory: agents' files survive, twice is once, and the way
//! back is complete.

use proptest::prelude::*;

use super::super::name::CONF_NAME;
use super::super::snapshot::tests::{list, of, own};
use super::super::withdraw;
use super::tests::{after, borrowed, entry};
use super::*;

const NAMES: [&str; 10] = [
    CONF_NAME,
    "05-a.conflist",
    "05-a.conf",
    "05-a.json",
    "05-a.conf.osm-cni-orig",
    "05-a.conflist.osm-cni-orig",
    "10-b.conf",
    "10-b.conflist",
    "00-osm-cni.conflist.cilium_bak",
    "readme.txt",
];

/// Contents of agents' files and of ours.
fn contents() -> Vec<String> {
    let single = r#"{"cniVersion": "0.4.0", "name": "NAME", "type": "bridge"}"#;
    let multus = r#"{"cniVersion": "0.4.0", "name": "m", "type": "multus", "clusterNetwork": "b"}"#;
    vec![
        list("a", &["bridge"]),
        list("b", &["ptp", "portmap"]),
        list("a", &["bridge", "osm-cni"]),
        list("a", &["osm-cni"]),
        list("m", &["multus"]),
        single.replace("NAME", "a"),
        single.replace("NAME", "b"),
        single.replace("0.4.0", "0.2.0"),
        multus.to_owned(),
        "{".to_owned(),
        String::new(),
        "{}".to_owned(),
    ]
}

/// Files of different names.
fn directory() -> impl Strategy<Value = Vec<(String, String)>> {
    let file = (prop::sample::select(&NAMES[..]), prop::sample::select(contents()));
    prop::collection::vec(file, 0..6).prop_map(|files| {
        let files: std::collections::BTreeMap<_, _> = files.into_iter().collect();
        files.into_iter().map(|(name, text)| (name.to_owned(), text)).collect()
    })
}

/// The names of the files that hold an agent's plugins, with our entry or
/// without: those that are not under a name of ours, where no original is kept
/// of which this program may have made them.
fn agents_names<'f>(files: &'f [(&str, &str)]) -> Vec<&'f str> {
    if files.iter().any(|(name, _)| name.ends_with("osm-cni-orig")) {
        return Vec::new();
    }
    let is_agents = |(name, text): &&(&str, &str)| {
        let has_plugin = ["bridge", "ptp", "multus"].iter().any(|plugin| text.contains(plugin));
        has_plugin && !name.contains("osm-cni") && FileName::from(*name).role().is_some()
    };
    files.iter().filter(is_agents).map(|(name, _)| *name).collect()
}

fn is_ours(text: &str) -> bool {
    text.contains("osm-cni")
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_directory_is_left_alone_or_gets_our_entry_and_gives_it_back(
        files in directory(),
        mode in prop::sample::select(&[Mode::Own, Mode::Insert][..]),
    ) {
        let files = borrowed(&files);
        let snapshot = of(&files);
        let target = Target { mode, own: &own(), entry: &entry() };
        let Ok(plan) = install(&snapshot, &target) else { return Ok(()) };
        let installed = after(&files, &plan.steps);
        let installed = borrowed(&installed);
        let now = of(&installed);
        // What runtimes read first is the list with our entry, at its end.
        let first = now.configurations().next().expect("a list");
        prop_assert_eq!(&first.name, &plan.file);
        let network = first.network.as_ref().expect("a network");
        prop_assert_eq!(network.kinds().filter(|kind| *kind == "osm-cni").count(), 1);
        prop_assert!(network.kinds().next() != Some("osm-cni"));
        prop_assert_eq!(&install(&now, &target).expect("a plan").steps, &[]);
        // An agent's text is where it was, or is kept beside what it became.
        let is_kept = |text: &str| installed.iter().any(|(_, kept)| *kept == text);
        for (name, text) in &files {
            let is_agents = !is_ours(text) && FileName::from(*name).role().is_some();
            let is_broken_own = *name == CONF_NAME && (*text == "{" || text.is_empty());
            let is_old = name.ends_with("osm-cni-orig");
            if is_agents && !is_broken_own && !is_old {
                prop_assert!(is_kept(text), "{name} is lost: {installed:?}");
            }
        }
        for name in agents_names(&files) {
            let is_there = |there: &str| installed.iter().any(|(name, _)| *name == there);
            let original = FileName::from(name).original().to_string();
            prop_assert!(is_there(name) || is_there(&original), "{name} is lost: {installed:?}");
        }
        // Where nothing of ours was before, uninstall brings everything back.
        let had_ours = files.iter().any(|(name, text)| is_ours(text) || name.contains("osm-cni"));
        if !had_ours {
            let back = after(&installed, &withdraw::all(&now, &own()));
            prop_assert_eq!(borrowed(&back), files);
        }
    }

    #[test]
    fn uninstall_leaves_nothing_of_ours_and_all_that_is_agents(files in directory()) {
        let files = borrowed(&files);
        let left = after(&files, &withdraw::all(&of(&files), &own()));
        let now = of(&borrowed(&left));
        let networks = now.configurations().filter_map(|file| file.network.as_ref().ok());
        prop_assert!(networks.into_iter().all(|network| !network.has_ours()), "{left:?}");
        for name in agents_names(&files) {
            prop_assert!(left.iter().any(|(there, _)| there == name), "{name} is lost: {left:?}");
        }
        for (name, text) in &files {
            let is_broken_own = name.starts_with(CONF_NAME) && (*text == "{" || text.is_empty());
            if !is_ours(text) && !name.contains("osm-cni-orig") && !is_broken_own {
                let is_there = left.iter().any(|(there, kept)| there == name && kept == text);
                prop_assert!(is_there, "{name} is lost: {left:?}");
            }
        }
    }
}
