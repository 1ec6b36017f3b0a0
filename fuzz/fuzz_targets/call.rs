//! A whole call without its side effects. The first line of the input is
//! `VERB CNI_ARGS`, the rest is standard input.
#![no_main]

use std::ffi::OsString;

use libfuzzer_sys::fuzz_target;
use osm_cni::admit::{Admission, Decision, admit};
use osm_cni::cni::request::{self, Request};
use osm_cni::cni::{CniError, reply};
use osm_cni::kubelet::{VolumeQuery, Volumes};
use osm_cni::nft::{decode, encode};
use serde_json::Value;

fn is_an_answer(error: &CniError, stdin: &[u8]) {
    let answer = reply::failure(error, request::version_of(stdin).as_deref());
    let json: Value = serde_json::from_str(&answer).expect("an answer is JSON");
    let msg = json["msg"].as_str().expect("an answer has a message");
    assert!(
        !msg.is_empty() && !msg.contains(osm_cni::sanitize::is_unprintable) && answer.len() < 8_000
    );
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
    let attachment = match &call.request {
        Request::Add(attachment, result) => {
            let answer = reply::pass_on(result, call.version);
            assert!(serde_json::from_str::<Box<serde_json::value::RawValue>>(&answer).is_ok());
            attachment
        }
        Request::Check(attachment) => attachment,
        _ => return,
    };
    let owner = attachment.owner();
    let volumes = |_: &VolumeQuery<'_>| Ok(Volumes::NoPod);
    match admit(&attachment.settings, &attachment.pod, volumes, Some(&owner)) {
        Err(error) => is_an_answer(&CniError::Plugin(error.into()), stdin),
        Ok(Admission { decision: Decision::Leave(reason), .. }) => {
            assert!(!reason.to_string().is_empty());
        }
        Ok(Admission { decision: Decision::Redirect(redirect), .. }) => {
            let batch = encode::replace(&redirect.ruleset, &[]);
            let read = decode::installed(batch.bytes());
            assert_eq!(read.tables.len(), redirect.ruleset.tables.len());
        }
    }
});
