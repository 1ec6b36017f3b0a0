//! A whole call without its side effects: from environment and input to the
//! answer, or to the bytes for the kernel.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

use osm_cni::admit::{self, Admission, Decision};
use osm_cni::cni::request::{self, Request};
use osm_cni::cni::{CniError, reply};
use osm_cni::kubelet;
use osm_cni::nft::{decode, encode};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{cases, damage, damaged, json, text};
use crate::support::plugin::{annotated, conf};

const VERBS: [&str; 6] = ["ADD", "CHECK", "DEL", "GC", "STATUS", "VERSION"];

/// Does all of a call that has no side effects.
pub(super) fn serve(
    env: &dyn Fn(&str) -> Option<OsString>,
    stdin: &[u8],
) -> Result<(), TestCaseError> {
    let call = match request::parse(&env, stdin) {
        Ok(call) => call,
        Err(error) => return is_an_answer(&error.into(), stdin),
    };
    let attachment = match &call.request {
        Request::Add(attachment, result) => {
            let answer = reply::pass_on(result, call.version);
            prop_assert!(serde_json::from_str::<Value>(&answer).is_ok(), "{answer}");
            attachment
        }
        Request::Check(attachment) => attachment,
        _ => return Ok(()),
    };
    let owner = attachment.owner();
    match admit::admit(&attachment.settings, &attachment.pod, kubelet::volumes, Some(&owner)) {
        Err(error) => is_an_answer(&CniError::Plugin(error.into()), stdin),
        Ok(Admission { decision: Decision::Leave(_), .. }) => Ok(()),
        Ok(Admission { decision: Decision::Redirect(redirect), .. }) => {
            let batch = encode::replace(&redirect.ruleset, &[]);
            let read = decode::installed(batch.bytes());
            prop_assert_eq!(read.tables.len(), redirect.ruleset.tables.len());
            Ok(())
        }
    }
}

/// Every failure is one JSON object of the specification's form, and short.
fn is_an_answer(error: &CniError, stdin: &[u8]) -> Result<(), TestCaseError> {
    let version = request::version_of(stdin);
    let answer = reply::failure(error, version.as_deref());
    let json: Value = serde_json::from_str(&answer)
        .map_err(|error| TestCaseError::fail(format!("{error}: {answer}")))?;
    prop_assert!(json["cniVersion"].is_string() && json["code"].is_i64(), "{json}");
    let msg = json["msg"].as_str().unwrap_or_default();
    prop_assert!(!msg.is_empty() && !msg.contains(osm_cni::sanitize::is_unprintable), "{json}");
    prop_assert!(msg.chars().count() < 1_100, "{msg}");
    Ok(())
}

/// The environment of a call, with these values.
fn env(verb: &str, values: [Vec<u8>; 3]) -> impl Fn(&str) -> Option<OsString> {
    let verb = OsString::from(verb);
    let [container, interface, args] = values.map(OsString::from_vec);
    move |name| match name {
        "CNI_COMMAND" => Some(verb.clone()),
        "CNI_CONTAINERID" => Some(container.clone()),
        "CNI_IFNAME" => Some(interface.clone()),
        "CNI_NETNS" => Some("/nonexistent".into()),
        "CNI_ARGS" => Some(args.clone()),
        _ => None,
    }
}

fn pod_env(verb: &str) -> impl Fn(&str) -> Option<OsString> {
    let args = b"K8S_POD_NAMESPACE=demo;K8S_POD_NAME=web";
    env(verb, [b"0ec2".to_vec(), b"eth0".to_vec(), args.to_vec()])
}

fn sample(annotations: Value) -> Value {
    let mut conf = annotated(conf("1.1.0"), annotations);
    conf["meshNamespaces"] = json!(["*"]);
    conf["ipv6"] = json!("redirect");
    conf
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn any_input_has_an_answer(verb in proptest::sample::select(&VERBS[..]), input in json()) {
        serve(&pod_env(verb), input.to_string().as_bytes())?;
    }

    #[test]
    fn any_bytes_have_an_answer(
        verb in proptest::sample::select(&VERBS[..]),
        input in vec(any::<u8>(), 0..300),
    ) {
        serve(&pod_env(verb), &input)?;
    }

    #[test]
    fn damaged_input_has_an_answer(verb in proptest::sample::select(&VERBS[..]), damage in damage()) {
        let input = sample(json!({"openservicemesh.io/outbound-port-exclusion-list": "80,443"}));
        serve(&pod_env(verb), &damaged(&input.to_string(), &damage))?;
    }

    #[test]
    fn any_environment_has_an_answer(
        verb in prop_oneof![proptest::sample::select(&VERBS[..]).prop_map(str::to_owned), text()],
        container in vec(any::<u8>(), 0..30),
        interface in vec(any::<u8>(), 0..20),
        args in text(),
    ) {
        let values = [container, interface, args.into_bytes()];
        serve(&env(&verb, values), sample(json!({})).to_string().as_bytes())?;
    }

    #[test]
    fn any_arguments_have_an_answer(args in text(), namespace in text()) {
        let args = format!("K8S_POD_NAMESPACE={namespace};K8S_POD_UID={args};{args}").into_bytes();
        let env = env("ADD", [b"0ec2".to_vec(), b"eth0".to_vec(), args]);
        let mut conf = sample(json!({}));
        serve(&env, conf.to_string().as_bytes())?;
        // the namespace is part of this error's message
        conf.as_object_mut().expect("an object").remove("runtimeConfig");
        serve(&env, conf.to_string().as_bytes())?;
    }

    #[test]
    fn whatever_a_pod_asks_for_is_what_is_sent(
        ports in vec((1u16.., 0u16..300), 0..30),
        ranges in vec((any::<u32>(), 0u8..=32), 0..30),
        sixth in vec((any::<u128>(), 0u8..=128), 0..30),
        uids in vec(0..u32::MAX, 0..30),
    ) {
        let join = |items: Vec<String>| items.join(",");
        let ranges = ranges.into_iter().map(|(ip, len)| format!("{}/{len}", std::net::Ipv4Addr::from(ip)));
        let sixth = sixth.into_iter().map(|(ip, len)| format!("{}/{len}", std::net::Ipv6Addr::from(ip)));
        let port = |(first, more): (u16, u16)| format!("{first}-{}", first.saturating_add(more));
        let annotations = json!({
            "openservicemesh.io/outbound-port-exclusion-list": join(ports.into_iter().map(port).collect()),
            "openservicemesh.io/outbound-ip-range-exclusion-list": join(ranges.chain(sixth).collect()),
            "openservicemesh.io/outbound-uid-exclusion-list": join(uids.iter().map(u32::to_string).collect()),
        });
        serve(&pod_env("ADD"), sample(annotations).to_string().as_bytes())?;
    }
}

/// Inputs that once did harm, or that a fuzzer found; one file each. The first
/// line of a file is the verb, the rest is standard input.
#[test]
fn every_case_on_file_has_an_answer() {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/cases/stdin");
    let mut count = 0;
    for entry in std::fs::read_dir(dir).expect("the cases") {
        let bytes = std::fs::read(entry.expect("a file").path()).expect("a file");
        let end = bytes.iter().position(|byte| *byte == b'\n').expect("a first line");
        let verb = String::from_utf8_lossy(&bytes[..end]).into_owned();
        serve(&pod_env(&verb), &bytes[end + 1..]).expect("an answer");
        count += 1;
    }
    assert!(count > 0, "no cases found");
}
