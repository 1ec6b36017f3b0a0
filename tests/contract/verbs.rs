//! Each verb in each version of the specification, with the samples that
//! containerd and CRI-O really send.

use std::io::{Seek as _, Write as _};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::plugin::{Call, annotated, conf, enabled};
use crate::support::strace;

const VERSIONS: [&str; 5] = ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"];

#[test]
fn a_pod_outside_the_mesh_gets_its_prev_result_back_as_it_came() {
    for version in VERSIONS {
        let mut conf = conf(version);
        conf["prevResult"]["ips"][0]["ours"] = json!({"unknown": [1, 2.50, "x"]});
        conf["prevResult"]["interfaces"][0]["mtu"] = json!(1400);
        conf["prevResult"]["interfaces"][0]["socketPath"] = json!("/run/x");
        conf["prevResult"]["routes"][0]["priority"] = json!(18446744073709551615u64);
        conf["prevResult"]["zzz"] = json!({"b": 1, "a": 2});
        let answer = Call::new("ADD", &conf).run();
        // Compared as text, so that order and numbers count.
        assert_eq!(answer.ok(), conf["prevResult"].to_string(), "{version}");
        assert_eq!(answer.stderr, "");
    }
}

#[test]
fn a_prev_result_without_a_version_gets_the_configurations() {
    for (result, expected) in [
        (json!({"ips": []}), json!({"cniVersion": "0.4.0", "ips": []})),
        (json!({}), json!({"cniVersion": "0.4.0"})),
    ] {
        let mut conf = conf("0.4.0");
        conf["prevResult"] = result;
        assert_eq!(Call::new("ADD", &conf).run().ok(), expected.to_string());
    }
}

#[test]
fn without_prev_result_there_is_nothing_to_follow() {
    for missing in [None, Some(Value::Null)] {
        let mut conf = conf("1.0.0");
        let fields = conf.as_object_mut().expect("an object");
        fields.remove("prevResult");
        fields.extend(missing.map(|value| ("prevResult".to_owned(), value)));
        let msg = Call::new("ADD", &conf).run().error(7);
        assert!(msg.contains("prevResult"), "{msg}");
    }
}

