//! The table of decisions.

mod meshes;

use serde_json::{Value, json};

use super::*;
use crate::config::Settings;
use crate::pod::{PodUid, Uid};

/// Settings from their JSON.
fn settings(json: &Value) -> Settings {
    let text = json.to_string();
    Settings::parse(serde_json::from_str(&text).expect("an object"))
}

/// A pod of namespace `demo` that the kubelet has a directory of.
fn pod(annotations: &[(&str, &str)]) -> PodFacts {
    let all = annotations.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    PodFacts {
        namespace: Some("demo".to_owned()),
        uid: Uid::Valid(PodUid::new("0-1").expect("a uid")),
        annotations: Annotations::of_texts(all),
        addresses: PodAddresses::default(),
    }
}

/// The decision as a word, or the error as a sentence.
fn decided(settings_json: Value, pod: &PodFacts, volumes: Volumes) -> String {
    with_warnings(settings_json, pod, volumes).0
}

fn with_warnings(json: Value, pod: &PodFacts, volumes: Volumes) -> (String, Vec<String>) {
    let mut warnings = Vec::new();
    let decision = decide(&settings(&json), pod, |_| Ok(volumes), &mut warnings);
    let word = match decision {
        Ok(Decision::Leave(reason)) => reason.word().to_owned(),
        Ok(Decision::Redirect { because, mesh, .. }) => format!("{mesh} by {}", because.word()),
        Err(error) => error.to_string(),
    };
    (word, warnings)
}

fn mounted(names: &[&str]) -> Volumes {
    Volumes::Mounted(names.iter().map(|name| (*name).to_owned()).collect())
}

const OSM_VOLUME: &str = "envoy-bootstrap-config-volume";
const FSM_VOLUME: &str = "sidecar-bootstrap-config-volume";
const INJECTION: &str = "openservicemesh.io/sidecar-injection";
const FSM_INJECTION: &str = "flomesh.io/sidecar-injection";

#[test]
fn the_volume_tells_whether_there_is_a_sidecar() {
    let plain = pod(&[]);
    assert_eq!(decided(json!({}), &plain, mounted(&[OSM_VOLUME])), "osm by sidecar-volume");
    assert_eq!(decided(json!({}), &plain, mounted(&[])), "no-sidecar");
    let enabled = pod(&[(INJECTION, "enabled")]);
    assert_eq!(decided(json!({}), &enabled, mounted(&[])), "no-sidecar");
    let disabled = pod(&[(INJECTION, "disabled")]);
    assert_eq!(decided(json!({}), &disabled, mounted(&[OSM_VOLUME])), "disabled");
    let wrong = pod(&[(INJECTION, "maybe")]);
    assert!(decided(json!({}), &wrong, mounted(&[])).contains("\"maybe\" is not one of"));
}

#[test]
fn a_pod_that_should_have_a_sidecar_and_has_none_says_so() {
    let although = |annotations: &[(&str, &str)]| {
        let mut warnings = Vec::new();
        let volumes = |_: &VolumeQuery<'_>| Ok(mounted(&[]));
        let decision = decide(&settings(&json!({})), &pod(annotations), volumes, &mut warnings);
        let Ok(Decision::Leave(reason)) = decision else { panic!("{decision:?}") };
        reason.to_string().contains("although annotation sidecar-injection is enabled")
    };
    assert!(although(&[(INJECTION, "enabled")]));
    assert!(!although(&[]));
}

#[test]
fn without_a_directory_of_the_pod_annotation_and_namespace_tell() {
    let meshed = json!({"meshNamespaces": ["demo"]});
    let all = json!({"meshNamespaces": ["*"]});
    for (settings, annotations, expected) in [
        (json!({}), &[][..], "no-pod-dir"),
        (json!({}), &[(INJECTION, "enabled")], "osm by annotation"),
        (json!({}), &[(INJECTION, "disabled")], "disabled"),
        (meshed.clone(), &[], "osm by mesh-namespace"),
        (all, &[], "osm by mesh-namespace"),
        (meshed, &[(INJECTION, "disabled")], "disabled"),
        (json!({"meshNamespaces": ["other"]}), &[], "no-pod-dir"),
    ] {
        assert_eq!(
            decided(settings.clone(), &pod(annotations), Volumes::NoPod),
            expected,
            "{settings}"
        );
    }
}

