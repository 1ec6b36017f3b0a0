//! Not a sample but a proof: OSM's own rules and ours, read back from the kernel,
//! become formulas, and z3 shows that no packet is treated otherwise
//! (`tests/prove/prove.py` says what else). So does all that the evaluator behind
//! `osm-cni explain` decides ([`super::explained`]), and it is run with a packet of
//! each way through our rules.
//!
//! `OSM_CNI_PROOFS` says for how many random configurations, besides those of
//! [`hand_picked`].

use std::io::Write as _;
use std::path::Path;

use osm_cni::nft::NftSocket;
use osm_cni::ruleset::eval::{Direction, Packet, eval};
use osm_cni::ruleset::{Family, Ruleset};
use serde::Deserialize;
use serde_json::{Value, json};

use super::configuration::{Chains, Configuration, Ipv6, Lists};
use super::differential::install_osm;
use super::random::Random;
use super::{Amount, again, document, explained, ours};
use crate::support::host;
use crate::support::netns::TestNetns;

/// A packet that z3 found, and where the kernel's rules send it.
#[derive(Debug, Deserialize)]
struct Witness {
    case: String,
    hook: String,
    address: std::net::IpAddr,
    port: u16,
    uid: Option<u32>,
    interface: String,
    end: String,
}

#[test]
fn no_packet_is_treated_otherwise_than_by_osms_own_rules() {
    let proofs = std::env::var("OSM_CNI_PROOFS").map_or(20, |text| {
        text.parse().unwrap_or_else(|_| panic!("OSM_CNI_PROOFS: {text} is no number"))
    });
    let amount = Amount { configurations: proofs, ..Amount::from_environment() };
    println!("seed {}, {proofs} random configurations", amount.seed);
    let mut cases = hand_picked();
    let checked = cases.len();
    cases.extend(amount.seeds().map(|seed| (again(seed), Random::new(seed).configuration())));

    let netns = [TestNetns::new(), TestNetns::new()];
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("cases");
    let mut out = std::fs::File::create(&file).expect("a file");
    let mut rulesets: Vec<Ruleset> = Vec::new();
    for (at, (name, configuration)) in cases.iter().enumerate() {
        writeln!(out, "{}", case(name, configuration, &netns, at < checked)).expect("written");
        rulesets.push(ours::ruleset(configuration));
    }
    drop(out);
    let witnesses = prove(&file, &dir.path().join("witnesses"));
    assert!(witnesses.len() > 10 * cases.len(), "{} packets", witnesses.len());
    for witness in witnesses {
        let at = cases.iter().position(|(name, _)| *name == witness.case).expect("a case");
        let end = end(&rulesets[at], &witness);
        assert_eq!(end, witness.end, "{witness:?}\n{:#?}", cases[at].1);
    }
}

/// The reference document's examples, and each ruleset in each mode of IPv6 with
/// something in every list. None of their rules makes another redundant, so that the
/// prover can see whether it misses one that is left out.
fn hand_picked() -> Vec<(String, Configuration)> {
    let mut all: Vec<_> = document::examples()
        .into_iter()
        .map(|(name, _, configuration)| (format!("the document's example {name}"), configuration))
        .collect();
    let texts = |all: &[&str]| all.iter().map(|text| (*text).to_owned()).collect();
    let mesh = Lists {
        outbound_ports: vec![(6379, 6379), (8000, 8010)],
        inbound_ports: vec![(9000, 9003)],
        outbound_ranges: texts(&["1.1.1.1/32", "2.2.2.2/24", "2001:db8::/32"]),
        interfaces: texts(&["net1"]),
        uids: vec![1337],
        ..Lists::default()
    };
    let pod = Lists {
        outbound_ports: vec![(8080, 8080)],
        inbound_ports: vec![(9090, 9090)],
        outbound_ranges: texts(&["10.9.0.0/16", "fd09::/16"]),
        uids: vec![7],
        ..Lists::default()
    };
    let included_ranges = texts(&["10.0.0.0/8", "127.0.0.0/8", "fd00::/8", "::/64"]);
    let included = Lists { included_ranges, ..Lists::default() };
    for chains in [Chains::OsmV0, Chains::OsmV1, Chains::Fsm] {
        let settings = document::settings(mesh.clone(), pod.clone());
        for ipv6 in [Ipv6::Bypass, Ipv6::Redirect, Ipv6::Reject] {
            let configuration = Configuration { chains, ipv6, pod_ip: true, ..settings.clone() };
            all.push((format!("{chains:?} with IPv6 {ipv6:?}"), configuration));
        }
        let ipv6 = Ipv6::Redirect;
        let settings = document::settings(included.clone(), Lists::default());
        let configuration = Configuration { chains, ipv6, ..settings };
        all.push((format!("{chains:?} with included ranges"), configuration));
    }
    all
}

