//! The image's name and version stand in one place each, and a script replaces
//! them everywhere.

use super::{objects, read, script};
use crate::docs::root;
use crate::support::host;

fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// The YAML files of a directory, with all below it.
pub(super) fn files(directory: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => all.extend(files(&path)),
            false => all.push(path),
        }
    }
    all
}

#[test]
fn manifests_with_another_image_name_no_other() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let copy = directory.path().join("manifests");
    let image = "registry.example.com/mesh/osm-cni:9.9.9";
    script(&["scripts/manifests.sh", image, copy.to_str().expect("UTF-8")]);
    let ours = format!("osm-cni:{}", version());
    let (mut replaced, mut named) = (0, 0);
    for path in files(&copy).iter().filter(|path| !path.starts_with(copy.join("helm"))) {
        let text = std::fs::read_to_string(path).expect("text");
        replaced += text.matches(image).count();
        assert!(!text.contains(&format!(" {ours}")), "{}", path.display());
        assert!(!text.contains(&format!("\"{ours}")), "{}", path.display());
    }
    for path in files(&root().join("install")).iter().filter(|path| !is_chart(path)) {
        named += std::fs::read_to_string(path).expect("text").matches(&ours).count();
    }
    assert_eq!(replaced, named, "each place that names the image");
    assert!(replaced >= 6, "the DaemonSets, the validator and both policies: {replaced}");
}

/// As a release does it, and anybody with a registry of their own.
#[test]
fn the_chart_of_a_copy_installs_that_image() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let digest = format!("sha256:{}", "0123456789abcdef".repeat(4));
    for (name, image) in [
        ("tag", "registry.example.com:5000/mesh/osm-cni:9.9.9".to_owned()),
        ("digest", format!("registry.example.com/mesh/osm-cni@{digest}")),
    ] {
        let copy = directory.path().join(name);
        script(&["scripts/manifests.sh", &image, copy.to_str().expect("UTF-8")]);
        let chart = copy.join("helm/osm-cni");
        for policy in ["admission", "kyverno"] {
            let text = super::chart::template_of(&chart, &["--set", &format!("policy={policy}")]);
            let images = text.lines().filter(|line| line.contains("image: "));
            let other: Vec<_> = images.filter(|line| !line.contains(&image)).collect();
            assert!(text.contains(&image) && other.is_empty(), "{image}: {other:?}");
            assert!(!text.contains(&format!("\"osm-cni:{}", version())), "{image}: {policy}");
        }
    }
}

fn is_chart(path: &std::path::Path) -> bool {
    path.starts_with(root().join("install/helm"))
}

#[test]
fn an_image_without_a_tag_is_refused() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let copy = directory.path().join("manifests");
    for image in ["osm-cni", "registry.example.com/osm-cni", "x:1 y", "x:1#y"] {
        let script = root().join("scripts/manifests.sh");
        let words = [script.to_str().expect("UTF-8"), image, copy.to_str().expect("UTF-8")];
        assert!(
            host::try_run(&words).is_err_and(|error| error.contains("tag or a digest")),
            "{image}"
        );
        assert!(!copy.exists());
    }
}

#[test]
fn program_manifests_and_chart_have_one_version() {
    let chart = &objects(&read("install/helm/osm-cni/Chart.yaml"))[0];
    assert_eq!(chart["version"], version());
    assert_eq!(chart["appVersion"], version());
    for path in files(&root().join("install")) {
        let text = std::fs::read_to_string(&path).expect("text");
        for (at, _) in text.match_indices("osm-cni:") {
            let tag: String =
                text[at + 8..].chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
            assert!(tag.is_empty() || tag == version(), "{}: {tag}", path.display());
        }
    }
}

/// Whoever runs the image without saying more is nobody.
#[test]
fn the_image_is_nobodys_and_the_daemonset_says_that_it_is_root() {
    let dockerfile = read("Dockerfile");
    let user = dockerfile.lines().rev().find_map(|line| line.strip_prefix("USER "));
    assert_eq!(user, Some("65532:65532"));
    let manifest = read("install/base/osm-cni.yaml");
    assert!(manifest.contains("runAsUser: 0\n"), "the installer writes as root");
}
