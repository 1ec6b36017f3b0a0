//! Every command in a block of the documentation is run by a test, or its block
//! says that it is not. What stands behind the opening fence says which:
//!
//! - `console`: commands behind `$`, and what they print. [`super::quoted`] runs them.
//! - `sh node`: commands for a node. [`super::quoted`] runs them.
//! - `sh cluster`: commands that need a cluster. They are not run here;
//!   `packaging::commands` renders what helm and kustomize would apply.
//! - `sh checkout`: commands for a clone of the repository. A workflow runs them, or
//!   [`BY_HAND`] says why none does.

use super::{Block, pages, root};

/// Programs with which a command begins.
const PROGRAMS: [&str; 14] = [
    "cargo", "cat", "curl", "docker", "git", "helm", "kind", "kubectl", "make", "modprobe",
    "osm-cni", "podman", "sh", "sudo",
];

/// Programs of commands that need a cluster, or a registry.
const OF_A_CLUSTER: [&str; 5] = ["docker", "helm", "kind", "kubectl", "scripts/manifests.sh"];

/// Commands for a clone of the repository that no workflow runs, and why.
const BY_HAND: [(&str, &str); 7] = [
    ("cargo test --lib", "a part of make test"),
    ("make help", "prints a list"),
    ("make cluster", "leaves a cluster; make test-cluster makes the same one"),
    ("make cluster-down", "removes that cluster"),
    ("make test-conformance", "takes half an hour or more"),
    ("tests/cluster/cluster.sh", "make test-cluster calls it"),
    ("cat target/", "prints a report"),
];

/// What is wrong with the commands of a block.
fn problems(block: &Block, workflows: &str) -> Vec<String> {
    let lines = block.lines.join("\n").replace("\\\n", " ");
    let words: Vec<_> = block.info.split(' ').collect();
    let commands = lines.lines().map(str::trim).filter(|line| !line.is_empty());
    let wrong = |line: &str| match words[..] {
        ["console"] => {
            let command = line.strip_prefix("$ ");
            command.is_some_and(|command| !command.starts_with("osm-cni "))
        }
        ["sh", "node"] => !program(line).ends_with("osm-cni"),
        ["sh", "cluster"] => !OF_A_CLUSTER.contains(&program(line)),
        ["sh", "checkout"] => !is_run(line, workflows) && !is_by_hand(line),
        // The first words of these are keys.
        ["json" | "yaml" | "mermaid"] => false,
        ["" | "text"] => is_command(line),
        _ => true,
    };
    let found = commands.filter(|line| wrong(line));
    found.map(|line| format!("{:?}: {line}", block.info)).collect()
}

/// A command without the variables in front of it.
fn bare(line: &str) -> &str {
    let first = line.split_whitespace().next().unwrap_or_default();
    let Some((_, value)) = first.split_once('=') else { return line };
    let end = match value.strip_prefix('\'') {
        Some(_) => line.splitn(3, '\'').nth(2),
        None => line.split_once(' ').map(|(_, rest)| rest),
    };
    bare(end.unwrap_or_default().trim_start())
}

/// The program of a command.
fn program(line: &str) -> &str {
    bare(line).split_whitespace().next().unwrap_or_default()
}

fn is_command(line: &str) -> bool {
    let line = line.strip_prefix("$ ").unwrap_or(line);
    let program = program(line);
    let file = ["./", "scripts/", "tests/", "target/", "/opt/cni/bin/"];
    PROGRAMS.contains(&program) || file.iter().any(|start| program.starts_with(start))
}

fn is_run(line: &str, workflows: &str) -> bool {
    let command = line.split(" #").next().unwrap_or(line).trim();
    workflows.lines().any(|run| run.trim_start_matches([' ', '-']) == format!("run: {command}"))
}

fn is_by_hand(line: &str) -> bool {
    BY_HAND.iter().any(|(command, _)| bare(line).starts_with(command))
}

fn workflows() -> String {
    std::fs::read_to_string(root().join(".github/workflows/ci.yml")).expect("the workflow")
}

#[test]
fn every_command_is_run_or_marked() {
    let workflows = workflows();
    let mut wrong = Vec::new();
    let mut count = 0;
    for page in pages() {
        for block in page.blocks() {
            count += 1;
            let found = problems(&block, &workflows);
            wrong.extend(found.iter().map(|it| format!("{}: {it}", page.path.display())));
        }
    }
    assert!(count > 40, "blocks are found: {count}");
    let wrong = wrong.join("\n");
    assert!(wrong.is_empty(), "neither run by a test nor marked as not run here:\n{wrong}");
}

#[test]
fn a_command_that_is_neither_is_found() {
    let problems = |info: &str, line: &str| {
        let lines = line.split('\n').map(str::to_owned).collect();
        problems(&Block { info: info.to_owned(), lines }, "  - run: make demo\n").len()
    };
    for (info, line) in [
        ("", "kubectl get pods"),
        ("text", "$ osm-cni audit"),
        ("", "  FOCUS='x y' make test"),
        ("sh", "make demo"),
        ("bash", "make demo"),
        ("sh node", "kubectl get pods"),
        ("sh node", "make demo"),
        ("sh cluster", "osm-cni audit"),
        ("sh checkout", "make nothing"),
        ("sh checkout", "echo make help"),
        ("console", "$ kubectl get pods"),
    ] {
        assert_eq!(problems(info, line), 1, "{info}: {line}");
    }
    for (info, line) in [
        ("", "FROM TO"),
        ("sh checkout", "make demo  # as root"),
        ("sh checkout", "FOCUS='x y' make test-conformance"),
        ("sh cluster", "kubectl get \\\n  pods"),
        ("sh node", "/opt/cni/bin/osm-cni audit"),
        ("console", "$ osm-cni audit\nno pod"),
        ("yaml", "kubectl: x"),
    ] {
        assert_eq!(problems(info, line), 0, "{info}: {line}");
    }
}
