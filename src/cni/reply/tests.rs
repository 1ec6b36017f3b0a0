//! Tables: each answer, and each error with its code and remedy.

use std::io;
use std::path::PathBuf;

use nix::errno::Errno;
use serde_json::{Value, json};

use super::*;
use crate::cni::request;
use crate::nft::Refusal;

fn parsed(answer: &str) -> Value {
    serde_json::from_str(answer).unwrap_or_else(|error| panic!("{error}: {answer}"))
}

#[test]
fn a_result_is_passed_on_as_it_came() {
    let version = SpecVersion::V1_0_0;
    for (result, answer) in [
        (r#"{"cniVersion":"0.4.0","x":1}"#, r#"{"cniVersion":"0.4.0","x":1}"#),
        (
            "{ \"x\" : [ 1.0, 1e2 ],\n\"cniVersion\":\"9\" }",
            "{ \"x\" : [ 1.0, 1e2 ],\n\"cniVersion\":\"9\" }",
        ),
        ("{}", r#"{"cniVersion":"1.0.0"}"#),
        ("{ }", r#"{"cniVersion":"1.0.0" }"#),
        (r#"{"x":{"cniVersion":"1"}}"#, r#"{"cniVersion":"1.0.0","x":{"cniVersion":"1"}}"#),
    ] {
        let result: Box<RawValue> = serde_json::from_str(result).expect("JSON");
        assert_eq!(pass_on(&result, version), answer);
    }
}

#[test]
fn the_supported_versions_are_those_that_are_read() {
    for version in SpecVersion::ALL {
        let answer = parsed(&versions(version));
        assert_eq!(answer["cniVersion"], version.as_str());
        let all = SpecVersion::ALL.map(|version| json!(version.as_str()));
        assert_eq!(answer["supportedVersions"], json!(all));
    }
}

#[test]
fn an_error_has_the_configurations_version_where_it_is_one() {
    let error = CniError::from(RequestError::NoPrevResult);
    let long = format!("1.0.{}", "0".repeat(100));
    for (version, answered) in [
        (Some("0.3.1"), "0.3.1"),
        (Some("9.8.7"), "9.8.7"),
        (Some("latest"), "1.1.0"),
        (Some("1.0.0 x"), "1.1.0"),
        (Some(long.as_str()), "1.1.0"),
        (None, "1.1.0"),
    ] {
        assert_eq!(parsed(&failure(&error, version))["cniVersion"], answered, "{version:?}");
    }
}

/// What a message quotes may be anything: it stays one line of bounded length.
#[test]
fn a_message_is_one_line_of_bounded_length() {
    for text in ["\n\u{1b}[2J\u{202e}\u{2028}\u{e0041}", &"\u{202e}".repeat(100_000)] {
        let errors = [
            RequestError::Version(text.to_owned()).into(),
            RequestError::Input(text.to_owned()).into(),
            PluginError::from(NetnsError::NotANamespace { path: text.into() }).into(),
            CniError::Internal { place: text.to_owned(), message: text.to_owned() },
        ];
        for error in errors {
            let answer = parsed(&failure(&error, None));
            let msg = answer["msg"].as_str().expect("a text");
            assert!(!msg.contains(sanitize::is_unprintable), "{msg:?}");
            assert!(msg.chars().count() < MESSAGE_MAX + 2, "{} characters", msg.chars().count());
        }
    }
}

fn denied() -> io::Error {
    Errno::EPERM.into()
}

fn pod() -> PathBuf {
    "/run/netns/pod".into()
}

fn refusal(errno: Errno) -> Box<Refusal> {
    let what = "the rules".to_owned();
    Box::new(Refusal { what, errno, text: None, attribute: None, hint: None })
}

/// Each kind of error: its code, and a part of its remedy.
fn errors() -> Vec<(CniError, i32, &'static str)> {
    let (doing, missing) = ("send the rules", "the kernel has no nf_tables");
    let environment = request::parse(&|_| None, b"").expect_err("no environment");
    let (needs, has) = (SpecVersion::V1_1_0, SpecVersion::V1_0_0);
    let request = |error: RequestError, code, part| (error.into(), code, part);
    let plugin = |error: PluginError, code, part| (error.into(), code, part);
    let netns = |error: NetnsError, code, part| plugin(error.into(), code, part);
    let nft = |error: NftError, code, part| plugin(error.into(), code, part);
    let gone = || io::Error::from(Errno::ENOENT);
    let net_admin = "needs CAP_NET_ADMIN in the pod's network namespace";
    vec![
        request(RequestError::Version("2.0.0".to_owned()), 1, "supported are 0.3.0, "),
        request(RequestError::VerbTooNew { verb: "GC", needs, has }, 1, "newer cniVersion"),
        request(environment, 4, "without CNI_COMMAND"),
        request(RequestError::Input("x".to_owned()), 6, "JSON object on standard input"),
        request(RequestError::NoPrevResult, 7, "at the end of the \"plugins\""),
        plugin(PolicyError::SeveralMeshes(Vec::new()).into(), 7, "one mesh only"),
        plugin(PolicyError::NoPodAddress("IPv4").into(), 7, "Localhost"),
        plugin(
            PolicyError::MeshNotServed { volume: String::new(), mesh: "fsm" }.into(),
            7,
            "\"fsm\"",
        ),
        netns(NetnsError::Open { path: pod(), source: gone() }, 5, "still there"),
        netns(NetnsError::Open { path: pod(), source: denied() }, 5, "CAP_SYS_PTRACE"),
        netns(NetnsError::Enter { path: pod(), source: denied() }, 5, "CAP_SYS_ADMIN"),
        netns(NetnsError::Undecided { path: pod(), link: "", source: gone() }, 5, "/proc"),
        netns(NetnsError::NotANamespace { path: pod() }, 101, "a pod's network namespace"),
        netns(NetnsError::OfAnotherKind { path: pod() }, 101, "a pod's network namespace"),
        netns(NetnsError::OurOwn { path: pod() }, 101, "never in the node's"),
        nft(NftError::Socket { doing, source: denied() }, 5, "CAP_NET_ADMIN on the node"),
        nft(NftError::NoAnswer { doing }, 5, "osm-cni inspect"),
        nft(NftError::Refused(refusal(Errno::EPERM)), 102, net_admin),
        nft(NftError::Refused(refusal(Errno::ENOENT)), 102, "modules nf_tables"),
        nft(NftError::Unsupported { missing, errno: Errno::EPERM }, 102, net_admin),
        nft(NftError::Unreadable { doing, errno: Errno::EPERM }, 102, net_admin),
        nft(NftError::Unreadable { doing, errno: Errno::EINVAL }, 102, "modules nf_tables"),
        nft(NftError::Changing, 102, "nothing was changed"),
        nft(NftError::Malformed { doing }, 102, "nothing was changed"),
        (CniError::Stdin(gone()), 5, "on standard input"),
        (CniError::Internal { place: "x".to_owned(), message: "y".to_owned() }, 199, "a bug"),
    ]
}

#[test]
fn each_error_has_its_code_and_remedy() {
    for (error, code, part) in errors() {
        let answer = parsed(&failure(&error, Some("1.0.0")));
        assert_eq!(answer["code"], code, "{answer}");
        let details = answer["details"].as_str().expect("a text");
        assert!(details.contains(part), "{answer}");
        assert_eq!(answer["msg"], ErrorChain(&error).to_string());
    }
}

/// Without a capability nothing else is missing, and so nothing else is advised.
#[test]
fn a_missing_capability_is_not_taken_for_something_else() {
    for (error, _, part) in errors() {
        if part.contains("CAP_") {
            let details = code_and_remedy(&error).1;
            assert!(!details.contains("CNI_NETNS") && !details.contains("modules"), "{details}");
        }
    }
}
