//! `osm-cni inspect`: the rules that a pod has, from the kernel: chains in the
//! order of evaluation, where each exclusion comes from, packets and bytes.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::cache::Configuration;
use super::installed::{self, InstalledOptions, InstalledPod};
use super::paint::Paint;
use super::view::{self, ChainView, RuleReading, RuleView, TableView};
use super::{CliError, describe, json, mermaid, options};
use crate::policy::Decision;
use crate::ruleset::text;
use crate::sanitize;

const HELP: &str = concat!(
    "\
Prints the rules that a pod has, as the kernel holds them: chains in the order
of evaluation, what each rule asks for, the list it comes from, and how many
connections (packets that begin one) it met. Changes nothing.

Usage: osm-cni inspect (--pod NS/NAME | --netns PATH | --pid PID) [OPTION]...

",
    installed::help!(),
    "  -o FORMAT          text (default), json or mermaid
  -h, --help         print this

It needs root on the node. To get there:
  kubectl debug node/NODE -it --profile=sysadmin --image=IMAGE -- \\
      /osm-cni inspect --pod NS/NAME --host-root /host

Example:
  osm-cni inspect --pod test/web
"
);

/// What `inspect` and `explain` print.
#[derive(Debug, Clone, Copy)]
pub(super) enum Format {
    Text,
    Json,
    Mermaid,
}

pub(super) const FORMATS: [(&str, Format); 3] =
    [("text", Format::Text), ("json", Format::Json), ("mermaid", Format::Mermaid)];

/// Runs the command with what follows its name.
pub(super) fn run(args: &mut lexopt::Parser, out: &mut dyn Write) -> Result<(), CliError> {
    let mut pod = InstalledOptions::default();
    let mut format = Format::Text;
    while let Some(name) = options::next(args)? {
        match name.as_str() {
            "--help" => return Ok(out.write_all(HELP.as_bytes())?),
            "--output" => format = options::one_of("-o", &FORMATS, args)?,
            name if pod.take(name, args)? => {}
            name => return Err(options::unknown(name)),
        }
    }
    let pod = pod.open()?;
    let tables = view::of_installed(&pod.installed);
    match format {
        Format::Json => json::print(&document(&pod, &tables), out),
        Format::Mermaid if tables.is_empty() => {
            Ok(mermaid::nothing("osm-cni has set none here", out)?)
        }
        Format::Mermaid => Ok(mermaid::print(&tables, out)?),
        Format::Text => {
            let paint = Paint::of_stdout();
            header(&pod, paint, out)?;
            if tables.is_empty() {
                nothing(&pod, paint, out)?;
            }
            for table in &tables {
                print_table(table, paint, out)?;
            }
            Ok(())
        }
    }
}

/// What the settings of the ADD are, and whether they are still today's.
enum SettingsState {
    /// The cache does not tell.
    Unknown,
    /// The configuration of the ADD has no entry of ours.
    NoEntry,
    /// These, as a digest, and what the node's directory has now.
    Entry { digest: String, now: Option<Configuration> },
}

impl SettingsState {
    fn of(pod: &InstalledPod) -> Self {
        match &pod.cached {
            Some(cached) if cached.has_config() => match cached.entry() {
                None => SettingsState::NoEntry,
                Some(entry) => {
                    let now = pod.root.configuration();
                    SettingsState::Entry { digest: entry.digest(), now }
                }
            },
            _ => SettingsState::Unknown,
        }
    }

    fn changed(&self) -> Option<bool> {
        match self {
            SettingsState::Entry { digest, now: Some(now) } => Some(now.digest != *digest),
            _ => None,
        }
    }

    fn words(&self) -> Option<String> {
        let SettingsState::Entry { digest, now } = self else {
            let none = matches!(self, SettingsState::NoEntry);
            return none.then(|| {
                "none: the configuration that this pod was made with has no entry of osm-cni"
                    .to_owned()
            });
        };
        Some(match now {
            None => format!("{digest} at its start; no configuration with osm-cni found today"),
            Some(now) if now.digest == *digest => {
                format!("{digest}, as in {} today", now.path.display())
            }
            Some(now) => format!(
                "{digest} at its start, but {} in {} today: they reach this pod when it is made anew",
                now.digest,
                now.path.display()
            ),
        })
    }
}

