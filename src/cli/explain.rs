//! `osm-cni explain`: the way that one connection takes, rule by rule, and
//! where it ends, in a live pod or in a planned one.
//!
//! I/O: none of its own; through `installed.rs`, `facts.rs` and `pod_options.rs`.

use std::io::{self, Write};
use std::net::SocketAddr;

use serde_json::{Value, json};

use super::arguments::Given;
use super::conditions::Conditions;
use super::connection::{self, Connection, ConnectionOptions};
use super::facts::Facts;
use super::inspect::{Format, OUTPUT};
use super::installed::{self, InstalledOptions};
use super::outcome::{self, Outcome};
use super::paint::Paint;
use super::pod_options::{self, PodOptions};
use super::tables::ruleset_of;
use super::verb::{Group, Verb};
use super::{CliError, describe, json, wrap};
use crate::admit::Decision;
use crate::nft::Installed;
use crate::node::cache::CONFIGURATIONS;
use crate::policy::Enrolment;
use crate::ruleset::eval::{self, End, Path};
use crate::ruleset::{Family, Provenance, Rule, Ruleset, Verdict};
use crate::sanitize;

pub(super) static VERB: Verb = Verb {
    name: "explain",
    summary: "show which rules one connection passes, and where it goes",
    about: "Prints the rules that one TCP connection passes, the rule that decides where it goes, and \
            where that rule comes from. Sends nothing and changes nothing.",
    usage: "[NS/NAME] --direction DIR --dst IP:PORT [OPTION]...",
    operand: Some(installed::OPERAND),
    groups: &[
        Group { title: "The connection", options: connection::OPTIONS },
        Group { title: "For a pod of this node", options: installed::OPTIONS },
        Group {
            title: "Or for a planned pod (also prints why it is or is not redirected)",
            options: pod_options::OPTIONS,
        },
        Group { title: "", options: &[OUTPUT] },
    ],
    notes: "",
    example: "osm-cni explain --direction outbound --dst 10.0.0.7:6379 \\\n    \
              --annotation outbound-port-exclusion-list=6379",
    run,
};

/// All that is explained.
struct Case {
    connection: Connection,
    /// Why the pod is or is not redirected, if that is known.
    outcome: Option<Outcome>,
    /// What was assumed about the pod.
    assumed: &'static str,
    /// The rules, to be followed and to be described.
    ruleset: Ruleset,
    installed: Installed,
}

fn run(given: &Given, out: &mut impl Write) -> Result<(), CliError> {
    // Wrong usage is reported before any file is read.
    let connection = ConnectionOptions::new(given)?;
    let format = given.word(&OUTPUT)?.unwrap_or(Format::Text);
    let live = given.operand()?.or(given.first_of(installed::OPTIONS));
    let case = match (live, given.first_of(pod_options::OPTIONS)) {
        (Some(live), Some(planned)) => {
            return Err(CliError::Usage(format!(
                "{live} is about a pod of this node, --{planned} about a planned one"
            )));
        }
        (Some(_), None) => live_pod(InstalledOptions::new(given)?, connection)?,
        (None, _) => planned_pod(&PodOptions::new(given)?, connection)?,
    };
    let path = eval::eval(&case.ruleset, &case.connection.packet())
        .map_err(|error| CliError::Failed(format!("the rules can't be followed: {error}")))?;
    match format {
        Format::Text => Ok(print(&case, &path, Paint::of_stdout(), out)?),
        Format::Json => json::print(&document(&case, &path), out),
        Format::Mermaid => Ok(picture(&case, &path, out)?),
    }
}

fn live_pod(options: InstalledOptions, connection: ConnectionOptions) -> Result<Case, CliError> {
    let pod = options.open()?;
    let owner = pod.installed.tables.iter().find_map(|table| table.owner.as_ref());
    let usual = owner.map_or("eth0", |owner| owner.interface.as_str());
    let own = pod.addresses()?;
    let connection = connection.complete(|address| own.contains(&address), usual);
    let outcome = Facts::of(&pod, CONFIGURATIONS.as_ref()).outcome;
    let ruleset = pod.installed.ruleset().ok_or_else(|| foreign(&pod.installed))?;
    Ok(Case { connection, outcome, assumed: "", ruleset, installed: pod.installed })
}