/// Both sides' rules of a configuration, as they are in the kernel, and what
/// `explain` makes of ours. A checked case is also explained without each rule.
fn case(name: &str, of: &Configuration, [theirs, ours]: &[TestNetns; 2], checked: bool) -> Value {
    install_osm(of, theirs);
    ours::install(of, ours);
    // the rules of the planned pod are those of the live one
    ours::call("CHECK", of, ours);
    let live = ours.inside(|| NftSocket::open().and_then(|mut socket| socket.installed()));
    let live = live.expect("our tables").ruleset().expect("rules of ours");
    let family = |ipv6: bool| {
        let (save, family) = if ipv6 {
            ("ip6tables-legacy-save", Family::Ip6)
        } else {
            ("iptables-legacy-save", Family::Ip)
        };
        let table = live.table(family).expect("a table");
        let without = checked.then(|| explained::decided_without_a_rule(table));
        json!({
            "ipv6": ipv6,
            "theirs": theirs.run(&[save, "-t", "nat"], ""),
            "ours": ours.run(&["nft", "-j", "list", "table", family.as_str(), "osm"], ""),
            "explained": explained::decided(table),
            "explained_without": without.unwrap_or_default(),
        })
    };
    let mut families = vec![family(false)];
    if of.ipv6 != Ipv6::Bypass {
        families.push(family(true));
    }
    json!({
        "name": name,
        "checked": checked,
        "settings": of.settings(),
        "ipv6": of.settings()["ipv6"],
        "proxy": {"uid": of.proxy.uid, "outbound_port": of.proxy.outbound_port},
        "lists": {
            "interfaces": of.mesh.interfaces,
            "mesh": plain(&of.mesh),
            "pod": plain(&of.pod),
        },
        "families": families,
    })
}

fn plain(lists: &Lists) -> Value {
    json!({
        "outbound_ports": lists.outbound_ports,
        "inbound_ports": lists.inbound_ports,
        "outbound_ranges": lists.outbound_ranges,
        "included_ranges": lists.included_ranges,
        "uids": lists.uids,
    })
}

/// Runs the prover, which fails the test where it finds a difference.
fn prove(cases: &Path, witnesses: &Path) -> Vec<Witness> {
    let root = env!("CARGO_MANIFEST_DIR");
    let target = std::env::var("CARGO_TARGET_DIR").unwrap_or_else(|_| format!("{root}/target"));
    let z3 = host::run(&[&format!("{root}/tests/prove/z3.sh"), &format!("{target}/prove")]);
    let path = |path: &Path| path.to_string_lossy().into_owned();
    let printed = host::run(&[
        "env",
        &format!("PYTHONPATH={}", z3.trim()),
        "PYTHONDONTWRITEBYTECODE=1",
        "python3",
        &format!("{root}/tests/prove/prove.py"),
        &path(cases),
        &path(witnesses),
    ]);
    print!("{printed}");
    let text = std::fs::read_to_string(witnesses).expect("what the prover wrote");
    text.lines().map(|line| serde_json::from_str(line).expect("a packet")).collect()
}

/// Where the evaluator says that a packet ends, in the prover's words.
fn end(rules: &Ruleset, witness: &Witness) -> String {
    let inbound = witness.hook == "prerouting";
    let interface = Some(witness.interface.as_str());
    let packet = Packet {
        direction: if inbound { Direction::Inbound } else { Direction::Outbound },
        destination: (witness.address, witness.port).into(),
        uid: witness.uid,
        in_interface: interface.filter(|_| inbound),
        out_interface: interface.filter(|_| !inbound),
    };
    explained::words(eval(rules, &packet).expect("a whole ruleset").end)
}