#[test]
fn what_could_not_be_seen_has_a_reason_and_a_warning_of_its_own() {
    let no_uid = PodFacts { uid: Uid::Missing, ..pod(&[]) };
    let odd_uid = PodFacts { uid: Uid::Invalid, ..pod(&[]) };
    for (pod, volumes, reason, warning) in [
        (&no_uid, mounted(&[OSM_VOLUME]), "no-pod-uid", "passed no K8S_POD_UID"),
        (&odd_uid, mounted(&[OSM_VOLUME]), "no-pod-uid", "K8S_POD_UID is not a pod's uid"),
        (&pod(&[]), Volumes::NoPodsDirectory, "no-kubelet-dir", "/var/lib/kubelet/pods is missing"),
        (&pod(&[]), Volumes::NoPod, "no-pod-dir", "/var/lib/kubelet/pods/0-1 is missing"),
    ] {
        let (found, warnings) = with_warnings(json!({}), pod, volumes);
        assert_eq!(found, reason);
        assert!(warnings.iter().any(|it| it.contains(warning)), "{warnings:?}");
    }
    // Where no volume is looked for, nothing is missing.
    let (found, warnings) = with_warnings(json!({"sidecarVolumes": []}), &no_uid, Volumes::NoPod);
    assert_eq!((found.as_str(), warnings.len()), ("not-enrolled", 0));
    let enrolled = PodFacts { uid: Uid::Missing, ..self::pod(&[(INJECTION, "enabled")]) };
    let (found, warnings) = with_warnings(json!({}), &enrolled, Volumes::NoPod);
    assert_eq!((found.as_str(), warnings.len()), ("osm by annotation", 1));
}

#[test]
fn disabled_takes_a_pod_out_of_its_own_mesh_alone() {
    let out = pod(&[(INJECTION, "disabled")]);
    let error = decided(json!({}), &out, mounted(&[FSM_VOLUME]));
    assert!(error.contains("which the setting mesh does not name"), "{error}");
    assert_eq!(decided(json!({}), &out, mounted(&[])), "disabled");
    assert_eq!(decided(json!({}), &out, Volumes::NoPod), "disabled");
}

#[test]
fn a_mesh_without_sidecar_volumes_is_told_by_annotation_and_namespace() {
    let fsm = json!({"sidecarVolumes": [], "meshNamespaces": ["demo"]});
    let both = json!({"mesh": ["osm", "fsm"], "meshes": {"fsm": fsm}});
    assert_eq!(decided(both.clone(), &pod(&[]), mounted(&[])), "fsm by mesh-namespace");
    assert_eq!(decided(both, &pod(&[]), mounted(&[OSM_VOLUME])), "osm by sidecar-volume");
}

#[test]
fn a_sidecar_volume_is_a_volume_name() {
    let path = json!({"sidecarVolumes": ["kubernetes.io~secret/envoy"]});
    let error = decided(path, &pod(&[]), mounted(&[]));
    assert!(error.contains("sidecarVolumes[0]") && error.contains("name of a volume"), "{error}");
}

#[test]
fn a_mesh_that_is_named_twice_is_one() {
    let twice = json!({"mesh": ["osm", "osm"]});
    assert_eq!(decided(twice, &pod(&[]), mounted(&[OSM_VOLUME])), "osm by sidecar-volume");
}

#[test]
fn a_disk_that_cannot_be_read_is_an_error() {
    let failed = |_: &VolumeQuery<'_>| {
        let source = std::io::Error::from_raw_os_error(5);
        Err(KubeletError { path: "/var/lib/kubelet/pods".into(), source })
    };
    let error = decide(&settings(&json!({})), &pod(&[]), failed, &mut Vec::new());
    let error = error.expect_err("not known");
    let error = crate::error_chain::ErrorChain(&error).to_string();
    assert!(error.contains("whether this pod has a sidecar"), "{error}");
    assert!(error.contains("/var/lib/kubelet/pods") && error.contains("os error 5"), "{error}");
}

#[test]
fn pods_outside_the_mesh_pass_whatever_is_wrong() {
    let system = PodFacts { namespace: Some("kube-system".to_owned()), ..pod(&[]) };
    let malformed = Malformed { path: "runtimeConfig".to_owned(), value: "[]".to_owned() };
    let system = PodFacts { annotations: Annotations::Malformed(malformed), ..system };
    for wrong in
        [json!({}), json!({"mesh": 5}), json!({"kubeletDir": 5}), json!({"excludedNamespaces": 5})]
    {
        assert_eq!(decided(wrong, &system, Volumes::NoPod), "excluded-namespace");
    }
    let list = json!({"traffic": {"outboundPortExclusionList": [70000]}});
    assert_eq!(decided(list.clone(), &pod(&[]), mounted(&[])), "no-sidecar");
    assert!(decided(list, &pod(&[]), mounted(&[OSM_VOLUME])).contains("70000 is not a port"));
    assert!(decided(json!({"mesh": 5}), &pod(&[]), mounted(&[])).starts_with("mesh: 5 is not"));
    let nobody = PodFacts { namespace: None, ..pod(&[]) };
    assert_eq!(decided(json!({"mesh": 5}), &nobody, Volumes::NoPod), "not-kubernetes");
}

