//! What the overlays become, by kubectl's own kustomize: each has an uninstall
//! with its directories, and OpenShift's constraints admit its pods.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::{Value, json};

use super::{objects, script};
use crate::docs::{Page, root};
use crate::support::host;

fn kubectl() -> PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    let fetch = || script(&["scripts/debian-package.sh", "newest", "kubectl"]);
    PROGRAM.get_or_init(|| Path::new(&fetch()).join("usr/bin/kubectl")).clone()
}

/// What a directory with a kustomization becomes.
pub(super) fn kustomize(directory: &Path) -> String {
    let program = kubectl();
    let words = [program.as_path(), Path::new("kustomize"), directory];
    host::run(&words.map(|word| word.to_str().expect("UTF-8")))
}

/// The overlays, by name.
pub(super) fn overlays() -> Vec<String> {
    let mut names = host::names_in(&root().join("install/overlays"));
    names.sort();
    assert!(names.len() > 6, "{names:?}");
    names
}

fn rendered(directory: &str) -> Vec<Value> {
    objects(&kustomize(&root().join("install").join(directory)))
}

fn of_kind(all: &[Value], kind: &str) -> Value {
    let found = all.iter().find(|object| object["kind"] == kind);
    found.unwrap_or_else(|| panic!("no {kind}")).clone()
}

/// All containers of a DaemonSet.
fn containers(set: &Value) -> Vec<&Value> {
    let spec = &set["spec"]["template"]["spec"];
    let lists = [&spec["initContainers"], &spec["containers"]];
    lists.iter().filter_map(|list| list.as_array()).flatten().collect()
}

fn named<'a>(list: &'a Value, name: &Value) -> &'a Value {
    let mut all = list.as_array().into_iter().flatten();
    all.find(|one| one["name"] == *name).unwrap_or(&Value::Null)
}

/// The value of an option in a container's arguments.
fn option<'a>(container: &'a Value, name: &str) -> Option<&'a Value> {
    let args = container["args"].as_array().expect("arguments");
    args.iter().position(|word| word == name).and_then(|at| args.get(at + 1))
}

#[test]
fn every_overlay_has_an_uninstall_with_its_directories_and_rights() {
    for overlay in overlays() {
        let installed = rendered(&format!("overlays/{overlay}"));
        let installed = of_kind(&installed, "DaemonSet");
        let all = rendered(&format!("overlays/{overlay}/uninstall"));
        assert_eq!(all.len(), 1, "{overlay}: the DaemonSet alone");
        let uninstall = of_kind(&all, "DaemonSet");
        assert_ne!(uninstall["metadata"]["name"], installed["metadata"]["name"], "{overlay}");
        let of = |set: &Value, field: &str| set["spec"]["template"]["spec"][field].clone();
        let (then, now) = (of(&installed, "volumes"), of(&uninstall, "volumes"));
        let names = |volumes: &Value| -> Vec<Value> {
            let all = volumes.as_array().expect("volumes").iter().map(|one| one["name"].clone());
            all.filter(|name| ["cni-bin", "cni-conf", "snap"].map(Value::from).contains(name))
                .collect()
        };
        assert_eq!(names(&now), names(&then), "{overlay}");
        for volume in now.as_array().expect("volumes") {
            let path = |volume: &Value| volume["hostPath"]["path"].clone();
            assert_eq!(path(volume), path(named(&then, &volume["name"])), "{overlay}");
            // A wrong directory is an error, and not made.
            assert_eq!(volume["hostPath"]["type"], "Directory", "{overlay}");
        }
        for field in ["serviceAccountName", "priorityClassName", "tolerations", "nodeSelector"] {
            assert_eq!(of(&uninstall, field), of(&installed, field), "{overlay}: {field}");
        }
        let install = containers(&installed)[0].clone();
        for container in containers(&uninstall) {
            let at = format!("{overlay}: {}", container["name"]);
            assert_eq!(container["args"][0], "uninstall", "{at}");
            for mount in container["volumeMounts"].as_array().expect("mounts") {
                let then = named(&install["volumeMounts"], &mount["name"]);
                assert_eq!(mount["mountPath"], then["mountPath"], "{at}");
            }
            for name in ["--bin-dir", "--conf-dir"] {
                assert_eq!(option(container, name), option(&install, name), "{at}");
            }
            for field in ["image", "imagePullPolicy"] {
                assert_eq!(container[field], install[field], "{at}");
            }
            let selinux = |one: &Value| one["securityContext"]["seLinuxOptions"].clone();
            assert_eq!(selinux(container), selinux(&install), "{at}");
            let capabilities = &container["securityContext"]["capabilities"]["add"];
            assert_eq!(capabilities, &json!(["DAC_OVERRIDE"]), "{at}");
        }
    }
}

