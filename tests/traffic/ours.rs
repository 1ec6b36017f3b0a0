//! Our side: a configuration through the plugin's ADD, and through the
//! library, for what it says in advance about rules and connections.

use std::collections::BTreeMap;

use osm_cni::admit::{Admission, Decision, admit};
use osm_cni::config::Entry;
use osm_cni::kubelet::Volumes;
use osm_cni::pod::{Annotations, PodAddresses, PodFacts};
use osm_cni::ruleset::eval::{Direction, End, Packet, eval};
use osm_cni::ruleset::{Family, Owner, Ruleset, text};
use serde_json::value::RawValue;

use crate::support::plugin::Call;

use super::configuration::Configuration;
use super::pod::{Answer, Connection, From, POD_IPV4, POD_IPV6, interface, is_local};
use crate::support::netns::TestNetns;

/// The container that the tests' pods are.
const CONTAINER: &str = "0ec2d0a4a64b";

/// The rules that the library makes of a configuration.
pub(super) fn ruleset(of: &Configuration) -> Ruleset {
    let entry = Entry::from_config_text(&of.settings().to_string()).expect("an object");
    let annotations: BTreeMap<String, Box<RawValue>> =
        serde_json::from_value(of.annotations()).expect("an object");
    let annotations = annotations.iter().map(|(key, value)| (key.clone(), &**value));
    let ipv6 = of.ipv6_in_result.then_some(POD_IPV6[0].into());
    let pod = PodFacts {
        namespace: Some("demo".to_owned()),
        annotations: Annotations::passed(annotations),
        addresses: PodAddresses::new(
            [Some(POD_IPV4[0].into()), ipv6].into_iter().flatten().collect(),
        ),
        ..PodFacts::default()
    };
    let owner = Owner::new(CONTAINER, "eth0");
    match admit(entry.settings(), &pod, |_| Ok(Volumes::NoPod), Some(&owner)) {
        Ok(Admission { decision: Decision::Redirect(redirect), .. }) => redirect.ruleset,
        other => panic!("not redirected: {other:?}"),
    }
}

/// What `render -o nft` prints.
pub(super) fn nft_text(rules: &Ruleset) -> String {
    let mut out = Vec::new();
    text::nft(rules, &mut out).expect("memory has room");
    String::from_utf8(out).expect("text is UTF-8")
}

/// What `render -o iptables` prints of one family.
pub(super) fn iptables_text(rules: &Ruleset, family: Family) -> String {
    let mut out = Vec::new();
    text::iptables(rules, family, &mut out).expect("memory has room");
    String::from_utf8(out).expect("text is UTF-8")
}

/// Puts a configuration into a pod without rules, through the plugin.
pub(super) fn install(of: &Configuration, netns: &TestNetns) {
    netns.nft_load("flush ruleset");
    call("ADD", of, netns);
}

/// Calls the plugin, as for this configuration; it must succeed.
pub(super) fn call(verb: &str, of: &Configuration, netns: &TestNetns) {
    let path = netns.path();
    let conf = of.plugin_conf(&path.to_string_lossy());
    Call::new(verb, &conf).env("CNI_CONTAINERID", CONTAINER).netns(&path).run().ok();
}

/// Where the library says a connection goes.
pub(super) fn predicted(rules: &Ruleset, connection: &Connection) -> End {
    let name = interface(connection);
    let packet = match connection.from {
        From::Outside => Packet {
            direction: Direction::Inbound,
            destination: connection.to,
            uid: None,
            in_interface: Some(name),
            out_interface: None,
        },
        From::Uid(uid) => Packet {
            direction: Direction::Outbound,
            destination: connection.to,
            uid: Some(uid),
            in_interface: None,
            out_interface: Some(name),
        },
    };
    eval(rules, &packet).expect("a whole ruleset").end
}

/// Whether an answer is what this end looks like from the caller's side.
pub(super) fn agrees(end: End, connection: &Connection, answer: Answer) -> bool {
    let to = connection.to;
    match (end, answer) {
        (End::Direct, Answer::Pod { at, original }) => {
            is_local(to.ip()) && at == to && original == to
        }
        (End::Direct, Answer::World { original }) => !is_local(to.ip()) && original == to,
        (End::ToProxy { port }, Answer::Pod { at, original }) => {
            at.port() == port && original == to
        }
        (End::ToAddress(target), Answer::Pod { at, original }) => {
            at == (target, to.port()).into() && original == to
        }
        (End::Reset, Answer::Reset) => true,
        _ => false,
    }
}
