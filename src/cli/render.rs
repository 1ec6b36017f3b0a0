//! `osm-cni render`: the rules that a pod would get, without touching any.
//!
//! I/O: none of its own; through `pod_options.rs`.

use std::io::Write;

use serde_json::json;

use super::arguments::Given;
use super::options::{Opt, Words};
use super::outcome;
use super::pod_options::{self, PodOptions};
use super::tables::Counters;
use super::verb::{Group, Verb};
use super::{CliError, json, mermaid};
use crate::admit::{Admission, Decision};
use crate::nft::Installed;
use crate::ruleset::{Family, Ruleset, text};
use crate::sanitize;

const FAMILY: Opt =
    Opt::word::<Family>("family", "FAMILY", "print the rules of one family only: ip or ip6");
const OUTPUT: Opt = Opt::word::<Format>(
    "output",
    "FORMAT",
    "nft (default): for nft -f\niptables: for iptables-restore, like the commands of OSM's init \
     container. Rules for IPv6 follow as comments; with --family ip6 they are for \
     ip6tables-restore\njson: for programs\nmermaid: a diagram",
)
.short('o');

pub(super) static VERB: Verb = Verb {
    name: "render",
    summary: "show the rules that a pod would get",
    about: "Prints the rules that a pod would get. Changes nothing.",
    usage: "[OPTION]...",
    operand: None,
    groups: &[
        Group { title: "", options: pod_options::OPTIONS },
        Group { title: "", options: &[FAMILY, OUTPUT] },
    ],
    notes: "A pod that would be left alone has no rules; the output says why.",
    example: "osm-cni render --annotation outbound-port-exclusion-list=8080 -o iptables",
    run,
};

#[derive(Debug, Clone, Copy)]
enum Format {
    Nft,
    Iptables,
    Json,
    Mermaid,
}

impl Words for Format {
    fn words() -> Vec<(&'static str, Self)> {
        vec![
            ("nft", Format::Nft),
            ("iptables", Format::Iptables),
            ("json", Format::Json),
            ("mermaid", Format::Mermaid),
        ]
    }
}

impl Words for Family {
    fn words() -> Vec<(&'static str, Self)> {
        vec![("ip", Family::Ip), ("ip6", Family::Ip6)]
    }
}

fn run(given: &Given, out: &mut impl Write) -> Result<(), CliError> {
    let pod = PodOptions::new(given)?;
    let format = given.word(&OUTPUT)?.unwrap_or(Format::Nft);
    let family: Option<Family> = given.word(&FAMILY)?;
    let Admission { decision, warnings } = pod.decide()?;
    super::warn(&warnings);
    let (name, mut ruleset) = match &decision {
        Decision::Redirect(redirect) => (Some(redirect.layout.name), redirect.ruleset.clone()),
        Decision::Leave(_) => (None, Ruleset::default()),
    };
    let outcome = Ok(decision);
    ruleset.tables.retain(|table| family.is_none_or(|family| table.family == family));
    if let (Format::Nft | Format::Iptables, Some(name)) = (format, name) {
        writeln!(out, "# ruleset {}", outcome::ruleset(name, Some(&outcome)))?;
    }
    match (format, &outcome) {
        (Format::Json, _) => {
            let mut document = json!({});
            for (field, value) in outcome::fields(Some(&outcome)) {
                document[field] = value;
            }
            document["ruleset"] = json!(name);
            document["warnings"] = json!(warnings);
            document["tables"] = json::tables(&Installed::from(&ruleset).tables, Counters::Hidden);
            json::print(&document, out)
        }
        (Format::Nft | Format::Iptables, Ok(Decision::Leave(reason))) => {
            Ok(writeln!(out, "# no rules: {}", sanitize::printable(&reason.to_string()))?)
        }
        (Format::Mermaid, Ok(Decision::Leave(reason))) => {
            Ok(mermaid::nothing(&reason.to_string(), out)?)
        }
        (Format::Nft, _) => Ok(text::nft(&ruleset, out)?),
        (Format::Iptables, _) => iptables(&ruleset, family, out),
        (Format::Mermaid, _) => {
            Ok(mermaid::print(&Installed::from(&ruleset).tables, Counters::Hidden, out)?)
        }
    }
}

/// One program loads one family. Without `--family` it is IPv4's; IPv6's rules
/// are then only shown, since iptables-restore would load them, too.
fn iptables(
    ruleset: &Ruleset,
    family: Option<Family>,
    out: &mut impl Write,
) -> Result<(), CliError> {
    if let Some(family) = family {
        return Ok(text::iptables(ruleset, family, out)?);
    }
    text::iptables(ruleset, Family::Ip, out)?;
    let mut ipv6 = Vec::new();
    text::iptables(ruleset, Family::Ip6, &mut ipv6)?;
    if !ipv6.is_empty() {
        writeln!(out, "# For ip6tables-restore; --family ip6 prints it without the #:")?;
        for line in String::from_utf8_lossy(&ipv6).lines() {
            writeln!(out, "# {line}")?;
        }
    }
    Ok(())
}
