//! What the plugin may weigh and cost: a node runs it for every pod, so neither
//! the program nor a call of it may grow unseen. They test the release build.

use serde_json::json;

use crate::support::netns::TestNetns;
use crate::support::plugin::{Call, conf, enabled};
use crate::support::strace;
use crate::support::{host, program};

/// The program, in bytes.
const PROGRAM_MAX: u64 = 3 << 20;

/// A call's largest size in memory, in KiB.
const MEMORY_MAX: u64 = 5 << 10;

#[test]
fn the_program_is_static_position_independent_and_small() {
    host::require(&["readelf"]);
    let program = program::release();
    let size = std::fs::metadata(&program).expect("the program").len();
    println!("{size} bytes");
    assert!(size <= PROGRAM_MAX, "{size} bytes");
    let headers = host::run(&["readelf", "-W", "-l", "-d", &program.to_string_lossy()]);
    assert!(headers.contains("LOAD"), "no program: {headers}");
    for dynamic in ["INTERP", "(NEEDED)"] {
        assert!(!headers.contains(dynamic), "{dynamic}: {headers}");
    }
    for hardening in ["Flags: NOW PIE", "GNU_RELRO"] {
        assert!(headers.contains(hardening), "no {hardening}: {headers}");
    }
}

/// Every request takes time, and closing the socket after a table was deleted
/// takes ten milliseconds.
#[test]
fn a_pod_that_was_just_made_is_asked_nothing_and_others_lose_nothing() {
    /// `NFT_MSG_DELTABLE` of `NFNL_SUBSYS_NFTABLES`, as strace prints it.
    const DELETION: &str = "nlmsg_type=0xa02 ";
    let sent = |netns: &TestNetns| {
        let call = Call::new("ADD", &enabled(conf("1.0.0"))).netns(&netns.path());
        let (answer, trace) = strace::trace(&call);
        answer.ok();
        trace.lines("sendto").map(str::to_owned).collect::<Vec<_>>()
    };
    let netns = TestNetns::new();
    assert_eq!(sent(&netns).len(), 1, "the rules");
    assert!(sent(&netns).iter().any(|line| line.contains(DELETION)), "they were replaced");

    let beside = TestNetns::new();
    beside.nft_load("table ip other");
    let lines = sent(&beside);
    assert_eq!(lines.len(), 4, "the rules, two questions, the rules: {lines:?}");
    assert!(!lines.iter().any(|line| line.contains(DELETION)), "{lines:?}");
    let rules = beside.nft_list();
    assert!(rules.contains("table ip osm") && rules.contains("table ip other"), "{rules}");
}

#[test]
fn a_call_takes_little_memory() {
    let program = program::release();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let netns = TestNetns::new();
    for ruleset in ["osm-v0", "osm-v1"] {
        let mut conf = enabled(conf("1.0.0"));
        conf["ruleset"] = json!(ruleset);
        conf["ipv6"] = json!("redirect");
        conf["logFile"] = json!(dir.path().join("osm-cni.log"));
        // An empty namespace, one with rules, and the others.
        for verb in ["ADD", "ADD", "CHECK", "DEL"] {
            let call = Call::new(verb, &conf).netns(&netns.path()).program(program.clone());
            let (answer, memory) = call.run_measured();
            answer.ok();
            println!("{verb} of {ruleset}: {memory} KiB");
            assert!((1..=MEMORY_MAX).contains(&memory), "{verb} of {ruleset}: {memory} KiB");
        }
    }
}
