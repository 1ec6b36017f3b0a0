//! Edits the text of a network configuration: our entry in, and out again.
//! Pure: text in, text out.
//!
//! Configurations belong to their agents: all bytes but those of our own entry
//! stay as they are. So the list is edited, not printed again. Our entry is put
//! behind the last plugin's text.

use std::ops::Range;

use serde_json::{Map, Value};

use super::conflist::Network;
use super::list_text;
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

    /// The text of our own list: a copy of this one with our entry. A runtime
    /// before CNI 1.1 that finds no `cniVersion` would call our entry without a
    /// version, and every pod of the node would fail.
    pub(crate) fn own_list(&self, entry: &Map<String, Value>) -> String {
        let text = self.with_entry(entry);
        match self.is_supported_before_1_1() {
            true => text,
            false => list_text::with_version(&text, &self.versions.remedy.to_string()),
        }
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
