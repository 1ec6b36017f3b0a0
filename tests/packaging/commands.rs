//! Commands of the documentation that need a cluster, as far as they can be tried
//! without one: what helm and kustomize would apply is rendered, and files that
//! kubectl would apply are read.

use std::path::{Path, PathBuf};

use super::chart::template;
use super::kustomize::kustomize;
use super::objects;
use crate::docs::{Page, pages, root};
use crate::support::host;

/// The copy of the manifests that the documentation makes.
const COPY: &str = "my-manifests";

/// The commands of the blocks for a cluster.
fn commands(page: &Page) -> Vec<String> {
    let blocks = page.blocks().into_iter().filter(|block| block.info == "sh cluster");
    let text: Vec<_> = blocks.map(|block| block.lines.join("\n").replace("\\\n", " ")).collect();
    let lines = text.iter().flat_map(|text| text.lines());
    lines.flat_map(|line| line.split(" && ")).map(|line| line.trim().to_owned()).collect()
}

/// Where a path of the documentation lies; none if a reader has to fill it in.
fn path(word: &str) -> Option<PathBuf> {
    let path = word.replacen(COPY, "install", 1);
    (path.starts_with("install/") && !path.contains("NAME")).then(|| root().join(path))
}

/// Renders what a command would apply; whether it applies anything.
fn render(command: &str) -> bool {
    let words: Vec<_> = command.split_whitespace().collect();
    match words[..] {
        ["helm", "install" | "upgrade", _, chart, ref options @ ..] => {
            assert_eq!(path(chart), Some(root().join("install/helm/osm-cni")), "{command}");
            let kept = options.iter().filter(|word| **word != "--reset-then-reuse-values");
            let options: Vec<_> = kept.copied().collect();
            !objects(&template(&options)).is_empty()
        }
        ["kubectl", "apply" | "delete", kind @ ("-f" | "-k"), file, ..] => {
            let Some(path) = path(file) else { return false };
            let text = if kind == "-k" { kustomize(&path) } else { read(&path) };
            !objects(&text).is_empty()
        }
        _ => false,
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn what_the_documentation_applies_can_be_rendered() {
    let all: Vec<_> = pages().iter().flat_map(commands).collect();
    let rendered = all.iter().filter(|command| render(command)).count();
    assert!(rendered > 12, "commands that apply something: {rendered} of {}", all.len());
}

#[test]
fn values_and_kustomizations_of_the_documentation_can_be_rendered() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (copy, own) = (directory.path().join(COPY), directory.path());
    let path = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    host::make_dirs(&copy);
    host::run(&["cp", "-r", &path(&root().join("install/.")), &path(&copy)]);
    let (mut values, mut kustomizations) = (0, 0);
    for page in pages() {
        for block in page.blocks().into_iter().filter(|block| block.info == "yaml") {
            let text = block.lines.join("\n");
            if text.contains("kind: Kustomization") {
                host::write(&own.join("kustomization.yaml"), &text);
                let rendered = objects(&kustomize(own));
                assert!(rendered.len() > 2, "{}: {text}", page.path.display());
                kustomizations += 1;
            } else if !text.contains("apiVersion:") {
                let file = own.join("values.yaml");
                host::write(&file, &text);
                let rendered = objects(&template(&["--values", &path(&file)]));
                assert!(rendered.len() > 1, "{}: {text}", page.path.display());
                values += 1;
            }
        }
    }
    assert!(values > 0 && kustomizations > 0, "{values} {kustomizations}");
}
