//! Bad input gets one clear sentence: what, where, the value. Pods that do not
//! need the bad part are not harmed.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use serde_json::{Value, json};

use crate::support::plugin::{Call, annotated, conf, enabled};

/// Sets the value at a path like `traffic.outboundPortExclusionList`.
fn with(mut conf: Value, path: &str, value: Value) -> Value {
    let mut place = &mut conf;
    for field in path.split('.') {
        place = &mut place[field];
    }
    *place = value;
    conf
}

#[test]
fn a_wrong_setting_is_named_with_its_path_and_value() {
    let long = "x".repeat(100_000);
    let cases = [
        ("ruleset", json!("osm-v2"), "ruleset: \"osm-v2\" is not one of osm-v0, osm-v1, fsm"),
        ("ruleset", json!(0), "ruleset: 0 is not one of osm-v0, osm-v1, fsm"),
        ("ruleset", json!("ösm"), "ruleset: \"ösm\" is not one of"),
        ("traffic", json!([]), "traffic: [] is not an object"),
        (
            "traffic.outboundPortExclusionList",
            json!([80, 70000]),
            "traffic.outboundPortExclusionList[1]: 70000 is not a port (1-65535)",
        ),
        (
            "traffic.outboundPortExclusionList",
            json!([0]),
            "traffic.outboundPortExclusionList[0]: 0 is not a port (1-65535)",
        ),
        ("traffic.outboundPortExclusionList", json!([-1]), "[0]: -1 is not a port"),
        ("traffic.outboundPortExclusionList", json!([80.5]), "[0]: 80.5 is not a port"),
        ("traffic.outboundPortExclusionList", json!([null]), "[0]: null is not a port"),
        (
            "traffic.outboundPortExclusionList",
            json!(["8010-8000"]),
            "[0]: \"8010-8000\" is not a port (1-65535) or a range like 8000-8010",
        ),
        ("traffic.outboundPortExclusionList", json!(["+80"]), "[0]: \"+80\" is not a port"),
        (
            "traffic.outboundPortExclusionList",
            json!(80),
            "traffic.outboundPortExclusionList: 80 is not a list",
        ),
        (
            "traffic.inboundPortExclusionList",
            json!([65536]),
            "traffic.inboundPortExclusionList[0]: 65536 is not a port",
        ),
        (
            "traffic.outboundIPRangeExclusionList",
            json!(["1.1.1.1/33"]),
            "traffic.outboundIPRangeExclusionList[0]: \"1.1.1.1/33\" is not a range of addresses",
        ),
        ("traffic.outboundIPRangeExclusionList", json!([long]), "xxxx… is not a range"),
        (
            "traffic.outboundIPRangeInclusionList",
            json!(["ten"]),
            "traffic.outboundIPRangeInclusionList[0]: \"ten\" is not a range",
        ),
        (
            "traffic.networkInterfaceExclusionList",
            json!(["sixteencharacter"]),
            "traffic.networkInterfaceExclusionList[0]: \"sixteencharacter\" is not an interface name",
        ),
        (
            "traffic.outboundUIDExclusionList",
            json!([4294967295u64]),
            "traffic.outboundUIDExclusionList[0]: 4294967295 is not a uid",
        ),
        ("sidecar", json!("x"), "sidecar: \"x\" is not an object"),
        (
            "sidecar.localProxyMode",
            json!("podip"),
            "sidecar.localProxyMode: \"podip\" is not one of Localhost, PodIP",
        ),
        ("proxy", json!(1500), "proxy: 1500 is not an object"),
        ("proxy.uid", json!("envoy"), "proxy.uid: \"envoy\" is not a uid"),
        ("proxy.outboundPort", json!(0), "proxy.outboundPort: 0 is not a port"),
        ("proxy.inboundPort", json!("15003"), "proxy.inboundPort: \"15003\" is not a port"),
        ("proxy.adminPort", json!(1e6), "proxy.adminPort: 1000000.0 is not a port"),
        (
            "proxy.inboundBypassPorts",
            json!(["a"]),
            "proxy.inboundBypassPorts[0]: \"a\" is not a port",
        ),
        ("ipv6", json!(true), "ipv6: true is not one of bypass, redirect, reject"),
        ("meshNamespaces", json!("*"), "meshNamespaces: \"*\" is not a list"),
        ("meshNamespaces", json!([""]), "meshNamespaces[0]: \"\" is not a non-empty string"),
        ("excludedNamespaces", json!({}), "excludedNamespaces: {} is not a list"),
        ("sidecarVolumes", json!([5]), "sidecarVolumes[0]: 5 is not the name of a volume"),
        ("kubeletDir", json!("var/lib"), "kubeletDir: \"var/lib\" is not an absolute path"),
        ("podExclusions", json!("never"), "podExclusions: \"never\" is not one of honor, ignore"),
        ("annotationPrefix", json!("a/b"), "annotationPrefix: \"a/b\" is not an annotation prefix"),
        ("logLevel", json!("loud"), "logLevel: \"loud\" is not one of off, error"),
        ("logFile", json!("log"), "logFile: \"log\" is not an absolute path"),
    ];
    for (path, value, expected) in cases {
        let conf = with(enabled(conf("1.0.0")), path, value);
        for verb in ["ADD", "CHECK"] {
            let msg = Call::new(verb, &conf).run().error(7);
            assert!(msg.contains(expected), "expected: {expected}\nsaid: {msg}");
            assert!(msg.len() < 400 && !msg.contains('\n'), "{msg}");
        }
    }
}

