//! The fields of a JSON object, read as Go's encoding/json does, which runtimes use.
//! Pure.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::broken::{Broken, Runtimes};
use crate::sanitize;

/// The fields of an object, each with its text.
pub(super) type Fields<'t> = BTreeMap<String, &'t RawValue>;

/// Whether a text is JSON, whatever it says.
pub(crate) fn is_json(bytes: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(bytes).is_ok()
}

/// The fields of a JSON object. Of two equal keys the last one counts.
pub(super) fn fields(text: &str) -> Result<Fields<'_>, Broken> {
    if text.trim().is_empty() {
        return Err(Broken::not_json("is empty"));
    }
    let fields = serde_json::from_str(text).map_err(|error| match is_json(text.as_bytes()) {
        false => Broken::not_json(format!("is not JSON: {error}")),
        true => Broken::refused("is not a JSON object"),
    })?;
    match infinite_number(text) {
        Some(number) => {
            let number = sanitize::value(number);
            Err(Broken::refused(format!("the number {number} is out of range")))
        }
        None => Ok(fields),
    }
}

/// A field that must be a string, if it is there.
pub(super) fn text_field(fields: &Fields<'_>, name: &str) -> Result<Option<String>, Broken> {
    let Some(raw) = fields.get(name) else { return Ok(None) };
    serde_json::from_str(raw.get()).map_err(|_| {
        let value = sanitize::value(raw.get());
        Broken::refused(format!("{name} is {value}, which is not a string"))
    })
}

/// Whether a flag is true. Since CNI 1.1 it may be a string.
pub(super) fn is_true(fields: &Fields<'_>, name: &str) -> bool {
    let raw = fields.get(name).map(|raw| raw.get().to_ascii_lowercase());
    raw.is_some_and(|raw| matches!(raw.as_str(), "true" | "\"true\""))
}

/// The flags of a list, whose types runtimes check.
pub(super) fn flags(fields: &Fields<'_>) -> Result<(), Broken> {
    // The others are of CNI 1.1, and older runtimes ignore them.
    for (name, is_old) in
        [("disableCheck", true), ("disableGC", false), ("loadOnlyInlinedPlugins", false)]
    {
        let Some(raw) = fields.get(name) else { continue };
        let runtimes = match raw.get().to_ascii_lowercase().as_str() {
            "true" | "false" => continue,
            "\"true\"" | "\"false\"" if !is_old => continue,
            "\"true\"" | "\"false\"" => Runtimes::Depends,
            _ if is_old => Runtimes::Refuse,
            _ => Runtimes::Depends,
        };
        return Err(Broken::new(format!("{name} is neither true nor false"), runtimes));
    }
    Ok(())
}

/// The first number that no floating-point number can hold, for which Go
/// refuses the whole text. The text is JSON.
fn infinite_number(text: &str) -> Option<&str> {
    let is_part = |c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.' | 'e' | 'E');
    outside_of_strings(text)
        .flat_map(|piece| piece.split(move |c| !is_part(c)))
        .find(|number| number.parse::<f64>().is_ok_and(f64::is_infinite))
}

/// The pieces of a JSON text between its strings.
fn outside_of_strings(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let Some((piece, string)) = rest.split_once('"') else {
            return Some(std::mem::take(&mut rest));
        };
        let mut escaped = false;
        let end = string.bytes().position(|byte| {
            let ends = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends
        });
        rest = end.map_or("", |end| &string[end + 1..]);
        Some(piece)
    })
}
