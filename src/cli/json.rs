//! Rules as JSON: what `inspect -o json` and `render -o json` print of a table.
//! Its schema is `conf/inspect.schema.json`.
//!
//! Pure.

use std::io::Write;

use serde_json::{Value, json};

use super::conditions::Conditions;
use super::tables::Counters;
use super::{CliError, describe};
use crate::nft::{InstalledChain, InstalledRule, InstalledTable, Place, Reading};
use crate::ruleset::{Family, Provenance, Rule, Set, TABLE, text};
use crate::sanitize;

/// Prints a document.
///
/// # Errors
/// The writer's.
pub(super) fn print(value: &Value, out: &mut impl Write) -> Result<(), CliError> {
    let text = serde_json::to_string_pretty(value).map_err(std::io::Error::from)?;
    Ok(writeln!(out, "{}", sanitize::json(&text))?)
}

/// A list of tables.
pub(super) fn tables(tables: &[InstalledTable], counters: Counters) -> Value {
    tables.iter().map(|it| table(it, counters)).collect()
}

fn table(table: &InstalledTable, counters: Counters) -> Value {
    let owner = table.owner.as_ref().map(|owner| {
        json!({
            "layout": owner.layout,
            "container": owner.container,
            "interface": owner.interface,
        })
    });
    let conditions = Conditions::from(table);
    let chains = table.chains.iter().map(|it| chain(it, table.family, &conditions, counters));
    json!({
        "family": table.family.as_str(),
        "name": TABLE,
        "comment": table.comment,
        "owner": owner,
        "chains": chains.collect::<Value>(),
        "sets": table.sets.iter().map(set).collect::<Value>(),
        "foreign": table.foreign,
    })
}

fn chain(
    chain: &InstalledChain,
    family: Family,
    conditions: &Conditions<'_>,
    counters: Counters,
) -> Value {
    let hook = match &chain.place {
        Place::Base(hook) => Some(text::hook(hook)),
        Place::Foreign(place) => Some(place.clone()),
        Place::Jumped => None,
    };
    let rules = chain.rules.iter().map(|installed| {
        let condition = |rule: &Rule| conditions.of(&chain.name, rule);
        rule(installed, family, condition, counters)
    });
    json!({"name": chain.name, "hook": hook, "rules": rules.collect::<Value>()})
}

fn rule(
    rule: &InstalledRule,
    family: Family,
    condition: impl Fn(&Rule) -> String,
    counters: Counters,
) -> Value {
    let mut json = match &rule.reading {
        Reading::Foreign { expressions, .. } => json!({
            "ours": false,
            "verdict": null,
            "condition": describe::foreign(expressions),
            "origin": null,
            "nft": null,
        }),
        Reading::Known(rule) => json!({
            "ours": true,
            "verdict": describe::verdict(&rule.verdict),
            "condition": condition(rule),
            "origin": origin(rule.comment.as_deref()),
            "nft": nft(rule, family),
        }),
    };
    if counters == Counters::Shown {
        json["packets"] = rule.packets.into();
        json["bytes"] = rule.bytes.into();
        json["handle"] = rule.handle.into();
    }
    json
}

/// The rule in nft's syntax.
pub(super) fn nft(rule: &Rule, family: Family) -> String {
    text::rule(rule, family)
}

/// A rule's comment, if it names a list.
pub(super) fn origin(comment: Option<&str>) -> Option<&str> {
    comment.filter(|comment| Provenance::parse(comment).is_some())
}

fn set(set: &Set) -> Value {
    json!({"name": set.name, "type": set.elements.type_name(), "elements": set.elements})
}
