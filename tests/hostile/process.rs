//! The real process on hostile input: it ends by itself, with one JSON object
//! on standard output and an exit status of 0 or 1.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{cases, damage, damaged, json, text};
use crate::support::plugin::{Answer, Call, conf, enabled};

/// One JSON object and nothing else; only these calls have no answer at all.
fn is_lawful(verb: &str, answer: &Answer) -> Result<(), TestCaseError> {
    let silent = ["CHECK", "DEL", "GC", "STATUS"].contains(&verb);
    match answer.status {
        Some(0) if silent => prop_assert_eq!(&answer.stdout, ""),
        Some(0 | 1) => {
            let json: Result<Map<String, Value>, _> = serde_json::from_str(&answer.stdout);
            prop_assert!(json.is_ok(), "{answer:?}");
            let code = json.ok().and_then(|json| json.get("code").and_then(Value::as_i64));
            prop_assert_eq!(code.is_some(), answer.status == Some(1), "{:?}", answer);
            prop_assert_ne!(code, Some(199), "a panic: {:?}", answer);
        }
        _ => return Err(TestCaseError::fail(format!("{answer:?}"))),
    }
    prop_assert!(answer.stderr.len() < 10_000, "{} bytes", answer.stderr.len());
    Ok(())
}

/// Whether the process may run with this input as root: damage must not have
/// made it name a log file.
fn logs_nowhere(input: &[u8]) -> bool {
    match serde_json::from_slice::<Map<String, Value>>(input) {
        Ok(fields) => fields.get("logFile") == Some(&json!("")),
        Err(_) => true,
    }
}

const VERBS: [&str; 6] = ["ADD", "CHECK", "DEL", "GC", "STATUS", "VERSION"];

proptest! {
    #![proptest_config(cases(120))]

    #[test]
    fn the_process_answers_any_input(
        verb in proptest::sample::select(&VERBS[..]),
        damage in damage(),
        more in json(),
    ) {
        let mut conf = enabled(conf("1.1.0"));
        conf["prevResult"]["more"] = more;
        let input = damaged(&conf.to_string(), &damage);
        prop_assume!(logs_nowhere(&input));
        is_lawful(verb, &Call::new(verb, &conf).stdin(input).run())?;
    }

    #[test]
    fn the_process_answers_any_environment(
        verb in prop_oneof![proptest::sample::select(&VERBS[..]).prop_map(str::to_owned), text()],
        values in vec((0usize..4, vec(1u8.., 0..40)), 0..4),
        args in text(),
    ) {
        let verb = verb.replace('\0', "");
        let mut call = Call::new(&verb, &enabled(conf("1.1.0"))).env("CNI_ARGS", args.replace('\0', ""));
        for (which, bytes) in values {
            let name = ["CNI_CONTAINERID", "CNI_IFNAME", "CNI_NETNS", "CNI_ARGS"][which];
            call = call.env(name, OsString::from_vec(bytes));
        }
        is_lawful(&verb, &call.run())?;
    }
}

/// `CNI_NETNS` is a path that a runtime sets; no file at it holds the plugin.
#[test]
fn no_path_holds_or_fools_the_plugin() {
    let long = format!("/{}", "x/".repeat(60_000));
    let paths = [
        "/",
        "/dev/null",
        "/dev/zero",
        "/dev/tty",
        "/dev/full",
        "/proc/self/mem",
        "/proc/kmsg",
        "/proc/self/ns/net",
        "/proc/self/ns/mnt",
        "/proc/1/ns/net",
        "relative",
        "\n",
        &long,
    ];
    for path in paths {
        for verb in ["ADD", "CHECK"] {
            let answer = Call::new(verb, &enabled(conf("1.0.0"))).env("CNI_NETNS", path).run();
            let json = answer.json();
            let code = json["code"].as_i64();
            assert!(matches!(code, Some(5 | 101)), "{path:.80}: {json}");
            let msg = json["msg"].as_str().expect("a message");
            assert!(msg.len() < 2000 && !msg.contains('\n'), "{msg}");
        }
        Call::new("DEL", &enabled(conf("1.0.0"))).env("CNI_NETNS", path).run().ok();
    }
}
