//! The documentation: its links lead somewhere, the commands in it exist and
//! print what is quoted, and its tables name everything that the program has.

mod commands;
mod links;
mod marks;
mod modules;
mod quoted;
mod tables;
mod visibility;

use std::path::{Path, PathBuf};

/// A page of the documentation.
pub(crate) struct Page {
    /// Its path from the repository's root.
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

/// A fenced block of a page.
pub(crate) struct Block {
    /// What stands behind its opening fence: `sh`, or `sh cluster`.
    pub(crate) info: String,
    pub(crate) lines: Vec<String>,
}

/// The repository's root.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All pages: the Markdown files of the root and of the directories that have some.
pub(crate) fn pages() -> Vec<Page> {
    let mut pages = Vec::new();
    for directory in ["", "docs", "benches", "tests/cluster", ".github"] {
        let entries = std::fs::read_dir(root().join(directory));
        for entry in entries.unwrap_or_else(|error| panic!("{directory}: {error}")) {
            let name = entry.expect("an entry").file_name();
            let name = name.to_str().expect("UTF-8");
            if name.ends_with(".md") {
                pages.push(Page::read(Path::new(directory).join(name)));
            }
        }
    }
    pages.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(pages.len() > 12, "the pages are found");
    pages
}

impl Page {
    pub(crate) fn read(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let text = std::fs::read_to_string(root().join(&path));
        Page { text: text.unwrap_or_else(|error| panic!("{}: {error}", path.display())), path }
    }

    /// The lines with, for those within a block, the block's number.
    fn numbered(&self) -> impl Iterator<Item = (Option<usize>, &str)> {
        let (mut open, mut number) = (false, 0);
        self.text.lines().map(move |line| {
            let fence = line.trim_start().starts_with("```");
            let inside = open || fence;
            let of = number;
            if fence {
                number += usize::from(open);
                open = !open;
            }
            (inside.then_some(of), line)
        })
    }

    /// The fenced blocks; the indentation of the fence is taken off.
    pub(crate) fn blocks(&self) -> Vec<Block> {
        let mut blocks: Vec<Block> = Vec::new();
        let (mut last, mut indent) = (None, 0);
        for (number, line) in self.numbered() {
            let Some(number) = number else { continue };
            if last != Some(number) {
                last = Some(number);
                indent = line.len() - line.trim_start().len();
                let info = line.trim_start().trim_start_matches('`').trim().to_owned();
                blocks.push(Block { info, lines: Vec::new() });
            } else if !line.trim_start().starts_with("```") {
                let line = line.get(indent..).unwrap_or_default().to_owned();
                blocks.last_mut().expect("a block").lines.push(line);
            }
        }
        blocks
    }

    /// The lines outside of blocks.
    pub(crate) fn prose(&self) -> Vec<&str> {
        self.numbered().filter_map(|(block, line)| block.is_none().then_some(line)).collect()
    }

    /// The text between single backquotes, outside of blocks.
    pub(crate) fn code_spans(&self) -> Vec<String> {
        let prose = self.prose().join("\n");
        prose.split('`').skip(1).step_by(2).map(|span| span.replace('\n', " ")).collect()
    }

    /// The anchors of the headings, as GitHub makes them.
    pub(crate) fn anchors(&self) -> Vec<String> {
        let headings = self.prose().into_iter().filter(|line| line.starts_with('#'));
        headings.map(|line| anchor(line.trim_start_matches('#').trim())).collect()
    }
}

/// Lower case, spaces to hyphens, and nothing but letters, digits, hyphens and
/// underscores.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

/// The repository's files, from its root.
pub(crate) fn exists(path: &str) -> bool {
    root().join(path).exists()
}

#[test]
fn a_page_is_taken_apart_into_prose_and_blocks() {
    let text = "# A `b` c\n\n```sh cluster\nx\n```\n\n1. y\n\n   ```json\n   {\n     1\n   ```\n";
    let page = Page { path: PathBuf::new(), text: text.to_owned() };
    let blocks = page.blocks();
    let of: Vec<_> = blocks.iter().map(|it| (it.info.as_str(), it.lines.join("|"))).collect();
    assert_eq!(of, [("sh cluster", "x".to_owned()), ("json", "{|  1".to_owned())]);
    assert_eq!(page.code_spans(), ["b"]);
    assert_eq!(page.anchors(), ["a-b-c"]);
}
