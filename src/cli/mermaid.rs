//! Rules as a Mermaid flowchart: a node per chain with its rules, an arrow per
//! way out of it.
//!
//! Pure.

use std::collections::BTreeSet;
use std::io::{self, Write};

use super::conditions::Conditions;
use super::describe;
use super::tables::Counters;
use crate::nft::{InstalledChain, InstalledRule, InstalledTable, Place, Reading};
use crate::ruleset::{Match, Rule, Verdict};
use crate::sanitize;

/// Prints the tables.
///
/// # Errors
/// The writer's.
pub(super) fn print(
    tables: &[InstalledTable],
    counters: Counters,
    out: &mut impl Write,
) -> io::Result<()> {
    writeln!(out, "flowchart TD")?;
    for table in tables {
        let family = table.family.as_str();
        writeln!(out, "  subgraph {family}[\"{}\"]", describe::family(table.family))?;
        let conditions = Conditions::from(table);
        for chain in &table.chains {
            print_chain(chain, family, &conditions, counters, out)?;
        }
        for chain in &table.chains {
            print_arrows(chain, family, out)?;
        }
        writeln!(out, "  end")?;
    }
    Ok(())
}

/// Prints a picture of nothing, and why.
///
/// # Errors
/// The writer's.
pub(super) fn nothing(reason: &str, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "flowchart TD\n  none[\"no rules: {}\"]", sanitize::mermaid(reason))
}

fn print_chain(
    chain: &InstalledChain,
    family: &str,
    conditions: &Conditions<'_>,
    counters: Counters,
    out: &mut impl Write,
) -> io::Result<()> {
    let mut label = format!("<b>{}</b>", sanitize::mermaid(&chain.name));
    for rule in &chain.rules {
        label.push_str("<br/>");
        label.push_str(&sanitize::mermaid(&line(rule, &chain.name, conditions)));
        if counters == Counters::Shown {
            label.push_str(&format!(" ({} packets)", rule.packets));
        }
    }
    let node = id(&chain.name);
    writeln!(out, "    {family}_{node}[\"{label}\"]")?;
    if let Place::Base(hook) = chain.place {
        let from = describe::hook_point(hook.point);
        writeln!(out, "    {family}_from_{node}([\"{from}\"]) --> {family}_{node}")?;
    }
    Ok(())
}

fn line(rule: &InstalledRule, chain: &str, conditions: &Conditions<'_>) -> String {
    match &rule.reading {
        Reading::Foreign { expressions, .. } => describe::foreign(expressions),
        Reading::Known(rule) => {
            let condition = conditions.of(chain, rule);
            let origin = rule.comment.as_deref().map(|comment| format!(" [{comment}]"));
            let verdict = describe::verdict(&rule.verdict);
            format!("{verdict}: {condition}{}", origin.unwrap_or_default())
        }
    }
}

/// The arrows out of a chain, each once. Each chain has end nodes of its own,
/// so that no arrow skips a row and runs behind another chain.
fn print_arrows(chain: &InstalledChain, family: &str, out: &mut impl Write) -> io::Result<()> {
    let from = format!("{family}_{}", id(&chain.name));
    let mut drawn = BTreeSet::new();
    for rule in &chain.rules {
        let Some(rule) = rule.known() else { continue };
        let (label, target) = match &rule.verdict {
            Verdict::Jump(target) => ("jump", format!("{family}_{}", id(target))),
            Verdict::Redirect(port) => {
                ("redirect", format!("{from}_port_{port}([\"proxy, port {port}\"])"))
            }
            Verdict::Dnat(address) => ("dnat", format!("{from}_dnat([\"{address}\"])")),
            Verdict::RejectWithReset => ("reject", format!("{from}_reset([\"TCP reset\"])")),
            Verdict::Return | Verdict::Accept => {
                ("return", format!("{from}_direct([\"its destination\"])"))
            }
        };
        if drawn.insert(target.clone()) {
            writeln!(out, "    {from} -- {label} --> {target}")?;
        }
        if ends_all(rule) {
            break;
        }
    }
    Ok(())
}

/// Whether no connection gets to the rules behind this one.
fn ends_all(rule: &Rule) -> bool {
    !matches!(rule.verdict, Verdict::Jump(_)) && rule.matches.iter().all(|m| *m == Match::Tcp)
}

/// A name that is valid as a node's; `end` and others are Mermaid's own words.
fn id(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    format!("c_{}", name.chars().map(plain).collect::<String>())
}
