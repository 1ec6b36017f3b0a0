//! Rules as a Mermaid flowchart: a box per chain with its rules, an arrow per
//! way out of it.
//!
//! Pure.

use std::collections::BTreeSet;
use std::io::{self, Write};

use super::describe;
use super::view::{ChainView, RuleReading, TableView};
use crate::ruleset::Verdict;
use crate::sanitize;

/// Prints the tables.
pub(super) fn print(tables: &[TableView<'_>], out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "flowchart TD")?;
    for table in tables {
        let family = table.family.as_str();
        writeln!(out, "  subgraph {family}[\"{}\"]", describe::family(table.family))?;
        for chain in &table.chains {
            print_chain(chain, table, out)?;
        }
        for chain in &table.chains {
            print_ways(chain, family, out)?;
        }
        writeln!(out, "  end")?;
    }
    Ok(())
}

/// Prints a picture of nothing, and why.
pub(super) fn nothing(reason: &str, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "flowchart TD\n  none[\"no rules: {}\"]", sanitize::mermaid(reason))
}

fn print_chain(
    chain: &ChainView<'_>,
    table: &TableView<'_>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let family = table.family.as_str();
    let mut label = format!("<b>{}</b>", sanitize::mermaid(chain.name));
    for rule in &chain.rules {
        let line = match &rule.reading {
            RuleReading::Known(rule) => {
                let words = describe::condition(rule, table.sets);
                let origin = rule.comment.as_deref().map(|comment| format!(" [{comment}]"));
                let verdict = describe::verdict(&rule.verdict);
                format!("{verdict}: {words}{}", origin.unwrap_or_default())
            }
            RuleReading::Foreign(words) => words.clone(),
        };
        label.push_str("<br/>");
        label.push_str(&sanitize::mermaid(&line));
        if let Some(counter) = rule.counter {
            label.push_str(&format!(" ({} packets)", counter.packets));
        }
    }
    writeln!(out, "    {family}_{}[\"{label}\"]", id(chain.name))?;
    if let Some(hook) = chain.hook {
        let from = describe::hook_point(hook.point);
        let source = format!("{family}_from_{}", id(chain.name));
        writeln!(out, "    {source}([\"{from}\"]) --> {family}_{}", id(chain.name))?;
    }
    Ok(())
}

/// The arrows out of a chain, each once.
fn print_ways(chain: &ChainView<'_>, family: &str, out: &mut dyn Write) -> io::Result<()> {
    let mut drawn = BTreeSet::new();
    for rule in &chain.rules {
        let RuleReading::Known(rule) = &rule.reading else { continue };
        let (label, target) = match &rule.verdict {
            Verdict::Jump(target) => ("jump", format!("{family}_{}", id(target))),
            Verdict::Redirect(port) => {
                ("redirect", format!("{family}_port_{port}([\"proxy, port {port}\"])"))
            }
            Verdict::Dnat(address) => ("dnat", format!("{family}_dnat([\"{address}\"])")),
            Verdict::RejectWithReset => ("reject", format!("{family}_reset([\"TCP reset\"])")),
            Verdict::Return | Verdict::Accept => {
                ("return", format!("{family}_direct([\"its destination\"])"))
            }
        };
        if drawn.insert(target.clone()) {
            writeln!(out, "    {family}_{} -- {label} --> {target}", id(chain.name))?;
        }
    }
    Ok(())
}

/// A name that Mermaid takes for a node; `end` and the like are words of its own.
fn id(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    format!("c_{}", name.chars().map(plain).collect::<String>())
}