#[test]
fn pods_of_excluded_namespaces_pass_with_any_runtime_config() {
    for runtime in [json!([]), json!(5), json!({"io.kubernetes.cri.pod-annotations": []})] {
        let mut conf = conf("1.0.0");
        conf["runtimeConfig"] = runtime;
        let system = Call::new("ADD", &conf);
        system.env("CNI_ARGS", "K8S_POD_NAMESPACE=kube-system;K8S_POD_NAME=x").run().ok();
        Call::new("ADD", &conf).run().error(6);
    }
}

#[test]
fn a_wrong_list_fails_only_pods_that_would_be_redirected() {
    let wrong = with(conf("1.0.0"), "traffic.outboundPortExclusionList", json!([70000]));
    Call::new("ADD", &wrong).run().ok();
    let disabled = json!({"openservicemesh.io/sidecar-injection": "disabled"});
    Call::new("ADD", &annotated(wrong.clone(), disabled)).run().ok();
    let system = Call::new("ADD", &enabled(wrong.clone()));
    system.env("CNI_ARGS", "K8S_POD_NAMESPACE=kube-system;K8S_POD_NAME=x").run().ok();
    Call::new("ADD", &enabled(wrong)).run().error(7);
}

#[test]
fn wrong_selecting_fields_spare_the_excluded_namespaces_only() {
    let system = |conf: &Value| {
        Call::new("ADD", conf).env("CNI_ARGS", "K8S_POD_NAMESPACE=kube-system;K8S_POD_NAME=x")
    };
    for (path, value) in [
        ("meshNamespaces", json!(5)),
        ("sidecarVolumes", json!(5)),
        ("kubeletDir", json!(5)),
        ("podExclusions", json!(5)),
        ("annotationPrefix", json!(5)),
        ("excludedNamespaces", json!(5)),
    ] {
        let conf = with(conf("1.0.0"), path, value);
        system(&conf).run().ok();
        let msg = Call::new("ADD", &conf).run().error(7);
        assert!(msg.starts_with(path), "{msg}");
        Call::new("ADD", &conf).env("CNI_ARGS", "K8S_POD_NAMESPACE=demo").run().error(7);
    }
}

#[test]
fn an_unknown_field_is_a_warning() {
    let conf = with(with(conf("1.0.0"), "rulset", json!("osm-v1")), "proxy", json!({"uuid": 5}));
    let answer = Call::new("ADD", &conf).run();
    answer.ok();
    assert!(answer.stderr.contains("rulset") && answer.stderr.contains("proxy.uuid"), "{answer:?}");
    // In the parts that are pasted from a MeshConfig much is not about us.
    let conf = with(
        with(conf, "traffic.enableEgress", json!(true)),
        "sidecar",
        json!({"logLevel": "error"}),
    );
    let stderr = Call::new("ADD", &conf).run().stderr;
    assert!(!stderr.contains("enableEgress") && !stderr.contains("logLevel"), "{stderr}");
}

