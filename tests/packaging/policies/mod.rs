//! The admission policies, read from their text, done to pods as the meshes' own
//! injectors made them, and held against each other: both kinds of policies, both
//! meshes, the plain policy and the one for native sidecars. That API server and
//! Kyverno read them so is tried in tests/cluster and in `tried`.

mod cel;
mod kyverno;
mod steps;
mod tried;

use serde_json::{Value, json};

use self::steps::Step;
use super::{objects, read};
use crate::docs::root;
use crate::node::manifests::offences;
use crate::support::host;

/// What a mesh calls its parts.
struct Mesh {
    directory: &'static str,
    pod: &'static str,
    label: &'static str,
    proxy: &'static str,
    healthcheck: &'static str,
}

const OSM: Mesh = Mesh {
    directory: "install",
    pod: "osm",
    label: "openservicemesh.io/monitored-by",
    proxy: "envoy",
    healthcheck: "osm-healthcheck",
};

const FSM: Mesh = Mesh {
    directory: "install/overlays/fsm",
    pod: "fsm",
    label: "flomesh.io/monitored-by",
    proxy: "sidecar",
    healthcheck: "fsm-healthcheck",
};

const MESHES: [Mesh; 2] = [OSM, FSM];

/// What FSM calls what OSM has, so that both can be in one cluster; in this order,
/// since some are parts of others.
const FSM_FOR_OSM: [(&str, &str); 14] = [
    ("openservicemesh.io", "flomesh.io"),
    ("envoy-bootstrap-config-volume", "sidecar-bootstrap-config-volume"),
    ("osm-healthcheck", "fsm-healthcheck"),
    ("osm-init", "fsm-init"),
    ("osm-system", "fsm-system"),
    ("osm-mesh-config", "fsm-mesh-config"),
    ("osm-cni-native", "osm-cni-fsm-native"),
    ("osm-cni-mesh-config", "osm-cni-fsm-mesh-config"),
    ("osm-cni-sync", "osm-cni-fsm-sync"),
    ("/mesh-config.json", "/fsm-mesh-config.json"),
    ("  name: osm-cni\n", "  name: osm-cni-fsm\n"),
    ("policyName: osm-cni\n", "policyName: osm-cni-fsm\n"),
    ("envoy", "sidecar"),
    ("OSM", "FSM"),
];

impl Mesh {
    fn documents(&self, file: &str) -> Vec<Value> {
        objects(&read(&format!("{}/{file}", self.directory)))
    }

    /// The policy in its two forms.
    fn policies(&self, prefix: &str) -> [Vec<Step>; 2] {
        let policy = |file: &str| self.documents(&format!("{prefix}{file}")).swap_remove(0);
        [
            cel::steps(&policy("admission-policy.yaml")),
            kyverno::steps(&policy("kyverno-policy.yaml")),
        ]
    }

    /// A pod as the mesh's injector made it.
    fn injected(&self) -> Value {
        let text = read(&format!("tests/packaging/pods/{}.json", self.pod));
        serde_json::from_str(&text).expect("a pod")
    }
}

fn done(steps: &[Step], mut pod: Value) -> Value {
    steps.iter().for_each(|step| step.apply(&mut pod));
    pod
}

fn names(list: &Value) -> Vec<&str> {
    let list = list.as_array().expect("a list");
    list.iter().map(|one| one["name"].as_str().expect("a name")).collect()
}

fn container<'p>(pod: &'p Value, name: &str) -> &'p Value {
    ["initContainers", "containers"]
        .iter()
        .flat_map(|list| pod["spec"][list].as_array().expect("containers"))
        .find(|one| one["name"] == name)
        .unwrap_or_else(|| panic!("no container {name}"))
}

/// Only the application's own containers may offend against `restricted`.
fn assert_restricted(pod: &Value) {
    let own =
        |offence: &String| ["\"app\"", "\"prepare\""].iter().any(|it| offence.starts_with(it));
    let offences = offences(pod).into_iter().filter(|one| !own(one)).collect::<Vec<_>>();
    assert_eq!(offences, Vec::<String>::new());
}

/// What the application brought is as it was, and as it was ordered.
fn assert_own_untouched(mesh: &Mesh, pod: &Value) {
    for name in ["app", "prepare"] {
        assert_eq!(container(pod, name), container(&mesh.injected(), name));
    }
    for field in ["volumes", "securityContext", "restartPolicy", "terminationGracePeriodSeconds"] {
        assert_eq!(pod["spec"][field], mesh.injected()["spec"][field]);
    }
}

