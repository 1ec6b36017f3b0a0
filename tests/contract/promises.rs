//! What the documents say of this repository: SECURITY.md names tests for each
//! of its promises, docs/dependencies.md a reason for each dependency.

use std::collections::BTreeSet;
use std::path::Path;

/// The lines of a section.
fn section<'t>(text: &'t str, heading: &'t str) -> impl Iterator<Item = &'t str> {
    let lines = text.lines().skip_while(move |line| *line != heading).skip(1);
    lines.take_while(|line| !line.starts_with("## "))
}

/// What stands in `code` in a line.
fn code(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

#[test]
fn each_promise_has_tests_and_they_exist() {
    let text = std::fs::read_to_string("SECURITY.md").expect("SECURITY.md");
    let number = |line: &str| line.split('.').next().and_then(|first| first.parse::<u32>().ok());
    let promised: BTreeSet<_> = section(&text, "## What is promised").filter_map(number).collect();
    assert!(promised.len() > 5, "{promised:?}");

    let mut tested = BTreeSet::new();
    for row in section(&text, "## How it is tested").filter(|line| line.starts_with("| ")) {
        let Some(promise) = row.split('|').nth(1).and_then(|cell| cell.trim().parse().ok()) else {
            continue;
        };
        for test in code(row) {
            let (module, name) = test.rsplit_once("::").expect("a module and a name");
            let file = format!("{}.rs", module.replace("::", "/"));
            let read = |directory| std::fs::read_to_string(Path::new(directory).join(&file)).ok();
            let source = ["tests", "src"].into_iter().find_map(read).expect(&file);
            assert!(source.contains(&format!("fn {name}(")), "{file} has no test {name}");
            tested.insert(promise);
        }
    }
    assert_eq!(tested, promised, "promises with tests, and all of them");
}

#[test]
fn each_dependency_has_its_reason() {
    let table = std::fs::read_to_string("docs/dependencies.md").expect("the table");
    let rows = table.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" | "));
    let given: BTreeSet<_> = rows.flat_map(|(crates, _)| crates.split(", ")).collect();
    let mut used = BTreeSet::from(["crate".to_owned()]);
    for manifest in ["Cargo.toml", "benches/Cargo.toml", "demo/Cargo.toml", "fuzz/Cargo.toml"] {
        let text = std::fs::read_to_string(manifest).expect(manifest);
        let mut listed = false;
        for line in text.lines() {
            if line.starts_with('[') {
                listed = line.ends_with("dependencies]");
            } else if let (true, Some((name, _))) = (listed, line.split_once(" = ")) {
                assert!(
                    name == "osm-cni" || given.contains(name),
                    "{manifest}: {name} is not in docs/dependencies.md"
                );
                used.insert(name.to_owned());
            }
        }
    }
    let unused: Vec<_> = given.iter().filter(|name| !used.contains(**name)).collect();
    assert_eq!(unused, [&""; 0], "docs/dependencies.md has rows of crates that nothing uses");
}
