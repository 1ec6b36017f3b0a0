//! `osm-cni render`: the rules that a pod would get, without touching any.

use std::io::Write;

use serde_json::json;

use super::pod_options::{self, Decided, PodOptions};
use super::{CliError, json, mermaid, options, view};
use crate::policy::Decision;
use crate::ruleset::{self, Family, Ruleset, text};

const HELP: &str = concat!(
    "\
Prints the rules that a pod would get, and touches nothing.

Usage: osm-cni render [OPTION]...

",
    pod_options::help!(),
    "  --family FAMILY    ip or ip6: the rules of one family only
  -o FORMAT          nft (default): nft -f loads it
                     iptables: the commands of OSM's init container, in the form
                     that iptables-restore loads. Rules for IPv6 follow as
                     comments; ip6tables-restore loads them with --family ip6
                     json: for programs
                     mermaid: a picture
  -h, --help         print this

A pod that is left alone has no rules: the output says why.

Example:
  osm-cni render --annotation outbound-port-exclusion-list=8080 -o iptables
"
);

#[derive(Debug, Clone, Copy)]
enum Format {
    Nft,
    Iptables,
    Json,
    Mermaid,
}

const FORMATS: [(&str, Format); 4] = [
    ("nft", Format::Nft),
    ("iptables", Format::Iptables),
    ("json", Format::Json),
    ("mermaid", Format::Mermaid),
];

/// Runs the command with what follows its name.
pub(super) fn run(args: &mut lexopt::Parser, mut out: &mut dyn Write) -> Result<(), CliError> {
    let mut pod = PodOptions::default();
    let mut format = Format::Nft;
    let mut family = None;
    while let Some(name) = options::next(args)? {
        match name.as_str() {
            "--help" => return Ok(out.write_all(HELP.as_bytes())?),
            "--output" => format = options::one_of("-o", &FORMATS, args)?,
            "--family" => {
                let words = [("ip", Family::Ip), ("ip6", Family::Ip6)];
                family = Some(options::one_of(&name, &words, args)?);
            }
            name if pod.take(name, args)? => {}
            name => return Err(options::unknown(name)),
        }
    }
    let Decided { decision, warnings } = pod.decide()?;
    super::warn(&warnings);
    let (policy, because) = match &decision {
        Decision::Redirect { policy, because, .. } => (policy, because),
        Decision::Leave(reason) => return leave(format, &reason.to_string(), reason.word(), out),
    };
    let mut ruleset = ruleset::build(policy, None);
    ruleset.tables.retain(|table| family.is_none_or(|family| table.family == family));
    match format {
        Format::Nft => text::nft(&ruleset, &mut out)?,
        Format::Iptables => iptables(&ruleset, family, out)?,
        Format::Mermaid => mermaid::print(&view::of_ruleset(&ruleset), out)?,
        Format::Json => {
            let document = json!({
                "decision": "redirect",
                "reason": because.to_string(),
                "reasonWord": because.word(),
                "warnings": warnings,
                "tables": json::tables(&view::of_ruleset(&ruleset)),
            });
            json::print(&document, out)?;
        }
    }
    Ok(())
}

fn leave(format: Format, reason: &str, word: &str, out: &mut dyn Write) -> Result<(), CliError> {
    match format {
        Format::Nft | Format::Iptables => writeln!(out, "# no rules: {reason}")?,
        Format::Mermaid => mermaid::nothing(reason, out)?,
        Format::Json => {
            let document = json!({"decision": "leave", "reason": reason, "reasonWord": word});
            json::print(&document, out)?;
        }
    }
    Ok(())
}

/// One program loads one family. Without `--family` it is IPv4's; IPv6's rules
/// are then only shown, since iptables-restore would load them, too.
fn iptables(
    ruleset: &Ruleset,
    family: Option<Family>,
    mut out: &mut dyn Write,
) -> Result<(), CliError> {
    if let Some(family) = family {
        return Ok(text::iptables(ruleset, family, &mut out)?);
    }
    text::iptables(ruleset, Family::Ip, &mut out)?;
    let mut sixth = Vec::new();
    text::iptables(ruleset, Family::Ip6, &mut sixth)?;
    if !sixth.is_empty() {
        writeln!(out, "# For ip6tables-restore; --family ip6 prints it without the #:")?;
        for line in String::from_utf8_lossy(&sixth).lines() {
            writeln!(out, "# {line}")?;
        }
    }
    Ok(())
}