#[test]
fn the_plain_policy_leaves_an_injected_pod_restricted_and_validated() {
    for mesh in MESHES {
        assert!(!offences(&mesh.injected()).is_empty(), "the sample would need no policy");
        for steps in mesh.policies("") {
            let pod = done(&steps, mesh.injected());
            assert_restricted(&pod);
            assert_own_untouched(&mesh, &pod);
            assert_eq!(names(&pod["spec"]["initContainers"]), ["prepare", "osm-validate"]);
            assert_eq!(
                names(&pod["spec"]["containers"]),
                names(&mesh.injected()["spec"]["containers"])
            );
            assert_eq!(
                container(&pod, mesh.proxy)["securityContext"]["runAsUser"],
                1500,
                "the rules know the proxy by it"
            );
            let validator = container(&pod, "osm-validate");
            assert_eq!(validator["terminationMessagePolicy"], "FallbackToLogsOnError");
            assert_ne!(validator["securityContext"]["runAsUser"], 1500);
        }
    }
}

#[test]
fn native_sidecars_come_after_the_validator_and_before_the_applications_own() {
    for mesh in MESHES {
        for steps in mesh.policies("native-") {
            let pod = done(&steps, mesh.injected());
            assert_restricted(&pod);
            assert_own_untouched(&mesh, &pod);
            assert_eq!(
                names(&pod["spec"]["initContainers"]),
                ["osm-validate", mesh.proxy, mesh.healthcheck, "osm-wait", "prepare"]
            );
            assert_eq!(names(&pod["spec"]["containers"]), ["app"]);
            for name in [mesh.proxy, mesh.healthcheck] {
                let mut moved = container(&pod, name).clone();
                assert_eq!(moved["restartPolicy"], "Always");
                assert_eq!(moved["startupProbe"], Value::Null, "nothing would answer it");
                assert_eq!(moved["lifecycle"]["preStop"], Value::Null);
                // Nothing else is different from what the injector made.
                let mut original = container(&mesh.injected(), name).clone();
                for one in [&mut moved, &mut original] {
                    let fields = one.as_object_mut().expect("a container");
                    fields
                        .retain(|field, _| field != "restartPolicy" && field != "securityContext");
                    if let Some(lifecycle) = fields.get_mut("lifecycle") {
                        lifecycle.as_object_mut().expect("hooks").remove("preStop");
                    }
                }
                assert_eq!(moved, original);
            }
            for name in ["osm-validate", "osm-wait"] {
                assert_eq!(container(&pod, name)["restartPolicy"], Value::Null);
            }
            assert_eq!(container(&pod, "osm-wait")["args"][0], "wait");
        }
    }
}

#[test]
fn policies_can_be_called_again_and_in_any_order() {
    for mesh in MESHES {
        let pairs = mesh.policies("").into_iter().zip(mesh.policies("native-"));
        for (plain, native) in pairs {
            let expected = done(&native, mesh.injected());
            let orders: [&[&[Step]]; 4] = [
                &[&native, &native],
                &[&plain, &native],
                &[&native, &plain],
                &[&plain, &plain, &native, &plain, &native],
            ];
            for order in orders {
                let pod = order.iter().fold(mesh.injected(), |pod, steps| done(steps, pod));
                assert_eq!(pod, expected);
            }
            let once = done(&plain, mesh.injected());
            assert_eq!(done(&plain, once.clone()), once);
        }
    }
}

#[test]
fn a_validator_of_the_workloads_own_is_the_only_one() {
    for mesh in MESHES {
        for (prefix, expected) in [
            ("", vec!["prepare", "osm-validate"]),
            ("native-", vec!["osm-validate", mesh.proxy, mesh.healthcheck, "osm-wait", "prepare"]),
        ] {
            for steps in mesh.policies(prefix) {
                let mut pod = mesh.injected();
                let own = json!({"name": "osm-validate", "image": "own"});
                let init = pod["spec"]["initContainers"].as_array_mut().expect("containers");
                init.insert(1, own.clone());
                let pod = done(&steps, pod);
                assert_eq!(names(&pod["spec"]["initContainers"]), expected);
                assert_eq!(*container(&pod, "osm-validate"), own);
            }
        }
    }
}

