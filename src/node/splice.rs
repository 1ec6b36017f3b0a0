//! Edits the text of a network configuration: our entry in, and out again.
//! Pure: text in, text out.
//!
//! Configurations belong to their agents: all bytes but those of our own entry
//! stay as they are. So no list is printed anew. Our entry is put behind the
//! last plugin's text.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::conflist::Network;
use crate::config::PLUGIN_TYPE;

impl Network {
    /// The text with this entry at the end of the list and no other of ours. A
    /// list without another plugin stays as it is: ours is never alone in one.
    #[must_use]
    pub fn with_entry(&self, entry: &Map<String, Value>) -> String {
        let mut text = self.without_ours();
        let Ok(base) = Self::of_list(text.clone(), &[]) else {
            return self.text.clone();
        };
        let Some(last) = base.plugins.last() else {
            return text;
        };
        let whitespace = whitespace_before(&base.text, last.span.start);
        let ours = format!(",{whitespace}{}", print(entry, whitespace));
        text.insert_str(last.span.end, &ours);
        text
    }

    /// The text without any entry of ours; the exact inverse of
    /// [`Self::with_entry`].
    #[must_use]
    pub(crate) fn without_ours(&self) -> String {
        let mut text = String::with_capacity(self.text.len());
        let mut copied = 0;
        for (index, plugin) in self.plugins.iter().enumerate() {
            if plugin.kind != PLUGIN_TYPE {
                continue;
            }
            let cut = self.cut(index);
            text.push_str(&self.text[copied..cut.start]);
            copied = cut.end;
        }
        text.push_str(&self.text[copied..]);
        text
    }

    /// Whether both say the same, our entries and whitespace aside.
    #[must_use]
    pub(crate) fn same_but_ours(&self, other: &Self) -> bool {
        let (a, b) = (self.without_ours(), other.without_ours());
        tight(&a).eq(tight(&b))
    }

    /// The bytes that leave with a plugin: itself and the comma that ties it to
    /// its neighbour, with the whitespace around the comma.
    fn cut(&self, index: usize) -> Range<usize> {
        let span = &self.plugins[index].span;
        if self.plugins[..index].iter().any(|plugin| plugin.kind != PLUGIN_TYPE) {
            return self.plugins[index - 1].span.end..span.end;
        }
        match self.plugins.get(index + 1) {
            Some(next) => span.start..next.span.start,
            None => span.clone(),
        }
    }
}

/// The list that runtimes make of a single plugin.
pub(super) fn list_of_single(name: &str, version: &str, plugin: &str) -> String {
    let plugin = plugin.trim().replace('\n', "\n    ");
    let (name, version) = (Value::from(name), Value::from(version));
    format!(
        "{{\n  \"cniVersion\": {version},\n  \"name\": {name},\n  \"plugins\": [\n    {plugin}\n  ]\n}}\n"
    )
}

/// A list without plugins of its own, with these. `loadOnlyInlinedPlugins` keeps
/// the runtime from adding those of the folder again.
pub(super) fn with_plugins(text: &str, plugins: &[String]) -> String {
    let end = text.trim_end().len().saturating_sub(1);
    let head = text[..end].trim_end();
    let comma = if head.ends_with('{') { "" } else { "," };
    let plugins: Vec<String> =
        plugins.iter().map(|plugin| plugin.trim().replace('\n', "\n    ")).collect();
    let plugins = plugins.join(",\n    ");
    format!(
        "{head}{comma}\n  \"loadOnlyInlinedPlugins\": true,\n  \"plugins\": [\n    {plugins}\n  ]\n}}\n"
    )
}

/// A JSON object's text with this `cniVersion`, in place of one that it has, or at
/// its beginning.
pub(super) fn with_version(text: &str, version: &str) -> String {
    let version = Value::from(version);
    let fields: BTreeMap<String, &RawValue> = serde_json::from_str(text).unwrap_or_default();
    let mut edited = text.to_owned();
    if let Some(old) = fields.get("cniVersion").map(|raw| raw.get()) {
        // A borrowed raw value is a slice of the text that it was read from.
        let start = old.as_ptr() as usize - text.as_ptr() as usize;
        edited.replace_range(start..start + old.len(), &version.to_string());
    } else if let Some(begin) = text.find('{') {
        let rest = &text[begin + 1..];
        let whitespace = &rest[..rest.len() - rest.trim_start().len()];
        edited.insert_str(begin + 1, &format!("{whitespace}\"cniVersion\": {version},"));
    }
    edited
}

/// The first number that no floating-point number can hold, for which Go
/// refuses the whole text. The text is JSON.
pub(super) fn infinite_number(text: &str) -> Option<&str> {
    let is_part = |c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.' | 'e' | 'E');
    outside_of_strings(text)
        .flat_map(|piece| piece.split(move |c| !is_part(c)))
        .find(|number| number.parse::<f64>().is_ok_and(f64::is_infinite))
}

/// The bytes of a JSON text without the whitespace between its tokens.
fn tight(text: &str) -> impl Iterator<Item = u8> {
    let mut in_string = false;
    let mut escaped = false;
    text.bytes().filter(move |byte| {
        if !in_string {
            in_string = *byte == b'"';
            return !byte.is_ascii_whitespace();
        }
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_string = false,
            _ => {}
        }
        true
    })
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

/// The whitespace before a position.
fn whitespace_before(text: &str, position: usize) -> &str {
    let head = &text[..position];
    &head[head.trim_end().len()..]
}

/// Our entry, laid out as its neighbours: in one line, or over several.
fn print(entry: &Map<String, Value>, whitespace: &str) -> String {
    let Some((_, indent)) = whitespace.rsplit_once('\n') else {
        return Value::Object(entry.clone()).to_string();
    };
    let pretty = format!("{:#}", Value::Object(entry.clone()));
    let unit = if indent.contains('\t') { "\t" } else { "  " };
    let mut text = String::with_capacity(pretty.len() * 2);
    for (number, line) in pretty.lines().enumerate() {
        let body = line.trim_start();
        if number > 0 {
            text.push('\n');
            text.push_str(indent);
        }
        text.push_str(&unit.repeat((line.len() - body.len()) / 2));
        text.push_str(body);
    }
    text
}