/// The decision by the configuration of the ADD, in words.
pub(super) fn decision(pod: &InstalledPod) -> Option<(bool, String)> {
    Some(match pod.cached.as_ref()?.decision(&pod.root)? {
        Ok(Decision::Redirect { because, .. }) => (true, format!("redirected: {because}")),
        Ok(Decision::Leave(reason)) => (false, format!("left alone: {reason}")),
        Err(error) => (false, format!("none: {error}")),
    })
}

fn document(pod: &InstalledPod, tables: &[TableView<'_>]) -> Value {
    let settings = SettingsState::of(pod);
    let cached = pod.cached.as_ref();
    let facts = cached.map(|cached| {
        json!({
            "namespace": cached.pod.as_ref().map(|(namespace, _)| namespace),
            "name": cached.pod.as_ref().map(|(_, name)| name),
            "container": cached.container,
            "interface": cached.interface,
            "annotations": cached.annotations().into_iter().collect::<std::collections::BTreeMap<_, _>>(),
        })
    });
    let (at_add, now, file) = match &settings {
        SettingsState::Entry { digest, now } => (
            Some(digest),
            now.as_ref().map(|now| &now.digest),
            now.as_ref().map(|now| now.path.display().to_string()),
        ),
        _ => (None, None, None),
    };
    json!({
        "netns": pod.path.display().to_string(),
        "pod": facts,
        "decision": decision(pod).map(|(_, words)| words),
        "settings": {"atAdd": at_add, "now": now, "file": file, "changed": settings.changed()},
        "redirected": !tables.is_empty(),
        "tables": json::tables(tables),
    })
}

/// What the node knows of the pod.
fn header(pod: &InstalledPod, paint: Paint, out: &mut dyn Write) -> io::Result<()> {
    let settings = SettingsState::of(pod);
    if let Some(cached) = &pod.cached {
        if let Some((namespace, name)) = &cached.pod {
            field("pod", &format!("{namespace}/{name}"), Paint::strong, paint, out)?;
        }
        let container: String = cached.container.chars().take(12).collect();
        let container = format!("{container}, interface {}", cached.interface);
        field("container", &container, Paint::plain, paint, out)?;
    }
    field("netns", &pod.path.display().to_string(), Paint::plain, paint, out)?;
    if let Some((redirected, words)) = decision(pod) {
        let style = if redirected { Paint::good } else { Paint::warn };
        field("decision", &words, style, paint, out)?;
    }
    for (key, value) in pod.cached.iter().flat_map(|cached| cached.annotations()) {
        field("annotation", &format!("{key}: {value}"), Paint::plain, paint, out)?;
    }
    if let Some(words) = settings.words() {
        let style = if settings.changed() == Some(true) { Paint::warn } else { Paint::plain };
        field("settings", &words, style, paint, out)?;
    }
    Ok(())
}

fn field(
    name: &str,
    value: &str,
    style: fn(Paint, &str) -> String,
    paint: Paint,
    out: &mut dyn Write,
) -> io::Result<()> {
    const INDENT: usize = 12;
    let value = style(paint, &describe::fold(value, INDENT, INDENT));
    writeln!(out, "{name:<INDENT$}{value}")
}

/// A pod without rules: what to look at next.
fn nothing(pod: &InstalledPod, paint: Paint, out: &mut dyn Write) -> io::Result<()> {
    let found = "There are no rules of osm-cni in this network namespace: its traffic does not \
                 go through a proxy by osm-cni's doing.";
    writeln!(out, "\n{}", paint.warn(&describe::fold(found, 0, 0)))?;
    let told = match (decision(pod), SettingsState::of(pod)) {
        (Some((true, _)), _) => {
            "This pod should have rules. Either somebody removed them, or the sidecar came after \
             the pod's network was made. Delete the pod, so that it is made anew."
        }
        (Some((false, _)), _) => {
            "The decision above says why. After the cause is mended, delete the pod, so that it \
             is made anew."
        }
        (None, SettingsState::NoEntry) => {
            "The pod is older than osm-cni on this node, or was made while osm-cni was out of the \
             configuration. Delete the pod, so that it is made anew; osm-cni install --check tells \
             whether the configuration is in place now."
        }
        (None, _) => {
            "Look next at what the plugin's log says of it, by default \
             /var/log/osm-cni/osm-cni.log on the node; whether the configuration is in place: \
             osm-cni install --check; and why a pod like this one is or is not redirected: \
             osm-cni explain --help."
        }
    };
    writeln!(out, "{}", describe::fold(told, 0, 0))
}

fn print_table(table: &TableView<'_>, paint: Paint, out: &mut dyn Write) -> io::Result<()> {
    let family = describe::family(table.family);
    let title = format!("{family} (table {} {})", table.family.as_str(), crate::ruleset::TABLE);
    writeln!(out, "\n{}", paint.strong(&title))?;
    let owner = match (table.owner, &table.comment) {
        (Some(owner), _) if owner.layout == crate::ruleset::LAYOUT_VERSION => None,
        (Some(owner), _) => Some(format!("made by another version, layout {}", owner.layout)),
        (None, Some(comment)) => Some(format!("not made by osm-cni: its comment is {comment:?}")),
        (None, None) => Some("not made by osm-cni: it has no comment".to_owned()),
    };
    let foreign = table.foreign.iter().map(|what| format!("not osm-cni's: {what}"));
    for line in owner.into_iter().chain(foreign) {
        writeln!(out, "  {}", paint.warn(&describe::fold(&line, 2, 2)))?;
    }
    let counters = table.chains.iter().flat_map(|chain| &chain.rules).filter_map(|it| it.counter);
    let width = |digits: fn(&view::Counter) -> u64, least: usize| {
        let most = counters.clone().map(|counter| digits(&counter)).max().unwrap_or_default();
        most.to_string().len().max(least)
    };
    let widths = (width(|it| it.packets, "packets".len()), width(|it| it.bytes, "bytes".len()));
    let titles = format!("  {:>1$}  {2:>3$}", "packets", widths.0, "bytes", widths.1);
    writeln!(out, "{}", paint.faint(&titles))?;
    for chain in &table.chains {
        print_chain(chain, table, widths, paint, out)?;
    }
    Ok(())
}

fn print_chain(
    chain: &ChainView<'_>,
    table: &TableView<'_>,
    widths: (usize, usize),
    paint: Paint,
    out: &mut dyn Write,
) -> io::Result<()> {
    let place = match (&chain.hook, chain.foreign_place) {
        (Some(hook), _) => {
            format!(
                ": {} ({})",
                describe::hook_point(hook.point),
                describe::whole(&text::hook(hook))
            )
        }
        (None, Some(place)) => format!(": not osm-cni's: {place}"),
        (None, None) => String::new(),
    };
    let place = describe::fold(&place, chain.name.len(), 2);
    writeln!(out, "{}{place}", paint.strong(&sanitize::printable(chain.name)))?;
    for rule in &chain.rules {
        print_rule(rule, table, widths, paint, out)?;
    }
    Ok(())
}

fn verdict(rule: &RuleView<'_>) -> String {
    match &rule.reading {
        RuleReading::Known(rule) => describe::verdict(&rule.verdict),
        RuleReading::Foreign(_) => "?".to_owned(),
    }
}

fn print_rule(
    rule: &RuleView<'_>,
    table: &TableView<'_>,
    (packets_width, bytes_width): (usize, usize),
    paint: Paint,
    out: &mut dyn Write,
) -> io::Result<()> {
    let (packets, bytes) = rule.counter.map_or((0, 0), |it| (it.packets, it.bytes));
    let counter = format!("  {packets:>packets_width$}  {bytes:>bytes_width$}");
    let verdict = format!("{:<1$}", verdict(rule), describe::VERDICT);
    let words = match &rule.reading {
        RuleReading::Known(known) => describe::condition_and_origin(known, table.sets),
        RuleReading::Foreign(words) => words.clone(),
    };
    let column = counter.len() + 2 + verdict.len() + 2;
    let words = describe::fold(&words, column, column);
    let counter = if packets == 0 { paint.faint(&counter) } else { counter };
    let known = matches!(rule.reading, RuleReading::Known(_));
    let words = if known { words } else { paint.warn(&words) };
    writeln!(out, "{counter}  {verdict}  {words}")
}
