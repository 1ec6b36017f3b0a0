//! Environment and standard input become a call, or say what is wrong.

use serde_json::{Value, json};

use super::*;
use crate::config::CAPABILITY;
use crate::pod::{Annotations, Uid};

fn variables(verb: &str) -> Vec<(&'static str, String)> {
    vec![
        ("CNI_COMMAND", verb.to_owned()),
        ("CNI_CONTAINERID", "0ec2".to_owned()),
        ("CNI_IFNAME", "eth0".to_owned()),
        ("CNI_NETNS", "/run/netns/x".to_owned()),
        ("CNI_ARGS", "K8S_POD_UID=0-1;K8S_POD_NAME=web;K8S_POD_NAMESPACE=demo".to_owned()),
    ]
}

fn conf(version: &str) -> Value {
    json!({"cniVersion": version, "name": "n", "type": "osm-cni", "prevResult": {"ips": []}})
}

fn parse_with<T>(
    variables: &[(&'static str, String)],
    stdin: &[u8],
    then: impl FnOnce(Result<Call<'_>, RequestError>) -> T,
) -> T {
    let env = |name: &str| {
        variables.iter().find(|(it, _)| *it == name).map(|(_, value)| OsString::from(value))
    };
    then(parse(&env, stdin))
}

fn error(verb: &str, stdin: &str) -> String {
    parse_with(&variables(verb), stdin.as_bytes(), |call| call.expect_err("no call").to_string())
}

#[test]
fn an_add_has_all_that_came_with_it() {
    let text = conf("1.0.0").to_string();
    parse_with(&variables("ADD"), text.as_bytes(), |call| {
        let call = call.expect("a call");
        let Request::Add(attachment, result) = &call.request else { panic!("no ADD") };
        assert_eq!((call.version, result.get()), (SpecVersion::V1_0_0, r#"{"ips":[]}"#));
        assert_eq!((&*attachment.container, &*attachment.interface), ("0ec2", "eth0"));
        assert_eq!(attachment.pod_name.as_deref(), Some("demo/web"));
        assert!(matches!(attachment.pod.uid, Uid::Valid(_)));
        assert_eq!(attachment.pod.annotations, Annotations::NotPassed);
    });
}

#[test]
fn all_that_is_wrong_with_the_environment_is_named_at_once() {
    let mut variables = variables("ADD");
    variables[1].1 = "a/b".to_owned();
    variables.remove(3);
    variables.remove(2);
    parse_with(&variables, b"", |call| {
        let error = call.expect_err("no call").to_string();
        for part in ["CNI_CONTAINERID \"a/b\"", "CNI_IFNAME is missing", "CNI_NETNS is missing"] {
            assert!(error.contains(part), "{error}");
        }
    });
}

#[test]
fn a_verb_needs_its_version() {
    for (verb, version, fits) in [
        ("CHECK", "0.3.1", false),
        ("CHECK", "0.4.0", true),
        ("STATUS", "1.0.0", false),
        ("GC", "1.1.0", true),
    ] {
        let text = conf(version).to_string();
        let found = parse_with(&variables(verb), text.as_bytes(), |call| call.is_ok());
        assert_eq!(found, fits, "{verb} {version}");
    }
    assert!(error("ADD", &conf("2.0.0").to_string()).contains("cniVersion 2.0.0"));
    assert!(error("ADD", "[]").contains("[] is not an object"));
}

#[test]
fn a_removal_is_always_a_call() {
    let odd = [
        "".to_owned(),
        "[]".to_owned(),
        "{\"cniVersion\": 5}".to_owned(),
        conf("1.2.0").to_string(),
        json!({"name": "n"}).to_string(),
    ];
    let mut inputs: Vec<Vec<u8>> = odd.map(String::into_bytes).to_vec();
    inputs.push(vec![0xff; 9]);
    for input in inputs {
        parse_with(&variables("DEL"), &input, |call| {
            let call = call.expect("a call");
            let Request::Del(removal) = &call.request else { panic!("no DEL") };
            assert_eq!(removal.pod_name.as_deref(), Some("demo/web"));
            assert_eq!(removal.warnings.len(), 1, "{:?}", removal.warnings);
        });
    }
    let mut odd = variables("DEL");
    odd[1].1 = "a/b".to_owned();
    parse_with(&odd, conf("1.0.0").to_string().as_bytes(), |call| {
        let call = call.expect("a call");
        let Request::Del(removal) = &call.request else { panic!("no DEL") };
        assert_eq!((&removal.container, removal.warnings.len()), (&None, 1));
    });
    parse_with(&[("CNI_COMMAND", "DEL".to_owned())], b"", |call| {
        assert!(call.expect_err("no call").to_string().contains("CNI_IFNAME is missing"));
    });
}

#[test]
fn annotations_of_another_form_wait_until_they_are_needed() {
    for (runtime, expected) in [
        (json!(null), Annotations::NotPassed),
        (json!({}), Annotations::NotPassed),
        (json!({CAPABILITY: null}), Annotations::of_texts([])),
        (json!({CAPABILITY: {"a": "b"}}), Annotations::of_texts([("a".into(), "b".into())])),
    ] {
        let mut conf = conf("1.0.0");
        conf["runtimeConfig"] = runtime;
        let text = conf.to_string();
        let found = parse_with(&variables("CHECK"), text.as_bytes(), |call| {
            let Ok(Call { request: Request::Check(attachment), .. }) = call else {
                panic!("no CHECK")
            };
            attachment.pod.annotations
        });
        assert_eq!(found, expected);
    }
    for (runtime, path) in [(json!([]), "runtimeConfig"), (json!({CAPABILITY: [1]}), CAPABILITY)] {
        let mut conf = conf("1.0.0");
        conf["runtimeConfig"] = runtime;
        let text = conf.to_string();
        parse_with(&variables("CHECK"), text.as_bytes(), |call| {
            let Ok(Call { request: Request::Check(attachment), .. }) = call else {
                panic!("no CHECK")
            };
            let Annotations::Malformed(found) = attachment.pod.annotations else { panic!("read") };
            assert!(found.path.contains(path), "{}", found.path);
        });
    }
}
