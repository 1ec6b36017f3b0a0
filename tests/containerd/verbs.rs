//! The verbs that containerd does not send, called as libcni calls them for a pod
//! that containerd made; the attachment comes from libcni's cache.

use std::path::Path;

use serde_json::{Value, json};

use super::Rig;
use crate::support::namespace;
use crate::support::plugin::{Answer, Call};
use crate::support::pod::{Pod, PodSpec};

/// Nothing on standard output, and no failure.
#[track_caller]
fn assert_silent(answer: &Answer) {
    assert_eq!(answer.ok(), "");
}

/// A pod's attachment as libcni cached it.
struct Attachment {
    id: String,
    netns: String,
    args: String,
    /// Our entry as ADD got it, with the ADD's result.
    stdin: Value,
}

impl Attachment {
    fn of(rig: &Rig, pod: &Pod<'_>) -> Self {
        let path = format!("/var/lib/cni/results/{}-{}-eth0", rig.node.name(), pod.id());
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let cached: Value = serde_json::from_str(&text).expect("libcni's JSON");
        let pairs = cached["cniArgs"].as_array().expect("a list of arguments").iter();
        let args = pairs
            .map(|pair| format!("{}={}", pair[0].as_str().unwrap(), pair[1].as_str().unwrap()));
        let mut stdin = rig.entry();
        stdin["prevResult"] = cached["result"].clone();
        stdin["runtimeConfig"] = cached["capabilityArgs"].clone();
        Self {
            id: pod.id().to_owned(),
            netns: cached["netns"]
                .as_str()
                .map_or_else(|| pod.netns().display().to_string(), str::to_owned),
            args: args.collect::<Vec<_>>().join(";"),
            stdin,
        }
    }

    fn call(&self, verb: &str) -> Answer {
        self.call_with(verb, &self.stdin)
    }

    fn call_with(&self, verb: &str, stdin: &Value) -> Answer {
        let call = Call::new(verb, stdin).netns(Path::new(&self.netns));
        call.env("CNI_CONTAINERID", &self.id).env("CNI_ARGS", &self.args).run()
    }
}

/// A call about no attachment: all its variables empty.
fn call_of_the_node(verb: &str, stdin: &Value) -> Answer {
    let names = ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_ARGS"];
    names.into_iter().fold(Call::new(verb, stdin), |call, name| call.env(name, "")).run()
}

fn meshed() -> PodSpec {
    PodSpec::new("web").enabled().annotation("outbound-port-exclusion-list", "8080")
}

fn listed(pod: &Pod<'_>) -> String {
    namespace::run_inside(&pod.netns(), &["nft", "-s", "list", "ruleset"])
}

#[test]
fn check_passes_for_what_add_left_and_names_what_is_missing() {
    let rig = Rig::new();
    let pod = rig.run_redirected(&meshed());
    let attachment = Attachment::of(&rig, &pod);
    assert_silent(&attachment.call("CHECK"));

    namespace::run_inside(&pod.netns(), &["nft", "flush", "chain", "ip", "osm", "PROXY_INBOUND"]);
    let error = attachment.call("CHECK").error(103);
    assert!(error.contains("PROXY_INBOUND"), "{error}");

    namespace::run_inside(&pod.netns(), &["nft", "delete", "table", "ip", "osm"]);
    attachment.call("CHECK").error(103);
}

#[test]
fn check_passes_for_a_pod_that_is_not_redirected() {
    let rig = Rig::new();
    let pod = PodSpec::new("plain").run(&rig.node);
    assert_silent(&Attachment::of(&rig, &pod).call("CHECK"));
}

#[test]
fn check_is_not_part_of_version_0_3_1() {
    let rig = Rig::new();
    let pod = rig.run_redirected(&PodSpec::new("web").enabled());
    let attachment = Attachment::of(&rig, &pod);
    let mut stdin = attachment.stdin.clone();
    stdin["cniVersion"] = json!("0.3.1");
    attachment.call_with("CHECK", &stdin).error(1);
}

#[test]
fn adding_again_changes_nothing_and_answers_the_result_as_it_came() {
    let rig = Rig::new();
    let pod = rig.run_redirected(&meshed());
    let attachment = Attachment::of(&rig, &pod);
    let before = listed(&pod);
    let result = attachment.call("ADD").json();
    assert_eq!(result, attachment.stdin["prevResult"]);
    assert_eq!(listed(&pod), before);
}

#[test]
fn del_takes_the_table_of_its_own_attachment_only() {
    let rig = Rig::new();
    let pod = rig.run_redirected(&PodSpec::new("web").enabled());
    let attachment = Attachment::of(&rig, &pod);
    let before = listed(&pod);

    let another = Attachment { id: "another".into(), ..Attachment::of(&rig, &pod) };
    assert_silent(&another.call("DEL"));
    assert_eq!(listed(&pod), before);
    let nowhere = Attachment { netns: String::new(), ..Attachment::of(&rig, &pod) };
    assert_silent(&nowhere.call("DEL"));
    assert_eq!(listed(&pod), before);

    for _ in 0..2 {
        assert_silent(&attachment.call("DEL"));
        assert_eq!(namespace::tables(&pod.netns()), "");
    }
}

#[test]
fn status_answers_nothing_where_the_kernel_has_nftables() {
    let rig = Rig::new();
    let mut stdin = rig.entry();
    stdin["cniVersion"] = json!("1.1.0");
    assert_silent(&call_of_the_node("STATUS", &stdin));
}

#[test]
fn gc_leaves_pods_alone_that_are_valid_and_pods_that_are_not() {
    let rig = Rig::new();
    let pod = rig.run_redirected(&PodSpec::new("web").enabled());
    let before = listed(&pod);
    let valid = json!([{"containerID": pod.id(), "ifname": "eth0"}]);
    for attachments in [valid, json!([]), Value::Null] {
        let mut stdin = rig.entry();
        stdin["cniVersion"] = json!("1.1.0");
        stdin["cni.dev/valid-attachments"] = attachments;
        assert_silent(&call_of_the_node("GC", &stdin));
    }
    assert_eq!(listed(&pod), before);
}