#[test]
fn version_needs_no_input_or_any() {
    let all = json!(["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]);
    let dummy = |call: Call| call.env("CNI_NETNS", "dummy").env("CNI_IFNAME", "dummy");
    let call = Call::new("VERSION", &Value::Null).without("CNI_ARGS");
    for (input, version) in [
        ("", "1.1.0"),
        ("not json", "1.1.0"),
        (r#"{"cniVersion":"0.4.0"}"#, "0.4.0"),
        (r#"{"cniVersion":"9.0.0"}"#, "1.1.0"),
    ] {
        let answer = dummy(call.clone()).stdin(input).run();
        answer.ok();
        assert_eq!(answer.json(), json!({"cniVersion": version, "supportedVersions": all}));
    }
    let alone = call
        .without("CNI_CONTAINERID")
        .without("CNI_NETNS")
        .without("CNI_IFNAME")
        .without("CNI_PATH");
    assert_eq!(alone.stdin("").run().json()["supportedVersions"], all);
}

#[test]
fn status_gc_and_check_exist_from_their_own_version_on() {
    for version in VERSIONS {
        let bare = |verb| {
            let call = Call::new(
                verb,
                &json!({"cniVersion": version, "name": "n", "type": "osm-cni", "logFile": ""}),
            );
            ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_ARGS"]
                .iter()
                .fold(call, |call, name| call.env(name, ""))
        };
        for verb in ["STATUS", "GC"] {
            let answer = bare(verb).run();
            match version {
                "1.1.0" => assert_eq!(answer.ok(), ""),
                _ => assert!(answer.error(1).contains(verb), "{answer:?}"),
            }
        }
        // Not a pod of the mesh: nothing to compare.
        let answer = Call::new("CHECK", &conf(version)).run();
        match version {
            "0.3.0" | "0.3.1" => assert!(answer.error(1).contains("CHECK"), "{answer:?}"),
            _ => assert_eq!(answer.ok(), ""),
        }
    }
}

/// An error of STATUS would make the whole node NotReady, for pods outside the
/// mesh too.
#[test]
fn status_without_nf_tables_is_a_warning() {
    let call = Call::new("STATUS", &conf("1.1.0"));
    for what in ["socket:error=EPROTONOSUPPORT", "socket:error=EPERM", "sendto:error=ENOBUFS"] {
        let (answer, trace) = strace::inject(&call, what);
        assert!(trace.was_injected(), "{what}: {trace:?}");
        assert_eq!(answer.ok(), "", "{what}");
        assert!(answer.stderr.contains("pods of the mesh cannot start"), "{what}: {answer:?}");
    }
}

/// CRI-O passes them at each of its starts, under either name.
#[test]
fn gc_takes_valid_attachments_or_none_and_warns_of_neither() {
    for attachments in [json!([{"containerID": "pod1", "ifname": "eth0"}]), Value::Null] {
        let mut conf = conf("1.1.0");
        for field in ["cni.dev/valid-attachments", "cni.dev/attachments"] {
            conf[field] = attachments.clone();
        }
        let answer = Call::new("GC", &conf).run();
        assert_eq!((answer.ok(), answer.stderr.as_str()), ("", ""));
    }
}

#[test]
fn a_del_succeeds_in_every_odd_state() {
    let mut bare = conf("0.3.1");
    for field in ["prevResult", "runtimeConfig"] {
        bare.as_object_mut().expect("an object").remove(field);
    }
    let mut wrong = conf("1.0.0");
    wrong["traffic"]["outboundPortExclusionList"] = json!([70000]);
    wrong["excludedNamespaces"] = json!(5);
    let invalid =
        annotated(conf("1.0.0"), json!({"openservicemesh.io/sidecar-injection": "maybe"}));
    let mut odd_annotations = conf("1.0.0");
    odd_annotations["runtimeConfig"] = json!({"io.kubernetes.cri.pod-annotations": 5});
    for conf in [bare, wrong, invalid, odd_annotations, enabled(conf("1.1.0"))] {
        let call = Call::new("DEL", &conf).env("CNI_ARGS", "odd");
        for netns in [
            "",
            "/run/netns/gone",
            "/etc/hostname",
            "/proc/self/ns/uts",
            "/proc/self/ns/net",
            "/proc/1/ns/net",
        ] {
            assert_eq!(call.clone().env("CNI_NETNS", netns).run().ok(), "", "{netns} {conf}");
        }
        assert_eq!(call.without("CNI_NETNS").run().ok(), "");
    }
}

#[test]
fn a_del_succeeds_with_any_input() {
    let call = Call::new("DEL", &Value::Null);
    let of_version = |version: Value| json!({"cniVersion": version, "logFile": ""}).to_string();
    let deep = "[".repeat(100_000);
    for input in [
        "",
        "null",
        "[]",
        "{",
        "{}",
        &deep,
        &of_version(json!("1.2.0")),
        &of_version(json!("")),
        &of_version(json!(5)),
        &conf("0.1.0").to_string(),
    ] {
        assert_eq!(call.clone().stdin(input).run().ok(), "", "{input}");
    }
    call.clone().stdin(vec![0xff; 1000]).run().ok();
    call.stdin(vec![b' '; (16 << 20) + 1]).run().ok();
    for (name, value) in
        [("CNI_CONTAINERID", "-x"), ("CNI_CONTAINERID", "a/b"), ("CNI_IFNAME", "a/b")]
    {
        Call::new("DEL", &conf("1.0.0")).env(name, value).run().ok();
    }
}

#[test]
fn an_unsupported_version_is_named() {
    for version in ["0.2.0", "0.1.0", "2.0.0", "1.0", "", "x"] {
        for verb in ["ADD", "CHECK", "GC", "STATUS"] {
            let msg = Call::new(verb, &conf(version)).run().error(1);
            assert!(msg.contains(version), "{msg}");
        }
    }
    let mut conf = conf("1.0.0");
    conf.as_object_mut().expect("an object").remove("cniVersion");
    Call::new("ADD", &conf).run().error(1);
}

#[test]
fn an_error_carries_the_configurations_version() {
    for version in VERSIONS {
        let answer = Call::new("ADD", &enabled(conf(version))).run();
        answer.error(5);
        assert_eq!(answer.json()["cniVersion"], version);
    }
}

#[test]
fn all_missing_variables_are_named_at_once() {
    let conf = conf("1.0.0");
    let bare = |verb| {
        let call = Call::new(verb, &conf);
        ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"]
            .iter()
            .fold(call, |call, name| call.without(name))
    };
    for verb in ["ADD", "CHECK"] {
        let msg = bare(verb).run().error(4);
        for name in ["CNI_CONTAINERID is missing", "CNI_NETNS is missing", "CNI_IFNAME is missing"]
        {
            assert!(msg.contains(name), "{msg}");
        }
    }
    let msg = bare("DEL").run().error(4);
    assert!(msg.contains("CNI_CONTAINERID") && !msg.contains("CNI_NETNS"), "{msg}");
    let msg = bare("EAT").run().error(4);
    assert!(msg.contains("CNI_COMMAND \"EAT\"") && msg.contains("CNI_IFNAME is missing"), "{msg}");
    // An empty CNI_COMMAND is a runtime's mistake, not a person's.
    bare("").run().error(4);
}

#[test]
fn variables_have_their_forms() {
    let call = Call::new("ADD", &conf("1.0.0"));
    for (name, value) in [
        ("CNI_CONTAINERID", "-x"),
        ("CNI_CONTAINERID", "a/b"),
        ("CNI_CONTAINERID", "a b"),
        ("CNI_IFNAME", "sixteencharacter"),
        ("CNI_IFNAME", ".."),
        ("CNI_IFNAME", "a/b"),
        ("CNI_IFNAME", "a:b"),
        ("CNI_IFNAME", "a b"),
        ("CNI_ARGS", "K8S_POD_NAMESPACE"),
    ] {
        let msg = call.clone().env(name, value).run().error(4);
        assert!(msg.contains(name) && msg.contains(value), "{msg}");
    }
    // Upper case is allowed in a container id, as are dots and underscores.
    call.env("CNI_CONTAINERID", "A0_b.C-d").run().ok();
}

/// A panic ends the process, so that the call is one of this test's own program.
#[test]
fn a_panic_is_answered_in_json_with_its_place() {
    const IS_THE_CALL: &str = "OSM_CNI_TEST_IS_THE_CALL";
    if std::env::var_os(IS_THE_CALL).is_some() {
        osm_cni::cni::run(|_| panic!("a bug of {}", "ours"));
        unreachable!("a call goes on after a panic");
    }
    let name = "contract::verbs::a_panic_is_answered_in_json_with_its_place";
    let mut stdin = tempfile::tempfile().expect("a temporary file");
    stdin.write_all(conf("0.4.0").to_string().as_bytes()).expect("written");
    stdin.rewind().expect("rewound");
    let call = Command::new(std::env::current_exe().expect("our own program"))
        .args([name, "--exact", "--nocapture"])
        .envs([(IS_THE_CALL, ""), ("CNI_COMMAND", "ADD")])
        .stdin(stdin)
        .output()
        .expect("started");
    // The test runner has its say before.
    let stdout = String::from_utf8_lossy(&call.stdout);
    let answer = &stdout[stdout.find('{').unwrap_or(0)..];
    let answer: Value =
        serde_json::from_str(answer).unwrap_or_else(|err| panic!("{err}: {stdout}"));
    assert_eq!((call.status.code(), &answer["code"]), (Some(1), &json!(199)));
    assert_eq!(answer["cniVersion"], "0.4.0");
    let msg = answer["msg"].as_str().expect("a message");
    assert!(msg.contains("verbs.rs:") && msg.contains("a bug of ours"), "{msg}");
}
