//! The workflows run what they name: actions by their commit, tools by their
//! version.

use std::collections::BTreeMap;

use super::read;

const WORKFLOWS: [&str; 2] = [".github/workflows/ci.yml", ".github/workflows/release.yml"];

#[test]
fn every_action_is_named_by_its_commit_and_version() {
    let mut commits = BTreeMap::new();
    for file in WORKFLOWS {
        for line in read(file).lines() {
            let Some((_, uses)) = line.split_once("uses: ") else { continue };
            let (action, rest) = uses.split_once('@').expect("an action at a commit");
            let (commit, version) = rest.split_once(" # v").unwrap_or((rest, ""));
            let is_commit =
                commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
            assert!(is_commit, "{file}: {uses}: not a commit");
            assert_eq!(version.split('.').count(), 3, "{file}: {uses}: without its version");
            let known = commits.entry(action.to_owned()).or_insert_with(|| rest.to_owned());
            assert_eq!(known, rest, "{file}: {action} in two versions");
        }
    }
    assert!(commits.len() > 3, "actions are found: {commits:?}");
}

#[test]
fn every_tool_that_is_installed_has_a_version() {
    let mut count = 0;
    for file in WORKFLOWS.into_iter().chain(["Makefile", "scripts/go-tool.sh"]) {
        let text = read(file).replace("\\\n", " ");
        for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
            let is_fixed = match line {
                line if line.contains("cargo install") => line.contains("--version "),
                line if line.contains("go install") => {
                    line.contains("@v") || line.contains("@$version")
                }
                _ => continue,
            };
            count += 1;
            assert!(is_fixed, "{file}: {line}");
        }
    }
    assert!(count > 2, "tools are found: {count}");
}

#[test]
fn what_the_workflows_make_is_in_the_makefile() {
    let makefile = read("Makefile");
    for file in WORKFLOWS {
        for line in read(file).lines() {
            let command = line.split_once("#").map_or(line, |(command, _)| command);
            let Some((_, rest)) = command.split_once("make ") else { continue };
            let Some(target) = rest.split_whitespace().next() else { continue };
            assert!(makefile.contains(&format!("\n{target}:")), "{file}: make {target}");
        }
    }
}
