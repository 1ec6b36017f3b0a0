//! The verbs that containerd 1.6 does not send, driven in the manner of libcni
//! against a pod that containerd made: the attachment comes from libcni's own
//! cache.

use serde_json::{Value, json};

use super::Rig;
use crate::support::netns;
use crate::support::pod::{Pod, PodSpec};
use crate::support::{binary, host};

/// What a call left: exit status and standard output.
#[derive(Debug)]
struct Answer {
    status: i32,
    stdout: String,
}

impl Answer {
    #[track_caller]
    fn assert_silent_success(&self) {
        assert_eq!((self.status, self.stdout.as_str()), (0, ""));
    }

    #[track_caller]
    fn assert_error(&self, code: u32) -> String {
        let error: Value =
            serde_json::from_str(&self.stdout).unwrap_or_else(|_| panic!("no JSON: {self:?}"));
        assert_eq!((self.status, &error["code"]), (1, &json!(code)), "{error}");
        error.to_string()
    }
}

/// Calls the plugin in the node's namespace.
fn call(rig: &Rig, environment: &[(&str, &str)], stdin: &Value) -> Answer {
    let mut command = host::command("nsenter");
    command.arg(format!("--net={}", rig.node.netns().path().display())).arg(binary());
    command
        .env_clear()
        .env("PATH", host::PATH)
        .env("CNI_PATH", rig.node.bin_dir())
        .envs(environment.iter().copied());
    let output = host::with_input(command, stdin.to_string().as_bytes());
    Answer {
        status: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
    }
}

/// A pod's attachment as libcni remembers it.
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

    fn call(&self, rig: &Rig, verb: &str) -> Answer {
        self.call_with(rig, verb, &self.stdin)
    }

    fn call_with(&self, rig: &Rig, verb: &str, stdin: &Value) -> Answer {
        let environment = [
            ("CNI_COMMAND", verb),
            ("CNI_CONTAINERID", &self.id),
            ("CNI_NETNS", &self.netns),
            ("CNI_IFNAME", "eth0"),
            ("CNI_ARGS", &self.args),
        ];
        call(rig, &environment, stdin)
    }
}

fn listed(pod: &Pod<'_>) -> String {
    netns::run_inside(&pod.netns(), &["nft", "-s", "list", "ruleset"])
}

#[test]
fn check_passes_for_what_add_left_and_names_what_is_missing() {
    let rig = Rig::new();
    let pod = PodSpec::new("web")
        .enabled()
        .annotation("outbound-port-exclusion-list", "8080")
        .run(&rig.node);
    let attachment = Attachment::of(&rig, &pod);
    attachment.call(&rig, "CHECK").assert_silent_success();

    netns::run_inside(&pod.netns(), &["nft", "flush", "chain", "ip", "osm", "PROXY_INBOUND"]);
    let error = attachment.call(&rig, "CHECK").assert_error(103);
    assert!(error.contains("PROXY_INBOUND"), "{error}");

    netns::run_inside(&pod.netns(), &["nft", "delete", "table", "ip", "osm"]);
    attachment.call(&rig, "CHECK").assert_error(103);
}

#[test]
fn check_passes_for_a_pod_that_is_not_redirected() {
    let rig = Rig::new();
    let pod = PodSpec::new("plain").run(&rig.node);
    Attachment::of(&rig, &pod).call(&rig, "CHECK").assert_silent_success();
}

#[test]
fn check_is_not_part_of_version_0_3_1() {
    let rig = Rig::new();
    let pod = PodSpec::new("web").enabled().run(&rig.node);
    let attachment = Attachment::of(&rig, &pod);
    let mut stdin = attachment.stdin.clone();
    stdin["cniVersion"] = json!("0.3.1");
    attachment.call_with(&rig, "CHECK", &stdin).assert_error(1);
}

#[test]
fn adding_again_changes_nothing_and_answers_the_result_as_it_came() {
    let rig = Rig::new();
    let pod = PodSpec::new("web")
        .enabled()
        .annotation("outbound-port-exclusion-list", "8080")
        .run(&rig.node);
    let attachment = Attachment::of(&rig, &pod);
    let before = listed(&pod);
    let answer = attachment.call(&rig, "ADD");
    assert_eq!(answer.status, 0, "{answer:?}");
    let result: Value = serde_json::from_str(&answer.stdout).expect("a result");
    assert_eq!(result, attachment.stdin["prevResult"]);
    assert_eq!(listed(&pod), before);
}

#[test]
fn del_takes_the_table_of_its_own_attachment_only() {
    let rig = Rig::new();
    let pod = PodSpec::new("web").enabled().run(&rig.node);
    let attachment = Attachment::of(&rig, &pod);
    let before = listed(&pod);

    let another = Attachment { id: "another".into(), ..Attachment::of(&rig, &pod) };
    another.call(&rig, "DEL").assert_silent_success();
    assert_eq!(listed(&pod), before);
    let nowhere = Attachment { netns: String::new(), ..Attachment::of(&rig, &pod) };
    nowhere.call(&rig, "DEL").assert_silent_success();
    assert_eq!(listed(&pod), before);

    for _ in 0..2 {
        attachment.call(&rig, "DEL").assert_silent_success();
        assert_eq!(netns::tables(&pod.netns()), "");
    }
}

#[test]
fn status_answers_nothing_where_the_kernel_has_nftables() {
    let rig = Rig::new();
    let mut stdin = rig.entry();
    stdin["cniVersion"] = json!("1.1.0");
    let empty = ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_ARGS"].map(|name| (name, ""));
    let environment = [&[("CNI_COMMAND", "STATUS")][..], &empty[..]].concat();
    call(&rig, &environment, &stdin).assert_silent_success();
    call(&rig, &[("CNI_COMMAND", "STATUS")], &stdin).assert_silent_success();
}

#[test]
fn gc_leaves_pods_alone_that_are_valid_and_pods_that_are_not() {
    let rig = Rig::new();
    let pod = PodSpec::new("web").enabled().run(&rig.node);
    let before = listed(&pod);
    let valid = json!([{"containerID": pod.id(), "ifname": "eth0"}]);
    for attachments in [valid, json!([]), Value::Null] {
        let mut stdin = rig.entry();
        stdin["cniVersion"] = json!("1.1.0");
        stdin["cni.dev/valid-attachments"] = attachments;
        call(&rig, &[("CNI_COMMAND", "GC")], &stdin).assert_silent_success();
    }
    assert_eq!(listed(&pod), before);
}

#[test]
fn version_is_told_to_whoever_asks() {
    let rig = Rig::new();
    let dummies = [("CNI_COMMAND", "VERSION"), ("CNI_NETNS", "dummy"), ("CNI_IFNAME", "dummy")];
    let answer = call(&rig, &dummies, &json!({"cniVersion": "1.0.0"}));
    let versions: Value = serde_json::from_str(&answer.stdout).expect("a list of versions");
    assert_eq!(versions["supportedVersions"], json!(["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]));
}
