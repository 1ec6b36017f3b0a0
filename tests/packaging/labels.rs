//! The labels that Kubernetes recommends, on every object that is installed.

use serde_json::Value;

use super::{objects, read};
use crate::docs::root;

pub(super) const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// The first label that an object or the pods of its template have not, or have
/// with another value.
pub(super) fn unlabelled(object: &Value, manager: &str) -> Option<String> {
    let template = &object["spec"]["template"];
    let pod = template.is_object().then_some((&template["metadata"], false));
    let all = [(&object["metadata"], true)].into_iter().chain(pod);
    all.into_iter().find_map(|(metadata, is_object)| {
        let label = |name: &str| metadata["labels"][name].as_str().unwrap_or_default();
        let right = label("app.kubernetes.io/name").starts_with("osm-cni")
            && label("app.kubernetes.io/version") == env!("CARGO_PKG_VERSION")
            && !label("app.kubernetes.io/component").is_empty()
            && label("app.kubernetes.io/part-of") == "osm-cni"
            && label(MANAGED_BY) == if is_object { manager } else { "" };
        let name = &object["metadata"]["name"];
        (!right).then(|| format!("{} {name}: {}", object["kind"], metadata["labels"]))
    })
}

#[test]
fn every_object_of_the_manifests_has_the_recommended_labels() {
    let mut count = 0;
    let mut wrong = Vec::new();
    for path in super::image::files(&root().join("install")) {
        let path = path.strip_prefix(root()).expect("a file of ours");
        let is_list = path.extension().is_some_and(|end| end == "yaml");
        if !is_list || path.starts_with("install/helm") || path.ends_with("kustomization.yaml") {
            continue;
        }
        for object in objects(&read(path.to_str().expect("UTF-8"))) {
            count += 1;
            let problem = unlabelled(&object, "kubectl");
            wrong.extend(problem.map(|it| format!("{}: {it}", path.display())));
        }
    }
    assert!(count > 20, "objects are found: {count}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
