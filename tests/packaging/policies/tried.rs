//! The policies as Kyverno's own program does them to the pods: its ClusterPolicies
//! by its engine, MutatingAdmissionPolicies by the API server's code.

use std::path::Path;

use serde_json::{Value, json};

use super::{MESHES, Mesh, done};
use crate::packaging::{objects, read, script};
use crate::support::host;

/// What the program makes of the mesh's injected pod.
fn applied(program: &str, mesh: &Mesh, file: &str, directory: &Path) -> Value {
    let at = |name: &str| directory.join(name).to_str().expect("UTF-8").to_owned();
    let (pod, values, output) = (at("pod.json"), at("values.yaml"), at("output.yaml"));
    let namespace = mesh.injected()["metadata"]["namespace"].clone();
    host::write(Path::new(&pod), mesh.injected().to_string());
    // The namespace's labels; JSON is YAML.
    let labels = json!({mesh.label: "mesh", "osm-cni/native-sidecars": "enabled"});
    let values_file = json!({
        "apiVersion": "cli.kyverno.io/v1alpha1", "kind": "Values", "metadata": {"name": "values"},
        "namespaceSelector": [{"name": namespace, "labels": labels}]
    });
    host::write(Path::new(&values), values_file.to_string());
    // Of MutatingAdmissionPolicy the program has the schema of the first version alone.
    let text = read(&format!("{}/{file}", mesh.directory));
    let (ours, first) =
        ("admissionregistration.k8s.io/v1\n", "admissionregistration.k8s.io/v1alpha1\n");
    let policy = at("policy.yaml");
    host::write(Path::new(&policy), text.replace(ours, first));
    let words = [
        program,
        "apply",
        &policy,
        "--resource",
        &pod,
        "--values-file",
        &values,
        "--output",
        &output,
    ];
    host::try_run(&words).unwrap_or_else(|error| panic!("{file}: {error}"));
    let text = std::fs::read_to_string(&output).unwrap_or_else(|error| panic!("{output}: {error}"));
    objects(&text).pop().unwrap_or_else(|| panic!("{file}: no pod in {text}"))
}

#[test]
#[ignore = "builds Kyverno's program with Go, which takes minutes: make test-kyverno"]
fn kyverno_and_the_api_servers_code_do_what_the_tests_read() {
    let program = script(&["scripts/go-tool.sh", "kyverno"]);
    for mesh in MESHES {
        for prefix in ["", "native-"] {
            let files = ["admission-policy.yaml", "kyverno-policy.yaml"];
            for (file, steps) in files.iter().zip(mesh.policies(prefix)) {
                let directory = tempfile::tempdir().expect("a temporary directory");
                let file = format!("{prefix}{file}");
                let pod = applied(&program, &mesh, &file, directory.path());
                assert_eq!(pod["spec"], done(&steps, mesh.injected())["spec"], "{file}");
            }
        }
    }
}
