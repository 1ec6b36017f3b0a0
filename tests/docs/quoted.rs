//! The commands of osm-cni in the documentation are run. In a block marked
//! `console`, a line that begins with `$ osm-cni` is a command (a `\` at its end
//! continues it), the lines up to the next `$` are what it prints, and a line of
//! `...` stands for any lines. In a block marked `sh node` each line is a command,
//! which must succeed.

use serde_json::json;

use super::{Page, pages};
use crate::cli::node::{Node, document};
use crate::support::host;

struct Quoted {
    command: String,
    output: Vec<String>,
}

/// The commands of a page, in order.
fn quoted(page: &Page) -> Vec<Quoted> {
    let mut all: Vec<Quoted> = Vec::new();
    for block in page.blocks().into_iter().filter(|block| block.info == "console") {
        for line in block.lines {
            match (line.strip_prefix("$ "), all.last_mut()) {
                (Some(command), _) => {
                    all.push(Quoted { command: command.to_owned(), output: Vec::new() });
                }
                (None, Some(last)) if last.command.ends_with('\\') && last.output.is_empty() => {
                    last.command.pop();
                    last.command.push_str(line.trim_start());
                }
                (None, Some(last)) => last.output.push(line),
                (None, None) => panic!("output before the first command: {line}"),
            }
        }
    }
    all
}

/// Whether lines are as they were quoted.
fn matches(quoted: &[String], real: &[&str]) -> bool {
    match (quoted.split_first(), real.split_first()) {
        (None, None) => true,
        (Some((first, rest)), _) if first == "..." => {
            (0..=real.len()).any(|skipped| matches(rest, &real[skipped..]))
        }
        (Some((first, rest)), Some((line, more))) => first == line && matches(rest, more),
        _ => false,
    }
}

fn mesh_config() -> String {
    let version = "config.openservicemesh.io/v1alpha1";
    json!({"apiVersion": version, "kind": "MeshConfig", "spec": document()}).to_string()
}

#[test]
fn every_page_prints_what_it_quotes() {
    let quoted: Vec<_> = pages().iter().flat_map(quoted).collect();
    assert!(quoted.len() > 8, "the pages have commands");
    let node = Node::new("test", "test-58d4f8ff58-wtz4f");
    node.add(&document(), &json!({"openservicemesh.io/outbound-port-exclusion-list": "8080"}));
    host::write(&node.root().join("home/meshconfig.json"), mesh_config());
    for (times, to) in [(2, "192.0.2.7:6379"), (1, "192.0.2.7:8080"), (3, "192.0.2.7:443")] {
        (0..times).for_each(|_| node.connect(&node.pod, to, 1000));
    }
    for _ in 0..4 {
        node.connect(&node.world, "10.88.0.6:80", 0);
    }
    let mut wrong = Vec::new();
    for Quoted { command, output } in &quoted {
        let words: Vec<_> = command.split_whitespace().collect();
        let run = node.run(&words);
        let printed = format!("{}{}", run.stdout, run.stderr);
        let lines: Vec<_> = printed.lines().collect();
        if !matches(output, &lines) {
            wrong.push(format!("$ {command}\n{printed}"));
        }
    }
    assert!(wrong.is_empty(), "quoted otherwise than printed:\n{}", wrong.join("\n"));
}

#[test]
fn every_command_for_a_node_succeeds_there() {
    let node = Node::new("test", "web");
    node.add(&document(), &json!({}));
    host::write(&node.root().join("home/settings.json"), document().to_string());
    host::write(&node.root().join("home/meshconfig.json"), mesh_config());
    let list = json!({"cniVersion": "1.0.0", "name": "rignet", "plugins": [{"type": "bridge"}]});
    host::write(&node.root().join("etc/cni/net.d/10-bridge.conflist"), list.to_string());
    host::make_dirs(&node.root().join("opt/cni/bin"));
    let at = |path: &str| node.root().join(path).to_str().expect("UTF-8").to_owned();
    let (root, bin, conf) = (at(""), at("opt/cni/bin"), at("etc/cni/net.d"));
    let mut count = 0;
    for page in pages() {
        for block in page.blocks().into_iter().filter(|block| block.info == "sh node") {
            for line in block.lines.join("\n").replace("\\\n", " ").lines() {
                let line = line.replace("NAMESPACE/NAME", "test/web");
                let mut words: Vec<_> = line.split_whitespace().collect();
                let place = page.path.display();
                assert!(words[0].ends_with("osm-cni"), "{place}: {line}: not ours to run");
                match words[1] {
                    "install" => words.extend(["--bin-dir", &bin, "--conf-dir", &conf]),
                    "audit" => words.extend(["--host-root", &root]),
                    _ => {}
                }
                let run = node.run(&words);
                assert_eq!(run.status, Some(0), "{place}: {line}: {}{}", run.stdout, run.stderr);
                count += 1;
            }
        }
    }
    assert!(count > 4, "commands are found: {count}");
}

#[test]
fn the_connections_that_the_readme_shows_are_those_of_make_demo() {
    let demo = Page::read("demo/src/main.rs").text;
    let blocks = Page::read("README.md").blocks();
    let table = blocks.iter().find(|block| block.lines[0].starts_with("  FROM "));
    let rows = &table.expect("the table").lines[1..];
    assert!(rows.len() > 2);
    for row in rows {
        // The columns of its table.
        let cell = |from: usize, to: usize| row[from..to.min(row.len())].trim();
        let (to, arrived, expected, why) = (cell(12, 29), cell(30, 44), cell(45, 59), cell(60, 99));
        let port = to.split_once(':').expect("a port").1;
        let word = match expected {
            "proxy outbound" => "OUT",
            "proxy inbound" => "IN",
            _ => "DIRECT",
        };
        assert_eq!(arrived, expected, "{row}");
        let end = format!(":{port}\", {word}, {why:?}),");
        assert!(demo.lines().any(|line| line.ends_with(&end)), "make demo does not print: {row}");
    }
}