/// A container that only has a name of the mesh's, without its volume.
#[test]
fn a_pod_that_the_mesh_did_not_make_keeps_every_byte() {
    for mesh in MESHES {
        for prefix in ["", "native-"] {
            for steps in mesh.policies(prefix) {
                for other in [
                    json!({"spec": {"containers": [{"name": "app"}]}}),
                    json!({"spec": {
                        "initContainers": [{"name": "prepare"}, {"name": "osm-validate"}],
                        "containers": [{"name": "app"}, {"name": mesh.proxy}, {"name": mesh.healthcheck}],
                        "volumes": [{"name": "data"}]
                    }}),
                ] {
                    assert_eq!(done(&steps, other.clone()), other);
                }
            }
        }
    }
}

#[test]
fn both_kinds_of_policies_say_the_same() {
    for mesh in MESHES {
        for prefix in ["", "native-"] {
            let [admission, kyverno] = mesh.policies(prefix);
            assert_eq!(admission.len(), kyverno.len(), "{prefix}");
            for (ours, theirs) in admission.iter().zip(&kyverno) {
                assert_eq!(ours, theirs, "{}{prefix}", mesh.directory);
            }
        }
        for (plain, native) in mesh.policies("").iter().zip(mesh.policies("native-")) {
            assert_eq!(plain[..], native[..plain.len()], "native begins with all of the plain one");
        }
    }
}

#[test]
fn policies_have_the_form_that_sees_injected_pods() {
    for mesh in MESHES {
        for prefix in ["", "native-"] {
            let documents = mesh.documents(&format!("{prefix}admission-policy.yaml"));
            let [policy, binding] = &documents[..] else { panic!("two objects") };
            let spec = &policy["spec"];
            assert_eq!(spec["reinvocationPolicy"], "IfNeeded");
            assert!(spec["matchConditions"].is_null());
            assert!(spec["matchConstraints"]["objectSelector"].is_null());
            // They are computed once for all mutations.
            assert!(spec["variables"].is_null());
            let injected = json!([{"key": mesh.label, "operator": "Exists"}]);
            let namespaces = &spec["matchConstraints"]["namespaceSelector"]["matchExpressions"];
            assert_eq!(*namespaces, injected);
            assert_eq!(binding["spec"]["policyName"], policy["metadata"]["name"]);
            let chosen = &binding["spec"]["matchResources"]["namespaceSelector"]["matchLabels"];
            let documents = mesh.documents(&format!("{prefix}kyverno-policy.yaml"));
            let [kyverno] = &documents[..] else { panic!("one object") };
            assert_eq!(kyverno["kind"], "ClusterPolicy");
            let resources = &kyverno["spec"]["rules"][0]["match"]["any"][0]["resources"];
            let mut expected = injected;
            if prefix.is_empty() {
                assert!(chosen.is_null());
            } else {
                assert_eq!(*chosen, json!({"osm-cni/native-sidecars": "enabled"}));
                let opted = json!({"key": "osm-cni/native-sidecars", "operator": "In", "values": ["enabled"]});
                expected.as_array_mut().expect("a list").push(opted);
            }
            assert_eq!(resources["namespaceSelector"]["matchExpressions"], expected);
        }
    }
}

/// FSM's files are those of OSM under FSM's names, and nobody writes them by hand.
#[test]
fn fsms_manifests_are_osms_under_its_own_names() {
    let mut wrong = Vec::new();
    for file in [
        "admission-policy.yaml",
        "kyverno-policy.yaml",
        "native-admission-policy.yaml",
        "native-kyverno-policy.yaml",
        "meshconfig-sync.yaml",
    ] {
        let osm = read(&format!("install/{file}"));
        let fsm = FSM_FOR_OSM.iter().fold(osm, |text, (from, to)| text.replace(from, to));
        let path = root().join(FSM.directory).join(file);
        if std::fs::read_to_string(&path).is_ok_and(|text| text == fsm) {
            continue;
        }
        match std::env::var_os("OSM_CNI_BLESS") {
            Some(_) => host::write(&path, &fsm),
            None => wrong.push(path.display().to_string()),
        }
    }
    assert!(wrong.is_empty(), "other than {} (OSM_CNI_BLESS=1 writes them)", wrong.join(", "));
}
