//! The library's modules: none import each other in a circle, each says which I/O
//! it does, and the map in docs/ARCHITECTURE.md has them all.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use regex::Regex;

use super::{Page, root};

/// A file of the library without its tests.
struct Source {
    /// Its path below `src`.
    path: PathBuf,
    /// The lines that begin with `//!`.
    head: String,
    /// No comments.
    code: String,
}

impl Source {
    /// `None` for a file of tests.
    fn read(path: &Path) -> Option<Self> {
        let name = path.file_stem().and_then(|name| name.to_str()).expect("UTF-8");
        let is_test = ["tests", "properties", "sample"].contains(&name)
            || path.components().any(|part| part.as_os_str() == "tests");
        if is_test {
            return None;
        }
        let text = std::fs::read_to_string(path).expect("readable");
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        let (mut head, mut code) = (String::new(), String::new());
        for line in text.lines() {
            match line.trim_start() {
                line if line.starts_with("//!") => head.push_str(&format!("{line}\n")),
                line if line.starts_with("//") => {}
                line => code.push_str(&format!("{line}\n")),
            }
        }
        let path = path.strip_prefix(root().join("src")).expect("below src").to_owned();
        Some(Source { path, head, code })
    }

    /// All files below a directory of the library.
    fn below(directory: &Path) -> Vec<Self> {
        let entries = std::fs::read_dir(directory).expect("a directory");
        let paths = entries.map(|entry| entry.expect("an entry").path());
        let read = |path: PathBuf| match path.is_dir() {
            true => Source::below(&path),
            false => Source::read(&path).into_iter().collect(),
        };
        paths.flat_map(read).collect()
    }

    /// The module in this directory that the file is of, or is part of.
    fn module(&self, directory: &Path) -> Option<String> {
        let below = self.path.strip_prefix(directory).ok()?;
        let first = below.components().next()?.as_os_str().to_str().expect("UTF-8");
        let name = first.strip_suffix(".rs").unwrap_or(first);
        (!["mod", "lib", "main"].contains(&name)).then(|| name.to_owned())
    }

    /// The words of what it imports or names from this directory's modules.
    fn names_of(&self, directory: &Path) -> Vec<String> {
        let path: String = directory
            .iter()
            .filter_map(|part| part.to_str())
            .fold("crate::".to_owned(), |path, part| format!("{path}{part}::"));
        let depth = self.path.strip_prefix(directory).expect("below").components().count();
        let up = "super::".repeat(depth);
        let start = Regex::new(r"(super::)+|crate::(\w+::)*").expect("a pattern");
        let word = Regex::new(r"^\w+").expect("a pattern");
        let mut names = Vec::new();
        for found in start.find_iter(&self.code) {
            let rest = &self.code[found.end()..];
            let text =
                format!("{}{}", found.as_str(), word.find(rest).map_or("", |it| it.as_str()));
            let Some(below) = text.strip_prefix(&path).or(text.strip_prefix(&up)) else { continue };
            match below.split("::").next().filter(|name| !name.is_empty()) {
                Some(name) => names.push(name.to_owned()),
                None => {
                    let group = rest.strip_prefix('{').and_then(|rest| rest.split_once("};"));
                    let words = group.map_or("", |(group, _)| group).split(|c: char| !is_word(c));
                    names.extend(words.map(str::to_owned));
                }
            }
        }
        names
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Which modules of a directory import which of them.
fn imports(sources: &[Source], directory: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let inside = sources.iter().filter_map(|source| Some((source.module(directory)?, source)));
    let mut imports: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (module, source) in inside {
        imports.entry(module).or_default().extend(source.names_of(directory));
    }
    let modules: BTreeSet<String> = imports.keys().cloned().collect();
    for (module, of) in &mut imports {
        of.retain(|other| other != module && modules.contains(other));
    }
    imports
}

#[test]
fn no_modules_import_each_other_in_a_circle() {
    let sources = Source::below(&root().join("src"));
    let directories: BTreeSet<&Path> =
        sources.iter().filter_map(|source| source.path.parent()).collect();
    assert!(directories.len() > 12, "the directories are found");
    let mut edges = 0;
    for directory in directories {
        let mut imports = imports(&sources, directory);
        edges += imports.values().map(BTreeSet::len).sum::<usize>();
        // What imports nothing that is left is in no circle.
        while let Some(leaf) = imports.iter().find(|(_, of)| of.is_empty()).map(|it| it.0.clone()) {
            imports.remove(&leaf);
            imports.values_mut().for_each(|of| of.retain(|other| *other != leaf));
        }
        let directory = directory.display();
        assert!(imports.is_empty(), "src/{directory}: a circle, and what imports it: {imports:?}");
    }
    assert!(edges > 300, "the imports are found: {edges}");
}

/// What a file names that does I/O.
const IO: &str = r"std::(fs|env|net::Tcp\w+|process|thread)\b|\bfs::\w+\(|\bFile::|Instant::now|SystemTime::now|\brustix::|netlink_sys::|nix::(sys|fcntl|sched|unistd|poll)\b|io::std(in|out|err)\(";

#[test]
fn each_file_says_which_io_it_does_and_a_pure_one_does_none() {
    let io = Regex::new(IO).expect("a pattern");
    let sources = Source::below(&root().join("src"));
    assert!(sources.len() > 130, "the files are found");
    let mut pure = 0;
    for Source { path, head, code } in &sources {
        let path = path.display();
        let is_pure = head.contains("Pure") && !head.contains("I/O");
        assert!(is_pure || head.contains("I/O"), "src/{path} does not say which I/O it does");
        let found = io.find(code).map(|found| found.as_str());
        assert!(!is_pure || found.is_none(), "src/{path} is pure, and has {found:?}");
        pure += usize::from(is_pure);
    }
    assert!(pure > 70, "the pure files are found: {pure}");
}

#[test]
fn the_map_of_the_modules_has_them_all() {
    let page = Page::read("docs/ARCHITECTURE.md");
    let rows: Vec<&str> = page.text.lines().filter(|line| line.starts_with("| `")).collect();
    let sources = Source::below(&root().join("src"));
    let top = imports(&sources, Path::new(""));
    let is_named = |module: &str| {
        let names = [format!("`{module}.rs`"), format!("`{module}/`")];
        rows.iter().any(|row| names.iter().any(|name| row.contains(name)))
    };
    let missing: Vec<_> = top.keys().filter(|module| !is_named(module)).collect();
    assert_eq!(missing, [""; 0]);
    let node = rows.iter().find(|row| row.starts_with("| `node/`")).expect("a row");
    let modules = imports(&sources, Path::new("node"));
    let missing: Vec<_> =
        modules.keys().filter(|module| !node.contains(&format!("`{module}`"))).collect();
    assert_eq!(missing, [""; 0]);
}
