//! Tables as text for a terminal: chains in the order of evaluation, rules with
//! their counters, conditions and origins.
//!
//! Pure.

use std::io::{self, Write};

use super::conditions::Conditions;
use super::describe;
use super::paint::Paint;
use super::wrap::{fold, whole};
use crate::nft::{InstalledChain, InstalledRule, InstalledTable, Place, Reading};
use crate::ruleset::{self, Rule, text};
use crate::sanitize;

/// How wide the columns of counters are.
#[derive(Clone, Copy)]
struct Widths {
    packets: usize,
    bytes: usize,
}

/// Prints a table.
///
/// # Errors
/// The writer's.
pub(super) fn print(table: &InstalledTable, paint: Paint, out: &mut impl Write) -> io::Result<()> {
    let family = describe::family(table.family);
    let title = format!("{family} (table {} {})", table.family.as_str(), ruleset::TABLE);
    writeln!(out, "\n{}", paint.strong(&title))?;
    let owner = match (&table.owner, &table.comment) {
        (Some(owner), _) if owner.layout == ruleset::LAYOUT_VERSION => None,
        (Some(owner), _) => Some(format!("made by another version, layout {}", owner.layout)),
        (None, Some(comment)) => Some(format!("not made by osm-cni: its comment is {comment:?}")),
        (None, None) => Some("not made by osm-cni: it has no comment".to_owned()),
    };
    let foreign = table.foreign.iter().map(|what| format!("not osm-cni's: {what}"));
    for line in owner.into_iter().chain(foreign) {
        writeln!(out, "  {}", paint.warn(&fold(&line, 2, 2)))?;
    }
    let rules = table.chains.iter().flat_map(|chain| &chain.rules);
    let width = |number: fn(&InstalledRule) -> u64, title: &str| {
        let most = rules.clone().map(number).max().unwrap_or_default();
        most.to_string().len().max(title.len())
    };
    let widths = Widths {
        packets: width(|rule| rule.packets, "packets"),
        bytes: width(|rule| rule.bytes, "bytes"),
    };
    let Widths { packets, bytes } = widths;
    let titles = format!("  {:>packets$}  {:>bytes$}", "packets", "bytes");
    writeln!(out, "{}", paint.faint(&titles))?;
    let conditions = Conditions::from(table);
    for chain in &table.chains {
        print_chain(chain, &conditions, widths, paint, out)?;
    }
    Ok(())
}

fn print_chain(
    chain: &InstalledChain,
    conditions: &Conditions<'_>,
    widths: Widths,
    paint: Paint,
    out: &mut impl Write,
) -> io::Result<()> {
    let place = match &chain.place {
        Place::Base(hook) => {
            format!(": {} ({})", describe::hook_point(hook.point), whole(&text::hook(hook)))
        }
        Place::Foreign(place) => format!(": not osm-cni's: {place}"),
        Place::Jumped => String::new(),
    };
    let place = fold(&place, chain.name.len(), 2);
    writeln!(out, "{}{place}", paint.strong(&sanitize::printable(&chain.name)))?;
    chain.rules.iter().try_for_each(|rule| {
        let condition = |rule: &Rule| conditions.with_origin(&chain.name, rule);
        print_rule(rule, condition, widths, paint, out)
    })
}

fn print_rule(
    rule: &InstalledRule,
    condition: impl Fn(&Rule) -> String,
    widths: Widths,
    paint: Paint,
    out: &mut impl Write,
) -> io::Result<()> {
    let InstalledRule { packets, bytes, .. } = rule;
    let counter = format!("  {packets:>0$}  {bytes:>1$}", widths.packets, widths.bytes);
    let (verdict, words) = match &rule.reading {
        Reading::Known(known) => (describe::verdict(&known.verdict), condition(known)),
        Reading::Foreign { expressions, .. } => ("?".to_owned(), describe::foreign(expressions)),
    };
    let verdict = format!("{verdict:<0$}", describe::VERDICT);
    let column = counter.len() + 2 + verdict.len() + 2;
    let words = fold(&words, column, column);
    let counter = if *packets == 0 { paint.faint(&counter) } else { counter };
    let words = if rule.known().is_some() { words } else { paint.warn(&words) };
    writeln!(out, "{counter}  {verdict}  {words}")
}
