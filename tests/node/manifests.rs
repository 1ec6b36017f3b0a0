//! What is in `install/`: its form, that what it runs is what this program takes,
//! and that what it runs in pods meets the "restricted" pod security standard.

use osm_cni::config::profile::PROFILES;
use serde::Deserialize as _;
use serde_json::json;

use super::*;

fn text(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("install").join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The documents of a file, by their kinds.
pub(crate) fn documents(file: &str) -> Vec<Value> {
    let text = text(file);
    let documents = serde_norway::Deserializer::from_str(&text);
    documents
        .map(|one| Value::deserialize(one).unwrap_or_else(|error| panic!("{file}: {error}")))
        .collect()
}

fn kinds(file: &str) -> Vec<String> {
    let name = |one: &Value| one["kind"].as_str().expect("a kind").to_owned();
    documents(file).iter().map(name).collect()
}

pub(crate) fn document(file: &str, kind: &str) -> Value {
    documents(file)
        .into_iter()
        .find(|one| one["kind"] == kind)
        .unwrap_or_else(|| panic!("{file}: no {kind}"))
}

/// What the restricted standard has against a pod; nothing when it may run.
pub(crate) fn offences(pod: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let spec = &pod["spec"];
    for field in ["hostNetwork", "hostPID", "hostIPC"] {
        if spec[field] == true {
            found.push(field.to_owned());
        }
    }
    for volume in list(&spec["volumes"]) {
        let known = [
            "name",
            "configMap",
            "emptyDir",
            "projected",
            "secret",
            "downwardAPI",
            "csi",
            "persistentVolumeClaim",
            "ephemeral",
        ];
        let odd =
            volume.as_object().expect("a volume").keys().any(|key| !known.contains(&key.as_str()));
        if odd {
            found.push(format!("volume {}", volume["name"]));
        }
    }
    let containers = list(&spec["initContainers"]).into_iter().chain(list(&spec["containers"]));
    for container in containers {
        let own = &container["securityContext"];
        let either = |field: &str| {
            if own[field].is_null() { &spec["securityContext"][field] } else { &own[field] }
        };
        let added = list(&own["capabilities"]["add"]);
        let tests = [
            ("privileged", own["privileged"] != true),
            ("allowPrivilegeEscalation", own["allowPrivilegeEscalation"] == false),
            ("capabilities.drop", list(&own["capabilities"]["drop"]).contains(&json!("ALL"))),
            ("capabilities.add", added.iter().all(|one| one == "NET_BIND_SERVICE")),
            ("runAsNonRoot", either("runAsNonRoot") == true),
            ("runAsUser", either("runAsUser") != 0),
            (
                "seccompProfile",
                ["RuntimeDefault", "Localhost"]
                    .map(Value::from)
                    .contains(&either("seccompProfile")["type"]),
            ),
            ("hostPort", list(&container["ports"]).iter().all(|port| port["hostPort"].is_null())),
        ];
        let failed = tests.iter().filter(|(_, passed)| !passed);
        found.extend(failed.map(|(name, _)| format!("{}: {name}", container["name"])));
    }
    found
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

#[test]
fn the_daemonset_has_no_right_it_does_not_need() {
    assert_eq!(kinds("osm-cni.yaml"), ["Namespace", "ConfigMap", "DaemonSet"]);
    for file in ["osm-cni.yaml", "uninstall.yaml"] {
        let set = document(file, "DaemonSet");
        let spec = &set["spec"]["template"]["spec"];
        assert_eq!(spec["automountServiceAccountToken"], false);
        assert_eq!(spec["hostNetwork"], true);
        assert_eq!(spec["priorityClassName"], "system-node-critical");
        assert_eq!(spec["tolerations"], json!([{"operator": "Exists"}]));
        assert!(spec["serviceAccountName"].is_null());
        let containers = list(&spec["initContainers"]).into_iter().chain(list(&spec["containers"]));
        for container in containers {
            assert_eq!(
                container["securityContext"],
                json!({
                    "runAsUser": 0, "runAsGroup": 0, "privileged": false,
                    "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
                    "capabilities": {"drop": ["ALL"], "add": ["DAC_OVERRIDE"]},
                    "seccompProfile": {"type": "RuntimeDefault"}
                }),
                "{file}"
            );
        }
    }
    let namespace = document("osm-cni.yaml", "Namespace");
    assert_eq!(namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"], "privileged");
}

#[test]
fn what_the_daemonset_runs_works_with_its_settings() {
    let node = Node::with(&[("10-pods.conflist", PRIMARY)]);
    let map = document("osm-cni.yaml", "ConfigMap");
    let settings = map["data"]["config.json"].as_str().expect("settings");
    assert!(settings.contains("osm-v1"));
    fs::write(node.settings(), settings).expect("write");
    let set = document("osm-cni.yaml", "DaemonSet");
    let container = &set["spec"]["template"]["spec"]["containers"][0];
    let words = |value: &Value| -> Vec<String> {
        list(value).iter().map(|word| word.as_str().expect("a word").to_owned()).collect()
    };
    // The container's paths become this node's.
    let settings = node.settings().display().to_string();
    let local = |words: Vec<String>| -> Vec<String> {
        words.into_iter().map(|word| word.replace("/etc/osm-cni/config.json", &settings)).collect()
    };
    let args = local(words(&container["args"]));
    assert_eq!(args[0], "install");
    let args: Vec<&str> = args[1..].iter().map(String::as_str).collect();
    let running = node.start(&args);
    let probe = local(words(&container["readinessProbe"]["exec"]["command"]));
    assert_eq!(probe[..3], ["/osm-cni", "install", "--check"]);
    let probe: Vec<&str> = probe[3..].iter().map(String::as_str).collect();
    node.check(&probe).expect("ready");
    assert!(!node.log().contains("unknown field"), "{}", node.log());
    running.stop();
}

#[test]
fn the_validator_and_the_sync_are_restricted() {
    let pod = document("validator.yaml", "Pod");
    assert_eq!(offences(&pod), Vec::<String>::new());
    assert_ne!(pod["spec"]["initContainers"][0]["securityContext"]["runAsUser"], 1500);
    for file in ["meshconfig-sync.yaml", "overlays/fsm/meshconfig-sync.yaml"] {
        let sync = document(file, "Deployment");
        assert_eq!(offences(&sync["spec"]["template"]), Vec::<String>::new());
        let roles: Vec<Value> =
            documents(file).into_iter().filter(|one| one["kind"] == "Role").collect();
        for role in &roles {
            for rule in list(&role["rules"]) {
                assert_eq!(list(&rule["resourceNames"]).len(), 1, "one object by its name");
            }
        }
        assert_eq!(roles.len(), 2);
        // Data here would be brought back by each `kubectl apply`.
        let map = document(file, "ConfigMap");
        assert_eq!(map["data"], Value::Null);
        assert!(!kinds(file).iter().any(|kind| kind.starts_with("Cluster")));
        // What it copies is what the DaemonSet mounts, and the program knows its name.
        let set = document("osm-cni.yaml", "DaemonSet").to_string();
        assert!(set.contains(&format!("{}", map["metadata"]["name"])), "{file}");
        let script = sync["spec"]["template"]["spec"]["containers"][0]["args"][0].to_string();
        let files: Vec<&str> =
            script.split(['/', ' ']).filter(|it| it.ends_with(".json")).collect();
        assert!(set.contains(&format!("/etc/osm-cni/mesh/{}\"", files[0])), "{file}: {files:?}");
        let mesh = PROFILES.iter().find(|profile| script.contains(profile.mesh_config.name));
        let mesh = mesh.unwrap_or_else(|| panic!("{file}: the MeshConfig of no mesh"));
        let object = format!("-n {} get meshconfigs.{} ", mesh.namespace, mesh.mesh_config.group);
        assert!(script.contains(&object), "{file}: {object}");
    }
    assert_eq!(
        pod["spec"]["initContainers"][0]["terminationMessagePolicy"],
        "FallbackToLogsOnError"
    );
}

#[test]
fn overlays_change_only_what_they_can_find() {
    let base = document("osm-cni.yaml", "DaemonSet");
    let volumes: Vec<Value> = list(&base["spec"]["template"]["spec"]["volumes"]);
    let known = |name: &Value| volumes.iter().any(|volume| volume["name"] == *name);
    for overlay in ["gke", "kind", "k3s", "microk8s", "openshift", "repair", "fsm"] {
        let kustomization =
            document(&format!("overlays/{overlay}/kustomization.yaml"), "Kustomization");
        assert_eq!(kustomization["resources"][0], "../../base");
        for patch in list(&kustomization["patches"]) {
            let target =
                document("osm-cni.yaml", patch["target"]["kind"].as_str().expect("a kind"));
            assert_eq!(target["metadata"]["name"], patch["target"]["name"]);
            let change: Value =
                serde_norway::from_str(patch["patch"].as_str().expect("a patch")).expect("YAML");
            for operation in list(&change) {
                let pointer = operation["path"].as_str().expect("a path");
                let there = target.pointer(pointer).is_some();
                assert!(there || operation["op"] == "add", "{overlay}: {pointer}");
            }
            for volume in list(&change["spec"]["template"]["spec"]["volumes"]) {
                assert!(known(&volume["name"]), "{overlay}: {volume}");
            }
        }
    }
}

#[test]
fn no_image_names_a_registry() {
    for file in [
        "osm-cni.yaml",
        "uninstall.yaml",
        "validator.yaml",
        "meshconfig-sync.yaml",
        "admission-policy.yaml",
        "kyverno-policy.yaml",
    ] {
        for line in text(file)
            .lines()
            .filter(|line| line.trim_start().trim_start_matches("- ").starts_with("image:"))
        {
            assert!(!line.contains('/'), "{file}: {line}");
        }
    }
}
