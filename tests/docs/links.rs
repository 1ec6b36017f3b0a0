//! Links: those within the repository lead to a file, and to a heading of it.

use std::path::{Component, Path, PathBuf};

use super::{Page, pages, root};

/// The targets of a page's links.
fn targets(page: &Page) -> Vec<String> {
    let prose = page.prose().join("\n");
    let after = prose.split("](").skip(1);
    after.filter_map(|rest| rest.split_once(')')).map(|(target, _)| target.to_owned()).collect()
}

/// Where a path ends, without looking at the disk.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(normal.pop()),
            Component::CurDir => {}
            other => normal.push(other),
        }
    }
    normal
}

/// Why a link leads nowhere.
fn broken(page: &Page, target: &str) -> Option<String> {
    if target.contains("://") {
        return None;
    }
    let (path, heading) = target.split_once('#').unwrap_or((target, ""));
    let beside = page.path.parent().expect("a directory");
    let path = if path.is_empty() { page.path.clone() } else { normal(&beside.join(path)) };
    if !root().join(&path).exists() {
        return Some(format!("{}: no file {}", page.path.display(), path.display()));
    }
    let found = heading.is_empty() || Page::read(&path).anchors().iter().any(|it| it == heading);
    (!found)
        .then(|| format!("{}: no heading #{heading} in {}", page.path.display(), path.display()))
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let mut count = 0;
    let mut wrong = Vec::new();
    for page in pages() {
        let targets = targets(&page);
        count += targets.len();
        wrong.extend(targets.iter().filter_map(|target| broken(&page, target)));
    }
    assert!(count > 50, "links are found: {count}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_page_of_docs_is_linked_from_the_readme() {
    let readme = targets(&Page::read("README.md"));
    for page in pages().iter().filter(|page| page.path.starts_with("docs")) {
        let path = page.path.to_str().expect("UTF-8");
        assert!(readme.iter().any(|target| target == path), "{path} is in no link of README.md");
    }
}

#[test]
fn a_link_to_nothing_is_found() {
    let page = |text: &str| Page { path: "docs/x.md".into(), text: text.to_owned() };
    for wrong in ["[a](nothing.md)", "[a](../README.md#nothing)", "[a](#nothing)"] {
        let page = page(wrong);
        assert!(broken(&page, &targets(&page)[0]).is_some(), "{wrong}");
    }
    let page = page("[a](../README.md#install)");
    assert_eq!(broken(&page, &targets(&page)[0]), None);
}
