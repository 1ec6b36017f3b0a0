//! Nothing of the library is `pub` that no other crate uses, so that the compiler
//! finds dead code.

use std::collections::BTreeSet;
use std::path::Path;

use regex::Regex;

use super::root;

/// The text of all Rust files below a directory, or of one file.
fn text_of(path: &Path) -> String {
    if path.is_file() {
        return std::fs::read_to_string(path).expect("readable");
    }
    let entries = std::fs::read_dir(path).expect("a directory");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let is_rust = |path: &std::path::PathBuf| {
        path.extension().is_some_and(|ending| ending == "rs")
            || path.is_dir() && !path.ends_with("target")
    };
    paths.filter(is_rust).map(|path| text_of(&path)).collect()
}

/// Types are left out: one that a public function returns need not be named.
#[test]
fn what_is_public_has_a_user_in_another_crate() {
    let users = ["src/main.rs", "tests", "benches", "demo", "fuzz/fuzz_targets"];
    let users: String = users.iter().map(|path| text_of(&root().join(path))).collect();
    let word = Regex::new(r"\w+").expect("a pattern");
    let used: BTreeSet<&str> = word.find_iter(&users).map(|found| found.as_str()).collect();
    let item = r"(?m)^\s*pub (?:(?:const )?fn|const|static|mod) (\w+)|^\s*pub (\w+):";
    let item = Regex::new(item).expect("a pattern");
    let library = text_of(&root().join("src"));
    let names = item.captures_iter(&library);
    let names = names.filter_map(|found| found.get(1).or(found.get(2)));
    let names: Vec<&str> = names.map(|name| name.as_str()).collect();
    assert!(names.len() > 80, "the items are found");
    let unused: Vec<_> = names.into_iter().filter(|name| !used.contains(name)).collect();
    assert_eq!(unused, [""; 0], "pub(crate) is enough for these");
}
