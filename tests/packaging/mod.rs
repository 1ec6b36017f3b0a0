//! The chart, the monitoring files and what releases are made by: held to the
//! program, to the manifests and to each other.
//!
//! Helm and kubeconform are built by Go, promtool comes from Debian's archive;
//! both once, below `target`.

mod chart;
mod commands;
mod equal;
mod image;
mod kustomize;
mod labels;
mod monitoring;
mod policies;
mod settings;
mod workflows;

use serde::Deserialize as _;
use serde_json::Value;

use crate::docs::root;
use crate::support::host;

/// The objects of a YAML text.
fn objects(text: &str) -> Vec<Value> {
    serde_norway::Deserializer::from_str(text)
        .map(|one| Value::deserialize(one).unwrap_or_else(|error| panic!("{error}: {text}")))
        .filter(|one| !one.is_null())
        .collect()
}

/// A file of the repository.
fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What a script of the repository prints, which is a path.
fn script(words: &[&str]) -> String {
    let script = root().join(words[0]);
    let mut all = vec![script.to_str().expect("UTF-8")];
    all.extend(&words[1..]);
    // Go is rarely in the directories of a system's programs.
    let path = format!("/usr/local/go/bin:{}", host::PATH);
    let output = host::command(all[0])
        .args(&all[1..])
        .env("PATH", std::env::var("PATH").unwrap_or(path))
        .output()
        .unwrap_or_else(|error| panic!("{words:?}: {error}"));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?}: {error}");
    String::from_utf8(output.stdout).expect("UTF-8").trim().to_owned()
}

#[test]
fn every_place_that_names_the_compiler_names_the_same() {
    let toolchain = read("rust-toolchain.toml");
    let channel = toolchain.lines().find_map(|line| line.strip_prefix("channel = "));
    let channel = channel.expect("a channel").trim_matches('"');
    let minor = channel.rsplit_once('.').expect("three numbers").0;
    for file in [
        "Dockerfile",
        ".devcontainer/Dockerfile",
        ".github/workflows/ci.yml",
        ".github/workflows/release.yml",
    ] {
        let text = read(file);
        let mut images = text.split("rust:").skip(1);
        assert!(
            images
                .all(|rest| rest.starts_with(minor)
                    || !rest.starts_with(|c: char| c.is_ascii_digit())),
            "{file}: another Rust than {channel}"
        );
    }
}