/// The error for a table with rules that osm-cni did not make.
fn foreign(installed: &Installed) -> CliError {
    let chains = installed
        .tables
        .iter()
        .flat_map(|table| table.chains.iter().map(move |chain| (table.family, chain)));
    let place = chains
        .filter(|(_, chain)| chain.rules.iter().any(|rule| rule.known().is_none()))
        .map(|(family, chain)| format!(", in chain {} of {}", chain.name, describe::family(family)))
        .next();
    CliError::Failed(format!(
        "the table has parts that osm-cni did not make{}: they can't be followed; osm-cni inspect \
         shows them",
        place.unwrap_or_default()
    ))
}

fn planned_pod(pod: &PodOptions, connection: ConnectionOptions) -> Result<Case, CliError> {
    let connection = connection.complete(|address| pod.is_own(address), "eth0");
    let decided = pod.decide()?;
    super::warn(&decided.warnings);
    let (assumed, ruleset) = match &decided.decision {
        Decision::Leave(_) => ("", Ruleset::default()),
        Decision::Redirect(redirect) => {
            let assumed = match redirect.because {
                Enrolment::SidecarVolume(_) => " (as is assumed without --no-sidecar)",
                Enrolment::Annotation | Enrolment::MeshNamespace(_) => "",
            };
            (assumed, redirect.ruleset.clone())
        }
    };
    let outcome = Some(Ok(decided.decision));
    let installed = Installed::from(&ruleset);
    Ok(Case { connection, outcome, assumed, ruleset, installed })
}

/// The list that led a connection to its end: the deciding rule's, or that of
/// the last jump (an inclusion list's rules jump).
fn origin(path: &Path<'_>) -> Option<Provenance> {
    let taken = path.steps.iter().filter(|step| step.matched);
    path.provenance().or_else(|| taken.filter_map(|step| step.provenance()).next_back())
}

/// The conditions of the rules of the connection's family.
fn conditions(case: &Case) -> Conditions<'_> {
    let family = Family::of(case.connection.destination.ip());
    case.installed.table(family).map(Conditions::from).unwrap_or_default()
}

/// Why it ends where it ends, if no rule decided.
fn undecided(case: &Case) -> &'static str {
    let family = Family::of(case.connection.destination.ip());
    match (case.ruleset.tables.is_empty(), case.ruleset.table(family)) {
        (true, _) => "the pod has no rules",
        (false, None) if family == Family::Ip6 => "IPv6 is not touched (setting ipv6: bypass)",
        (false, None) => "there are no rules for IPv4",
        (false, Some(_)) => "no rule decides, and the chains let pass what none holds",
    }
}

fn print(case: &Case, path: &Path<'_>, paint: Paint, out: &mut impl Write) -> io::Result<()> {
    const INDENT: usize = 12;
    let mut field = |name: &str, value: &str, style: fn(Paint, &str) -> String| {
        let value = style(paint, &wrap::fold(value, INDENT, INDENT));
        writeln!(out, "{name:<INDENT$}{value}")
    };
    field("connection", &case.connection.words(), Paint::plain)?;
    let assumed = case.connection.assumed();
    if !assumed.is_empty() {
        field("assumed", &assumed, Paint::plain)?;
    }
    if let Some(outcome) = &case.outcome {
        let words = format!("{}{}", outcome::sentence(outcome), case.assumed);
        field("pod", &words, Paint::plain)?;
    }
    if let Some(name) = ruleset_of(&case.installed) {
        field("ruleset", &outcome::ruleset(name, case.outcome.as_ref()), Paint::plain)?;
    }
    let style = if path.end == End::Reset { Paint::warn } else { Paint::strong };
    field("ends", &describe::end(path.end, case.connection.destination), style)?;
    field("because", &because(case, path), Paint::plain)?;
    if let Some(step) = path.decision() {
        let rule = format!("rule {} of {}", step.index + 1, step.chain.name);
        field("decided by", &rule, Paint::plain)?;
    }
    if !path.steps.is_empty() {
        writeln!(out)?;
    }
    steps(case, path, paint, out)
}

