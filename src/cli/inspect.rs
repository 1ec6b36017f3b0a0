//! `osm-cni inspect`: the rules that a pod has, from the kernel: chains in the
//! order of evaluation, where each exclusion comes from, packets and bytes.
//!
//! I/O: none of its own; through `installed.rs` and `facts.rs`.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde_json::{Value, json};

use super::arguments::Given;
use super::facts::{Facts, SettingsState};
use super::install::CONF_DIR;
use super::installed::{self, InstalledOptions, InstalledPod};
use super::options::{Opt, Words};
use super::outcome;
use super::paint::Paint;
use super::tables::{Counters, redirects, ruleset_of};
use super::verb::{Group, Verb};
use super::wrap::fold;
use super::{CliError, json, mermaid, table_text};
use crate::admit::Decision;
use crate::nft::Installed;
use crate::node::cache::CONFIGURATIONS;

/// What `inspect` and `explain` print.
#[derive(Debug, Clone, Copy)]
pub(super) enum Format {
    Text,
    Json,
    Mermaid,
}

impl Words for Format {
    fn words() -> Vec<(&'static str, Self)> {
        vec![("text", Format::Text), ("json", Format::Json), ("mermaid", Format::Mermaid)]
    }
}

/// `--output` of `inspect` and `explain`.
pub(super) const OUTPUT: Opt =
    Opt::word::<Format>("output", "FORMAT", "text (default), json or mermaid").short('o');

pub(super) static VERB: Verb = Verb {
    name: "inspect",
    summary: "show the rules that a pod has, where each comes from, and its counters",
    about: "Prints the rules of a running pod as the kernel has them: the chains in the order of \
            evaluation and, for each rule, its condition, the list that it comes from and how many \
            connections matched it (their first packets are counted). Changes nothing.",
    usage: "(NS/NAME | --netns PATH | --pid PID) [OPTION]...",
    operand: Some(installed::OPERAND),
    groups: &[
        Group { title: "", options: installed::OPTIONS },
        Group { title: "", options: &[CONF_DIR, OUTPUT] },
    ],
    notes: "It needs root on the node, which a debug container has:\n\n  \
            kubectl debug node/NODE -n osm-cni -it --profile=sysadmin --image=busybox -- \\\n      \
            chroot /host /opt/cni/bin/osm-cni inspect NS/NAME",
    example: "osm-cni inspect test/web",
    run,
};

fn run(given: &Given, out: &mut impl Write) -> Result<(), CliError> {
    let pod = InstalledOptions::new(given)?;
    let format = given.word(&OUTPUT)?.unwrap_or(Format::Text);
    let pod = pod.open()?;
    let conf_dir = given.path(&CONF_DIR).unwrap_or_else(|| CONFIGURATIONS.into());
    let facts = Facts::of(&pod, &conf_dir);
    let tables = &pod.installed.tables;
    match format {
        Format::Json => json::print(&document(&pod, &facts), out),
        Format::Mermaid if tables.is_empty() => {
            Ok(mermaid::nothing("osm-cni has set none here", out)?)
        }
        Format::Mermaid => Ok(mermaid::print(tables, Counters::Shown, out)?),
        Format::Text => {
            let paint = Paint::of_stdout();
            header(&pod, &facts, paint, out)?;
            if !is_redirected(&pod.installed) {
                nothing(&pod.installed, &facts, paint, out)?;
            }
            tables.iter().try_for_each(|table| table_text::print(table, paint, out))?;
            Ok(())
        }
    }
}

fn is_redirected(installed: &Installed) -> bool {
    installed.tables.iter().any(redirects)
}