#[test]
fn pods_may_be_kept_from_taking_themselves_out() {
    let ignore = json!({"podExclusions": "ignore"});
    let disabled = pod(&[(INJECTION, "disabled")]);
    let (found, warnings) = with_warnings(ignore.clone(), &disabled, mounted(&[OSM_VOLUME]));
    assert_eq!(found, "osm by sidecar-volume");
    assert!(warnings[0].contains("does not count"), "{warnings:?}");
    // It has no sidecar: the annotation is why, and the log says so.
    assert_eq!(decided(ignore.clone(), &disabled, mounted(&[])), "disabled");
    assert_eq!(decided(ignore.clone(), &disabled, Volumes::NoPod), "disabled");
    let mut meshed = ignore;
    meshed["meshNamespaces"] = json!(["demo"]);
    assert_eq!(decided(meshed, &disabled, Volumes::NoPod), "osm by mesh-namespace");
}

#[test]
fn a_pod_of_the_mesh_needs_its_annotations() {
    let unknown = PodFacts { annotations: Annotations::NotPassed, ..pod(&[]) };
    let error = decided(json!({}), &unknown, mounted(&[OSM_VOLUME]));
    assert!(error.contains("the runtime passed no pod annotations"), "{error}");
    let ignore = json!({"podExclusions": "ignore"});
    assert_eq!(decided(ignore, &unknown, mounted(&[OSM_VOLUME])), "osm by sidecar-volume");
    assert_eq!(decided(json!({}), &unknown, mounted(&[])), "no-sidecar");
}

#[test]
fn annotations_that_take_everything_out_are_a_warning() {
    for (name, value, direction) in [
        ("outbound-ip-range-exclusion-list", "0.0.0.0/0", "outbound"),
        ("outbound-ip-range-exclusion-list", "0.0.0.0/1,128.0.0.0/1", "outbound"),
        ("outbound-port-exclusion-list", "1-65535", "outbound"),
        ("inbound-port-exclusion-list", "1-8000,8001-65535", "inbound"),
    ] {
        let pod = pod(&[(&format!("openservicemesh.io/{name}"), value)]);
        let (_, warnings) = with_warnings(json!({}), &pod, mounted(&[OSM_VOLUME]));
        assert!(warnings.len() == 1 && warnings[0].contains(direction), "{warnings:?}");
    }
    let pod = pod(&[("openservicemesh.io/outbound-port-exclusion-list", "1-65534")]);
    assert_eq!(with_warnings(json!({}), &pod, mounted(&[OSM_VOLUME])).1, [""; 0]);
}

#[test]
fn an_inclusion_list_of_one_family_is_a_warning() {
    for (ipv6, ranges, without) in [
        ("redirect", json!(["10.0.0.0/8"]), Some("no IPv6 range")),
        ("reject", json!(["10.0.0.0/8"]), Some("no IPv6 range")),
        ("bypass", json!(["2001:db8::/32"]), Some("no IPv4 range")),
        ("bypass", json!(["10.0.0.0/8"]), None),
        ("redirect", json!(["10.0.0.0/8", "2001:db8::/32"]), None),
        ("redirect", json!([]), None),
    ] {
        let json = json!({"ipv6": ipv6, "traffic": {"outboundIPRangeInclusionList": ranges}});
        let (_, warnings) = with_warnings(json.clone(), &pod(&[]), mounted(&[OSM_VOLUME]));
        let found = warnings.first().map(String::as_str).unwrap_or_default();
        assert_eq!(warnings.len(), usize::from(without.is_some()), "{json}");
        assert!(found.contains(without.unwrap_or_default()), "{found}");
    }
}

#[test]
fn pod_ip_needs_an_address_of_a_redirected_family() {
    let json = |ipv6: &str| json!({"ipv6": ipv6, "sidecar": {"localProxyMode": "PodIP"}});
    let with = |addresses: &[&str]| PodFacts {
        addresses: PodAddresses::new(
            addresses.iter().map(|it| it.parse().expect("an address")).collect(),
        ),
        ..pod(&[])
    };
    let decided =
        |ipv6, addresses: &[&str]| decided(json(ipv6), &with(addresses), mounted(&[OSM_VOLUME]));
    assert_eq!(decided("bypass", &["10.0.0.1"]), "osm by sidecar-volume");
    assert!(decided("bypass", &["2001:db8::1"]).contains("no IPv4 address"));
    assert_eq!(decided("redirect", &["2001:db8::1"]), "osm by sidecar-volume");
    assert!(decided("redirect", &[]).contains("no IPv4 or IPv6 address"));
}
