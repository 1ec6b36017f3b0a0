//! A whole call without its side effects. The first line of the input is
//! `VERB CNI_ARGS`, the rest is standard input.
#![no_main]

use std::ffi::OsString;

use libfuzzer_sys::fuzz_target;
use osm_cni::cni::request::{self, Request};
use osm_cni::cni::{CniError, reply};
use osm_cni::nft::{decode, encode};
use osm_cni::pod::{AddressSource, PodFacts};
use osm_cni::policy::{Decision, Volumes};
use osm_cni::ruleset::{self, Owner};
use serde_json::Value;

fn is_an_answer(error: &CniError, stdin: &[u8]) {
    let answer = reply::failure(error, request::version_of(stdin).as_deref());
    let json: Value = serde_json::from_str(&answer).expect("an answer is JSON");
    let msg = json["msg"].as_str().expect("an answer has a message");
    assert!(!msg.is_empty() && !msg.contains(osm_cni::sanitize::is_unprintable) && answer.len() < 8_000);
}

fuzz_target!(|data: &[u8]| {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let first = String::from_utf8_lossy(&data[..end]).into_owned();
    let stdin = data.get(end + 1..).unwrap_or_default();
    let (verb, args) = first.split_once(' ').unwrap_or((&first, ""));
    let env = |name: &str| match name {
        "CNI_COMMAND" => Some(OsString::from(verb)),
        "CNI_CONTAINERID" => Some("0ec2".into()),
        "CNI_IFNAME" => Some("eth0".into()),
        "CNI_NETNS" => Some("/nonexistent".into()),
        "CNI_ARGS" => Some(args.into()),
        _ => None,
    };
    let call = match request::parse(&env, stdin) {
        Ok(call) => call,
        Err(error) => return is_an_answer(&error.into(), stdin),
    };
    let (attachment, result) = match &call.request {
        Request::Add(attachment, result) => (attachment, Some(*result)),
        Request::Check(attachment, result) => (attachment, *result),
        _ => return,
    };
    let mut addresses = AddressSource::default();
    if let Some(result) = result {
        let answer = reply::pass_on(result, call.version);
        assert!(serde_json::from_str::<Box<serde_json::value::RawValue>>(&answer).is_ok());
        addresses = AddressSource::Result(result, &attachment.interface);
    }
    let pod = PodFacts::new(&attachment.args, attachment.annotations.clone(), addresses);
    match osm_cni::policy::decide(&attachment.conf, &pod, |_, _, _| Volumes::Unknown) {
        Err(error) => is_an_answer(&CniError::Plugin(error.into()), stdin),
        Ok(Decision::Leave(reason)) => assert!(!reason.to_string().is_empty()),
        Ok(Decision::Redirect { policy, .. }) => {
            let owner = Owner::new(&attachment.container, &attachment.interface);
            let ruleset = ruleset::build(&policy, Some(&owner));
            let batch = encode::replace(&ruleset, &[]);
            assert_eq!(decode::installed(batch.bytes()).tables.len(), ruleset.tables.len());
        }
    }
});
