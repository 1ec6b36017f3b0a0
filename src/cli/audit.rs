//! `osm-cni audit`: the pods of this node, and which of them go around the mesh.
//!
//! I/O: none of its own; through `node::audit`.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::arguments::Given;
use super::install::{CACHE_DIR, CONF_DIR};
use super::installed::HOST_ROOT;
use super::options::{Opt, Words};
use super::verb::{Group, Verb};
use super::{CliError, json as json_output};
use crate::node::audit::{self, Finding, Scope, State};
use crate::node::cache;
use crate::node::host_root::HostRoot;
use crate::sanitize;

const KUBELET_DIR: Opt =
    Opt::directory("kubelet-dir", "the kubelet's directory (without it: that of the settings)");
const OUTPUT: Opt = Opt::word::<Format>("output", "FORMAT", "text (default) or json").short('o');

#[derive(Debug, Clone, Copy)]
enum Format {
    Text,
    Json,
}

impl Words for Format {
    fn words() -> Vec<(&'static str, Self)> {
        vec![("text", Format::Text), ("json", Format::Json)]
    }
}

pub(super) static VERB: Verb = Verb {
    name: "audit",
    summary: "list the pods of this node, and which of them are around the mesh",
    about: "Lists every pod of this node that has a network of its own, with its state and the \
            reason: redirected (by osm-cni), redirected-by-init (by the mesh's own init container), \
            left-alone (no sidecar, or excluded) or around-the-mesh (a sidecar, but no \
            redirection). Exit code 1 if a pod is around the mesh. Changes nothing.",
    usage: "[OPTION]...",
    operand: None,
    groups: &[Group { title: "", options: &[KUBELET_DIR, CONF_DIR, CACHE_DIR, HOST_ROOT, OUTPUT] }],
    notes: "It needs root on the node to read the rules in network namespaces. Where it cannot read \
            them, a pod that was made with osm-cni counts as redirected, and any other pod with a \
            sidecar as around the mesh. Rules that an init container set by iptables-legacy cannot \
            be read: such a pod counts as around the mesh, and the reason says so.",
    example: "osm-cni audit --host-root /host -o json",
    run,
};

const REMEDY: &str = "recreate them, or let osm-cni install --repair set their rules";

fn run(given: &Given, out: &mut impl Write) -> Result<(), CliError> {
    let root = HostRoot::new(given.path(&HOST_ROOT).unwrap_or_else(|| PathBuf::from("/")));
    let path = |option, default: &str| given.path(option).unwrap_or_else(|| default.into());
    let conf_dir = path(&CONF_DIR, cache::CONFIGURATIONS);
    let cache_dir = path(&CACHE_DIR, cache::RESULTS);
    let settings = cache::configuration(&root, &conf_dir).map(|found| *found.settings);
    let kubelet_dir = given.path(&KUBELET_DIR);
    let scope = Scope { root, cache_dir: cache_dir.clone(), kubelet_dir, settings };
    let findings = audit::run(&scope).map_err(|error| unreadable(&cache_dir, &error))?;
    let around = findings.iter().filter(|finding| finding.state == State::Around).count();
    match given.word(&OUTPUT)?.unwrap_or(Format::Text) {
        Format::Text => print(&findings, out)?,
        Format::Json => {
            let pods: Vec<_> = findings.iter().map(in_json).collect();
            json_output::print(&json!({"pods": pods, "around": around}), out)?;
        }
    }
    match around {
        0 => Ok(()),
        _ => Err(CliError::Failed(format!("pods around the mesh: {around}; {REMEDY}"))),
    }
}

fn unreadable(dir: &Path, error: &std::io::Error) -> CliError {
    let dir = dir.display();
    CliError::Failed(format!(
        "cannot read libcni's cache {dir}: {error}; is this a node? --cache-dir and --host-root \
         name another place"
    ))
}

fn print(findings: &[Finding], out: &mut impl Write) -> Result<(), CliError> {
    if findings.is_empty() {
        writeln!(out, "no pod with a network of its own")?;
    }
    for finding in findings {
        let pod = format!("{}/{}", finding.namespace, finding.name);
        let (state, pod) = (finding.state.word(), sanitize::message(&pod, 400));
        writeln!(out, "{state:<18} {pod}: {}", sanitize::message(&finding.reason, 600))?;
    }
    Ok(())
}

fn in_json(finding: &Finding) -> Value {
    json!({
        "namespace": finding.namespace,
        "name": finding.name,
        "uid": finding.uid,
        "container": finding.attachment.container,
        "netns": finding.netns.to_string_lossy(),
        "state": finding.state.word(),
        "reason": finding.reason,
        "madeWithOsmCni": finding.made_with_us,
        "rules": finding.rules.word(),
    })
}
