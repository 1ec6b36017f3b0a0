//! Rules as JSON for programs: what `inspect -o json` and `render -o json`
//! print of a table. Its schema is `conf/inspect.schema.json`.
//!
//! Pure.

use std::io::Write;

use serde_json::{Value, json};

use super::CliError;
use super::describe;
use super::view::{ChainView, RuleReading, RuleView, TableView};
use crate::ruleset::{Elements, Family, Provenance, Set, TABLE, text};
use crate::sanitize;

/// Prints a document.
pub(super) fn print(value: &Value, out: &mut dyn Write) -> Result<(), CliError> {
    let text = serde_json::to_string_pretty(value).map_err(std::io::Error::from)?;
    Ok(writeln!(out, "{}", sanitize::json(&text))?)
}

/// A list of tables.
pub(super) fn tables(tables: &[TableView<'_>]) -> Value {
    tables.iter().map(table).collect()
}

fn table(table: &TableView<'_>) -> Value {
    let owner = table.owner.map(|owner| {
        json!({
            "layout": owner.layout,
            "container": owner.container,
            "interface": owner.interface,
        })
    });
    json!({
        "family": table.family.as_str(),
        "name": TABLE,
        "comment": table.comment,
        "owner": owner,
        "chains": table.chains.iter().map(|it| chain(it, table)).collect::<Value>(),
        "sets": table.sets.iter().map(set).collect::<Value>(),
        "foreign": table.foreign,
    })
}

fn chain(chain: &ChainView<'_>, table: &TableView<'_>) -> Value {
    let hook = chain.hook.as_ref().map(text::hook);
    json!({
        "name": chain.name,
        "hook": hook.or_else(|| chain.foreign_place.map(str::to_owned)),
        "rules": chain.rules.iter().map(|it| rule(it, table)).collect::<Value>(),
    })
}

fn rule(view: &RuleView<'_>, table: &TableView<'_>) -> Value {
    let mut json = match &view.reading {
        RuleReading::Foreign(words) => json!({
            "ours": false,
            "verdict": null,
            "condition": words,
            "origin": null,
            "nft": null,
        }),
        RuleReading::Known(rule) => json!({
            "ours": true,
            "verdict": describe::verdict(&rule.verdict),
            "condition": describe::condition(rule, table.sets),
            "origin": origin(rule.comment.as_deref()),
            "nft": nft(rule, table.family),
        }),
    };
    if let Some(counter) = view.counter {
        json["packets"] = counter.packets.into();
        json["bytes"] = counter.bytes.into();
        json["handle"] = counter.handle.into();
    }
    json
}

/// The rule in nft's syntax.
pub(super) fn nft(rule: &crate::ruleset::Rule, family: Family) -> String {
    text::rule(rule, family)
}

/// A rule's comment, if it names a list.
pub(super) fn origin(comment: Option<&str>) -> Option<&'static str> {
    comment.and_then(Provenance::parse).map(Provenance::comment)
}

fn set(set: &Set) -> Value {
    let (kind, elements): (_, Value) = match &set.elements {
        Elements::Ipv4(all) => ("ipv4_addr", all.iter().map(ToString::to_string).collect()),
        Elements::Ipv6(all) => ("ipv6_addr", all.iter().map(ToString::to_string).collect()),
        Elements::Ports(all) => ("inet_service", all.iter().copied().collect()),
        Elements::Uids(all) => ("uid", all.iter().copied().collect()),
    };
    json!({"name": set.name, "type": kind, "elements": elements})
}