#[test]
fn a_wrong_annotation_is_named_with_its_key_and_value() {
    let long = "9".repeat(100_000);
    let port = "is not a port (1-65535) or a range like 8000-8010";
    let range = "is not a range of addresses";
    let cases = [
        (
            "sidecar-injection",
            json!("maybe"),
            "\"maybe\" is not one of enabled, yes, true, disabled, no, false",
        ),
        ("sidecar-injection", json!(""), "\"\" is not one of enabled"),
        ("sidecar-injection", json!(true), "true is not a string"),
        ("outbound-port-exclusion-list", json!("80,abc"), port),
        ("outbound-port-exclusion-list", json!("80,,81"), "\"\" is not a port"),
        ("outbound-port-exclusion-list", json!("0"), port),
        ("outbound-port-exclusion-list", json!("65536"), port),
        ("outbound-port-exclusion-list", json!("9-1"), "\"9-1\" is not a port"),
        ("outbound-port-exclusion-list", json!("８０"), port),
        ("outbound-port-exclusion-list", json!(long), "999…\" is not a port"),
        ("outbound-port-exclusion-list", json!(8080), "8080 is not a string"),
        ("inbound-port-exclusion-list", json!("http"), port),
        ("outbound-ip-range-exclusion-list", json!("10.0.0.0/8, 1.2.3"), range),
        ("outbound-ip-range-inclusion-list", json!("::/129"), range),
        ("outbound-uid-exclusion-list", json!("root"), "\"root\" is not a uid"),
        ("outbound-uid-exclusion-list", json!("4294967295"), "is not a uid"),
        ("outbound-port-exclusion-list", json!("1\n2026-01-01 verb=ADD"), "\\n2026"),
    ];
    for (name, value, expected) in cases {
        let key = format!("openservicemesh.io/{name}");
        let mut annotations = json!({"openservicemesh.io/sidecar-injection": "enabled"});
        annotations[&key] = value;
        let msg = Call::new("ADD", &annotated(conf("1.0.0"), annotations)).run().error(100);
        assert!(msg.contains(&key) && msg.contains(expected), "expected: {expected}\nsaid: {msg}");
        assert!(msg.len() < 400 && !msg.contains('\n'), "{msg}");
    }
}

#[test]
fn list_annotations_are_not_read_for_pods_that_are_left_alone() {
    let annotations = json!({"openservicemesh.io/outbound-port-exclusion-list": "garbage"});
    Call::new("ADD", &annotated(conf("1.0.0"), annotations)).run().ok();
}

#[test]
fn other_peoples_annotations_are_no_business_of_ours() {
    let annotations = json!({"openservicemesh.io/metrics": "enabled", "x": 5, "y": null});
    Call::new("ADD", &annotated(conf("1.0.0"), annotations)).run().ok();
}

#[test]
fn standard_input_that_is_no_configuration_is_error_6() {
    let call = Call::new("ADD", &Value::Null);
    let deep = "[".repeat(100_000);
    for input in ["", "null", "[]", "{", "5", "{\"cniVersion\":5}", "\u{feff}{}", &deep] {
        call.clone().stdin(input).run().error(6);
    }
    call.clone().stdin(vec![0xff; 1000]).run().error(6);
    call.stdin(vec![b' '; (16 << 20) + 1]).run().error(6);
    for runtime in [json!({"io.kubernetes.cri.pod-annotations": [1]}), json!([])] {
        let mut conf = conf("1.0.0");
        conf["runtimeConfig"] = runtime;
        let msg = Call::new("ADD", &conf).run().error(6);
        assert!(msg.contains("runtimeConfig"), "{msg}");
    }
}

#[test]
fn a_variable_that_is_not_utf_8_is_an_error_or_a_path() {
    let odd = || OsString::from_vec(vec![b'a', 0xff]);
    let call = Call::new("ADD", &enabled(conf("1.0.0")));
    call.clone().env("CNI_CONTAINERID", odd()).run().error(4);
    call.env("CNI_NETNS", odd()).run().error(5);
}

#[test]
fn the_runtime_must_pass_annotations_for_pods_of_the_mesh_only() {
    let mut conf = conf("1.0.0");
    conf.as_object_mut().expect("an object").remove("runtimeConfig");
    Call::new("ADD", &conf).run().ok();
    conf["meshNamespaces"] = json!(["demo"]);
    let answer = Call::new("ADD", &conf).run();
    assert!(answer.error(104).contains("meshNamespaces"), "{answer:?}");
    assert!(
        answer.json()["details"]
            .as_str()
            .is_some_and(|text| text.contains("containerd >= 1.5.3") && text.contains("Multus"))
    );
    // Null is not missing: the pod has none.
    conf["runtimeConfig"] = json!({"io.kubernetes.cri.pod-annotations": null});
    Call::new("ADD", &conf).run().error(5);
    conf["runtimeConfig"] = json!({});
    conf["podExclusions"] = json!("ignore");
    Call::new("ADD", &conf).run().error(5);
}
