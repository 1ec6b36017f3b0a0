//! What is in `install/`: its form, and that what it runs is what this program
//! takes. The policies cannot be run here; their patches are taken from their
//! text, put to a pod as OSM's injector makes it, and held against the rules of
//! the "restricted" pod security standard.

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
fn offences(pod: &Value) -> Vec<String> {
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

/// A pod as OSM 1.2 injects it, in a workload that is itself in order.
fn injected() -> Value {
    json!({"spec": {
        "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        "initContainers": [
            {"name": "app-init", "image": "app", "securityContext": {"runAsUser": 10001, "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}},
            {"name": "osm-init", "image": "init", "securityContext": {"privileged": false, "runAsUser": 0, "runAsNonRoot": false, "capabilities": {"add": ["NET_ADMIN"]}}}
        ],
        "containers": [
            {"name": "app", "image": "app", "securityContext": {"runAsUser": 10001, "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}},
            {"name": "envoy", "image": "envoy", "securityContext": {"runAsUser": 1500, "allowPrivilegeEscalation": false}},
            {"name": "osm-healthcheck", "image": "healthcheck"}
        ],
        "volumes": [{"name": "envoy-bootstrap-config-volume", "secret": {"secretName": "envoy-bootstrap"}}]
    }})
}

/// One JSON patch operation on a container that is found by its name.
#[derive(Debug)]
struct Patch {
    op: String,
    list: String,
    container: String,
    rest: String,
    value: Value,
}

impl Patch {
    fn apply(&self, pod: &mut Value) {
        let containers = pod["spec"][&self.list].as_array_mut().expect("containers");
        if self.op == "remove" {
            // The validator is there already.
            if containers.iter().any(|one| one["name"] == "osm-validate") {
                containers.retain(|one| one["name"] != *self.container);
            }
            return;
        }
        let Some(found) = containers.iter_mut().find(|one| one["name"] == *self.container) else {
            return;
        };
        match (self.op.as_str(), self.rest.as_str()) {
            ("replace", "") => *found = self.value.clone(),
            ("add", "/securityContext") => found["securityContext"] = self.value.clone(),
            other => panic!("unknown patch {other:?}"),
        }
    }
}

/// The patches of the admission policy, read from its CEL text: an object
/// literal of CEL without its type names is one of YAML.
fn policy_patches() -> Vec<Patch> {
    let policy = document("admission-policy.yaml", "MutatingAdmissionPolicy");
    let mut patches = Vec::new();
    for mutation in list(&policy["spec"]["mutations"]) {
        assert_eq!(mutation["patchType"], "JSONPatch");
        let text = mutation["jsonPatch"]["expression"].as_str().expect("an expression");
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(text.matches('{').count(), text.matches('}').count());
        let between = |from: &str, to: &str| {
            let rest = text.split_once(from).unwrap_or_else(|| panic!("{from} is not in {text}")).1;
            rest.split_once(to).expect("an end").0.to_owned()
        };
        let container = between("indexOf(\"", "\")");
        // The guard is about the same container as the path.
        assert!(text.contains(&format!("exists(c, c.name == \"{container}\")")), "{text}");
        assert!(text.ends_with("] : []"), "{text}");
        let op = between("op: \"", "\"");
        let list = between("\"/spec/", "/\"");
        if op == "remove" {
            let guard = format!("{list}.exists(c, c.name == \"osm-validate\")");
            assert!(text.contains(&guard), "{text}");
            let (rest, value) = (String::new(), Value::Null);
            patches.push(Patch { op, list, container, rest, value });
            continue;
        }
        let path = between("path: ", ", value:");
        let rest = path.rsplit_once("+ \"").map_or("", |(_, rest)| rest.trim_end_matches('"'));
        let value = cel_object(text.split_once("value: ").expect("a value").1);
        patches.push(Patch { op, list, container, rest: rest.to_owned(), value });
    }
    patches
}

fn cel_object(text: &str) -> Value {
    let mut yaml = String::new();
    let mut depth = 0;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some(typed) = rest.strip_prefix("Object") {
            rest = &typed[typed.find('{').expect("an object")..];
            continue;
        }
        yaml.push(c);
        depth += i32::from(c == '{') - i32::from(c == '}');
        rest = &rest[c.len_utf8()..];
        if depth == 0 {
            break;
        }
    }
    serde_norway::from_str(&yaml).unwrap_or_else(|error| panic!("{error}: {yaml}"))
}

fn kyverno_patches() -> Vec<Patch> {
    let policy = document("kyverno-policy.yaml", "ClusterPolicy");
    let mut patches = Vec::new();
    for rule in list(&policy["spec"]["rules"]) {
        // A removal is guarded by the presence of the other.
        let beside = &rule["preconditions"]["all"][0]["key"];
        for each in list(&rule["mutate"]["foreach"]) {
            let only = &each["preconditions"]["all"][0];
            assert_eq!(only["key"], "{{ element.name }}");
            let text = each["patchesJson6902"].as_str().expect("a patch");
            let operations: Vec<Value> =
                serde_norway::from_str(&text.replace("{{elementIndex}}", "INDEX")).expect("YAML");
            for operation in operations {
                let path = operation["path"]
                    .as_str()
                    .expect("a path")
                    .strip_prefix("/spec/")
                    .expect("in the spec");
                let (list, rest) = path.split_once("/INDEX").expect("an element");
                assert!(operation["op"] != "remove" || beside == "osm-validate", "{rule}");
                assert!(
                    each["list"]
                        .as_str()
                        .is_some_and(|from| from.contains(&format!("request.object.spec.{list}")))
                );
                patches.push(Patch {
                    op: operation["op"].as_str().expect("an operation").to_owned(),
                    list: list.to_owned(),
                    container: only["value"].as_str().expect("a name").to_owned(),
                    rest: rest.to_owned(),
                    value: operation["value"].clone(),
                });
            }
        }
    }
    patches
}

#[test]
fn patched_pods_are_restricted_and_validated() {
    assert!(!offences(&injected()).is_empty(), "the sample would need no patch");
    for patches in [policy_patches(), kyverno_patches()] {
        assert_eq!(patches.len(), 4);
        let mut pod = injected();
        patches.iter().for_each(|patch| patch.apply(&mut pod));
        assert_eq!(offences(&pod), Vec::<String>::new());
        let names: Vec<_> =
            list(&pod["spec"]["initContainers"]).iter().map(|one| one["name"].clone()).collect();
        assert_eq!(names, ["app-init", "osm-validate"], "in the place of osm-init");
        assert_eq!(
            pod["spec"]["containers"][1]["securityContext"]["runAsUser"], 1500,
            "the rules know the proxy by it"
        );
        assert_eq!(
            pod["spec"]["containers"][0],
            injected()["spec"]["containers"][0],
            "the workload's own"
        );
        let validator = &pod["spec"]["initContainers"][1];
        assert_eq!(validator["terminationMessagePolicy"], "FallbackToLogsOnError");
        // With a validator of its own the pod only loses osm-init.
        let mut own = injected();
        own["spec"]["initContainers"][0]["name"] = "osm-validate".into();
        patches.iter().for_each(|patch| patch.apply(&mut own));
        assert_eq!(list(&own["spec"]["initContainers"]).len(), 1);
        assert_eq!(own["spec"]["initContainers"][0]["image"], "app");
        // Called again, it changes nothing.
        let once = pod.clone();
        patches.iter().for_each(|patch| patch.apply(&mut pod));
        assert_eq!(pod, once);
        // A pod outside the mesh keeps every byte.
        let mut other = json!({"spec": {"containers": [{"name": "app", "image": "app"}]}});
        let before = other.clone();
        patches
            .iter()
            .filter(|patch| patch.list == "containers")
            .for_each(|patch| patch.apply(&mut other));
        assert_eq!(other, before);
    }
    let (policy, kyverno) = (policy_patches(), kyverno_patches());
    for (ours, theirs) in policy.iter().zip(&kyverno) {
        assert_eq!(ours.value, theirs.value, "both policies say the same");
    }
}

#[test]
fn policies_have_the_form_that_sees_injected_pods() {
    let policy = document("admission-policy.yaml", "MutatingAdmissionPolicy");
    let spec = &policy["spec"];
    assert_eq!(spec["reinvocationPolicy"], "IfNeeded");
    assert!(spec["matchConditions"].is_null());
    assert!(spec["matchConstraints"]["objectSelector"].is_null());
    let namespaces = &spec["matchConstraints"]["namespaceSelector"]["matchExpressions"][0];
    assert_eq!(namespaces["key"], "openservicemesh.io/monitored-by");
    let binding = document("admission-policy.yaml", "MutatingAdmissionPolicyBinding");
    assert_eq!(binding["spec"]["policyName"], policy["metadata"]["name"]);
    assert_eq!(kinds("kyverno-policy.yaml"), ["ClusterPolicy"]);
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
    let sync = document("meshconfig-sync.yaml", "Deployment");
    assert_eq!(offences(&sync["spec"]["template"]), Vec::<String>::new());
    let roles: Vec<Value> =
        documents("meshconfig-sync.yaml").into_iter().filter(|one| one["kind"] == "Role").collect();
    for role in &roles {
        for rule in list(&role["rules"]) {
            assert_eq!(list(&rule["resourceNames"]).len(), 1, "one object by its name");
        }
    }
    assert_eq!(roles.len(), 2);
    assert_eq!(
        pod["spec"]["initContainers"][0]["terminationMessagePolicy"],
        "FallbackToLogsOnError"
    );
    // Data here would be brought back by each `kubectl apply`.
    assert_eq!(document("meshconfig-sync.yaml", "ConfigMap")["data"], Value::Null);
    assert!(!kinds("meshconfig-sync.yaml").iter().any(|kind| kind.starts_with("Cluster")));
}

#[test]
fn overlays_change_only_what_they_can_find() {
    let base = document("osm-cni.yaml", "DaemonSet");
    let volumes: Vec<Value> = list(&base["spec"]["template"]["spec"]["volumes"]);
    let known = |name: &Value| volumes.iter().any(|volume| volume["name"] == *name);
    for overlay in ["gke", "kind", "k3s", "microk8s", "openshift", "repair"] {
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
fn an_uninstall_mounts_what_the_installation_mounted() {
    for overlay in ["gke", "k3s", "microk8s", "openshift"] {
        let paths = |file: &str| -> Vec<Value> {
            let text = text(file);
            let written = text.lines().filter_map(|line| line.trim().strip_prefix("path: /"));
            written
                .filter(|path| !path.contains("kubelet") && !path.starts_with("spec/"))
                .map(Value::from)
                .collect()
        };
        let there = paths(&format!("overlays/{overlay}/kustomization.yaml"));
        assert!(!there.is_empty(), "{overlay}");
        assert_eq!(paths(&format!("overlays/{overlay}/uninstall/kustomization.yaml")), there);
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