/// What the deciding rule is there for, and the list it comes from.
fn because(case: &Case, path: &Path<'_>) -> String {
    match (path.decision(), origin(path)) {
        (None, _) => undecided(case).to_owned(),
        (Some(_), Some(Provenance { list, origin })) => {
            format!("{}, {}", describe::listed(list), Provenance { list, origin })
        }
        (Some(step), None) => describe::why(step.rule).to_owned(),
    }
}

fn steps(case: &Case, path: &Path<'_>, paint: Paint, out: &mut impl Write) -> io::Result<()> {
    let conditions = conditions(case);
    let mut chain = "";
    for (index, step) in path.steps.iter().enumerate() {
        if step.chain.name != chain {
            chain = &step.chain.name;
            writeln!(out, "{}", paint.strong(&sanitize::printable(chain)))?;
        }
        let decides = path.decided_by == Some(index);
        let mark = match (decides, step.matched) {
            (true, _) => "=>",
            (false, true) => "->",
            (false, false) => "no",
        };
        let verdict = describe::verdict(&step.rule.verdict);
        let head = format!("  {mark} {:>2}  {verdict:<1$}  ", step.index + 1, describe::VERDICT);
        let words = conditions.with_origin(chain, step.rule);
        let words = wrap::fold(&words, head.len(), head.len());
        let line = format!("{head}{words}");
        let line = match (decides, step.matched) {
            (true, _) => paint.good(&line),
            (false, true) => line,
            (false, false) => paint.faint(&line),
        };
        writeln!(out, "{line}")?;
    }
    Ok(())
}

fn document(case: &Case, path: &Path<'_>) -> Value {
    let Connection { destination, uid, interface, .. } = &case.connection;
    let family = Family::of(destination.ip());
    let conditions = conditions(case);
    let steps = path.steps.iter().map(|step| {
        json!({
            "chain": step.chain.name,
            "rule": step.index + 1,
            "matched": step.matched,
            "verdict": describe::verdict(&step.rule.verdict),
            "condition": conditions.of(&step.chain.name, step.rule),
            "origin": json::origin(step.rule.comment.as_deref()),
            "nft": json::nft(step.rule, family),
        })
    });
    let end = match path.end {
        End::ToProxy { port } => json!({"kind": "proxy", "port": port}),
        End::Direct => json!({"kind": "direct", "address": destination.to_string()}),
        End::ToAddress(address) => {
            let address = SocketAddr::new(address, destination.port());
            json!({"kind": "address", "address": address.to_string()})
        }
        End::Reset => json!({"kind": "reset"}),
    };
    let mut document = json!({
        "connection": {
            "direction": case.connection.direction(),
            "destination": destination.to_string(),
            "uid": uid,
            "interface": interface,
            "defaults": case.connection.defaults(),
        },
        "steps": steps.collect::<Value>(),
        "decidedBy": path.decided_by,
        "origin": origin(path).map(|origin| origin.to_string()),
        "because": because(case, path),
        "end": end,
    });
    for (field, value) in outcome::fields(case.outcome.as_ref()) {
        document[field] = value;
    }
    document["ruleset"] = json!(ruleset_of(&case.installed));
    document
}

/// The steps that were taken, one below the other.
fn picture(case: &Case, path: &Path<'_>, out: &mut impl Write) -> io::Result<()> {
    let conditions = conditions(case);
    let box_of = |rule: &Rule, chain: &str, index: usize| {
        format!("{chain} {}: {}", index + 1, conditions.of(chain, rule))
    };
    writeln!(out, "flowchart TD")?;
    let mut before = "start".to_owned();
    writeln!(out, "  start([\"{}\"])", sanitize::mermaid(&case.connection.words()))?;
    let mut label = String::new();
    for (index, step) in path.steps.iter().enumerate().filter(|(_, step)| step.matched) {
        let words = sanitize::mermaid(&box_of(step.rule, &step.chain.name, step.index));
        writeln!(out, "  {before} {label}--> step{index}[\"{words}\"]")?;
        before = format!("step{index}");
        label = match &step.rule.verdict {
            Verdict::Jump(_) => "-- jump ".to_owned(),
            verdict => format!("-- {} ", describe::verdict(verdict)),
        };
    }
    let end = describe::end(path.end, case.connection.destination);
    writeln!(out, "  {before} {label}--> finish([\"{}\"])", sanitize::mermaid(&end))
}