fn document(pod: &InstalledPod, facts: &Facts) -> Value {
    let known = pod.cached.as_ref().map(|cached| {
        let annotations: BTreeMap<_, _> = facts.annotations.iter().cloned().collect();
        json!({
            "namespace": cached.pod().map(|(namespace, _)| namespace),
            "name": cached.pod().map(|(_, name)| name),
            "container": cached.container,
            "interface": cached.interface,
            "annotations": annotations,
        })
    });
    let (at_add, now) = match &facts.settings {
        SettingsState::Entry { digest, now } => (Some(digest), now.as_ref()),
        SettingsState::Unknown | SettingsState::NoEntry => (None, None),
    };
    let mut document = json!({"netns": pod.path.to_string_lossy(), "pod": known});
    for (field, value) in outcome::fields(facts.outcome.as_ref()) {
        document[field] = value;
    }
    document["ruleset"] = json!(ruleset_of(&pod.installed));
    document["settings"] = json!({
        "atAdd": at_add,
        "now": now.map(|now| &now.digest),
        "file": now.map(|now| now.path.to_string_lossy()),
        "changed": facts.settings.changed(),
    });
    document["redirected"] = is_redirected(&pod.installed).into();
    document["tables"] = json::tables(&pod.installed.tables, Counters::Shown);
    document
}

/// What the node knows of the pod.
fn header(pod: &InstalledPod, facts: &Facts, paint: Paint, out: &mut impl Write) -> io::Result<()> {
    let mut field = |name: &str, value: &str, style: fn(Paint, &str) -> String| {
        const INDENT: usize = 12;
        let value = style(paint, &fold(value, INDENT, INDENT));
        writeln!(out, "{name:<INDENT$}{value}")
    };
    if let Some(cached) = &pod.cached {
        if let Some((namespace, name)) = cached.pod() {
            field("pod", &format!("{namespace}/{name}"), Paint::strong)?;
        }
        let container: String = cached.container.chars().take(12).collect();
        let container = format!("{container}, interface {}", cached.interface);
        field("container", &container, Paint::plain)?;
    }
    field("netns", &pod.path.to_string_lossy(), Paint::plain)?;
    if let Some(outcome) = &facts.outcome {
        let style = match outcome {
            Ok(Decision::Redirect(_)) => Paint::good,
            Ok(Decision::Leave(_)) | Err(_) => Paint::warn,
        };
        field("decision", &outcome::sentence(outcome), style)?;
    }
    if let Some(name) = ruleset_of(&pod.installed) {
        field("ruleset", &outcome::ruleset(name, facts.outcome.as_ref()), Paint::plain)?;
    }
    for (key, value) in &facts.annotations {
        field("annotation", &format!("{key}: {value}"), Paint::plain)?;
    }
    if let Some(words) = facts.settings.words() {
        let changed = facts.settings.changed() == Some(true);
        field("settings", &words, if changed { Paint::warn } else { Paint::plain })?;
    }
    Ok(())
}

/// A pod without rules: what to look at next.
fn nothing(
    installed: &Installed,
    facts: &Facts,
    paint: Paint,
    out: &mut impl Write,
) -> io::Result<()> {
    let found = match installed.tables.is_empty() {
        true => {
            "There are no rules of osm-cni in this network namespace: osm-cni does not send \
                 its traffic through a proxy."
        }
        false => {
            "No rule of the table below redirects anything: osm-cni does not send this pod's \
                  traffic through a proxy."
        }
    };
    writeln!(out, "\n{}", paint.warn(&fold(found, 0, 0)))?;
    let next = match (&facts.outcome, &facts.settings) {
        (Some(Ok(Decision::Redirect(_))), _) => {
            "This pod should have rules. Either they were removed, or the sidecar was added after \
             the pod's network was made. Delete the pod, so that it is recreated."
        }
        (Some(Ok(Decision::Leave(_)) | Err(_)), _) => {
            "The decision above says why. When the cause is removed, delete the pod, so that it \
             is recreated."
        }
        (None, SettingsState::NoEntry) => {
            "The pod is older than osm-cni on this node, or was made while osm-cni was not in the \
             configuration. Delete the pod, so that it is recreated. The log and the readiness of \
             this node's osm-cni pod say whether the configuration is in place now."
        }
        (None, SettingsState::Unknown | SettingsState::Entry { .. }) => {
            "Next steps: read the plugin's log on the node (by default \
             /var/log/osm-cni/osm-cni.log); look at the readiness of this node's osm-cni pod, which \
             says whether the configuration is in place; find out why a pod like this one is or is \
             not redirected (osm-cni explain --help)."
        }
    };
    writeln!(out, "{}", fold(next, 0, 0))
}