#[test]
fn the_documentation_says_how_each_overlay_is_uninstalled() {
    let page = Page::read("docs/operate.md").text;
    let section = page.split("\n## ").find(|section| section.starts_with("Uninstall\n"));
    let section = section.expect("a section");
    for overlay in overlays() {
        let row = section.lines().find(|line| line.starts_with(&format!("| `{overlay}`")));
        let row = row.unwrap_or_else(|| panic!("no row {overlay}"));
        let all = rendered(&format!("overlays/{overlay}/uninstall"));
        let set = of_kind(&all, "DaemonSet");
        let container = containers(&set)[0];
        for (name, volume) in [("--bin-dir", "cni-bin"), ("--conf-dir", "cni-conf")] {
            let volumes = &set["spec"]["template"]["spec"]["volumes"];
            let path = &named(volumes, &json!(volume))["hostPath"]["path"];
            let path = option(container, name).unwrap_or(path).as_str().expect("a path");
            assert!(row.contains(&format!("`{path}`")), "{overlay}: {path}: {row}");
        }
    }
}

/// What OpenShift's constraints have against a DaemonSet's pods.
fn refused(constraints: &Value, set: &Value) -> Vec<String> {
    let spec = &set["spec"]["template"]["spec"];
    let lists = |field: &str, value: &Value| {
        constraints[field].as_array().is_some_and(|all| all.contains(value))
    };
    let mut refused = Vec::new();
    for volume in spec["volumes"].as_array().expect("volumes") {
        let kind = volume.as_object().expect("a volume").keys().find(|key| *key != "name");
        if !lists("volumes", &json!(kind)) {
            refused.push(format!("volume {}", volume["name"]));
        }
    }
    for container in containers(set) {
        let own = &container["securityContext"];
        let added = own["capabilities"]["add"].as_array().expect("capabilities");
        let odd = added.iter().filter(|one| !lists("allowedCapabilities", one));
        refused.extend(odd.map(|one| format!("{}: {one}", container["name"])));
        if own["seLinuxOptions"] != constraints["seLinuxContext"]["seLinuxOptions"] {
            refused.push(format!("{}: SELinux", container["name"]));
        }
        if own["privileged"] != false || own["allowPrivilegeEscalation"] != false {
            refused.push(format!("{}: privileged", container["name"]));
        }
    }
    if spec["hostNetwork"] == true && constraints["allowHostNetwork"] != true {
        refused.push("the host's network".to_owned());
    }
    refused
}

#[test]
fn openshifts_constraints_admit_the_pods_and_not_more() {
    let all = rendered("overlays/openshift");
    let constraints = of_kind(&all, "SecurityContextConstraints");
    let set = of_kind(&all, "DaemonSet");
    assert_eq!(refused(&constraints, &set), [""; 0]);
    let uninstall = rendered("overlays/openshift/uninstall");
    assert_eq!(refused(&constraints, &of_kind(&uninstall, "DaemonSet")), [""; 0]);
    let options = ["--set", "platform=openshift,repair.enabled=true,metrics.enabled=true"];
    let chart = objects(&super::chart::template(&options));
    let with_repair = of_kind(&chart, "SecurityContextConstraints");
    assert_eq!(refused(&with_repair, &of_kind(&chart, "DaemonSet")), [""; 0]);
    // The check itself can say no: what repair needs is admitted with repair alone.
    assert_eq!(refused(&constraints, &of_kind(&chart, "DaemonSet")).len(), 2);
}
