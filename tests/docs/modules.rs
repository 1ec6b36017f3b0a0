//! No modules of the library import each other in a circle.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use regex::Regex;

use super::root;

/// The code of a module's files: no comments, and no tests.
fn code_of(path: &Path) -> String {
    if path.is_dir() {
        let entries = std::fs::read_dir(path).expect("a directory");
        return entries.map(|entry| code_of(&entry.expect("an entry").path())).collect();
    }
    let name = path.file_stem().and_then(|name| name.to_str()).expect("UTF-8");
    let is_test = ["tests", "properties", "sample"].contains(&name)
        || path.components().any(|part| part.as_os_str() == "tests");
    if is_test {
        return String::new();
    }
    let text = std::fs::read_to_string(path).expect("readable");
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.map(|line| format!("{line}\n")).collect()
}

#[test]
fn no_modules_import_each_other_in_a_circle() {
    let src = root().join("src");
    let library = std::fs::read_to_string(src.join("lib.rs")).expect("readable");
    let module = Regex::new(r"(?m)^(?:pub )?mod (\w+);").expect("a pattern");
    let names: BTreeSet<String> =
        module.captures_iter(&library).map(|found| found[1].to_owned()).collect();
    assert!(names.len() > 15, "the modules are found");
    let import = Regex::new(r"crate::(\w+)").expect("a pattern");
    let mut imports: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for name in &names {
        let file = src.join(format!("{name}.rs"));
        let paths = [file, src.join(name)].into_iter().filter(|path| path.exists());
        let code: String = paths.map(|path| code_of(&path)).collect();
        let found = import.captures_iter(&code).map(|found| found[1].to_owned());
        let others = found.filter(|other| other != name && names.contains(other));
        imports.insert(name.clone(), others.collect());
    }
    // What imports nothing that is left is in no circle.
    while let Some(leaf) = imports.iter().find(|(_, of)| of.is_empty()).map(|it| it.0.clone()) {
        imports.remove(&leaf);
        imports.values_mut().for_each(|of| of.retain(|other| *other != leaf));
    }
    assert!(imports.is_empty(), "a circle, and what imports it: {imports:?}");
}
