//! Reading one JSON value with its path at hand, so that an error names both.
//!
//! Pure.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::rc::Rc;

use serde::Deserializer as _;
use serde::de::{SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::lists::{self, Expected, PortRange, shown};
use crate::ruleset::InterfacePattern;

/// A field of the settings with a wrong value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {value} is not {expected}")]
pub struct ConfigError {
    /// The field, like `traffic.outboundPortExclusionList[1]`.
    pub path: String,
    /// Its value as JSON, shortened.
    pub value: String,
    /// What it should be.
    pub expected: Expected,
}

/// A value that may be missing, and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Reader<'a> {
    path: Rc<str>,
    /// Which item of the list at `path`; lists may be long, so nothing is
    /// formatted until it is wrong.
    item: Option<usize>,
    raw: Option<&'a RawValue>,
}

/// The fields of an object, and where it stands.
pub(super) struct Object<'a> {
    path: String,
    fields: BTreeMap<String, &'a RawValue>,
}

impl<'a> Reader<'a> {
    /// The value at `path`; `null` is as good as missing.
    pub(super) fn new(path: impl Into<Rc<str>>, raw: Option<&'a RawValue>) -> Self {
        Reader { path: path.into(), item: None, raw: raw.filter(|raw| raw.get() != "null") }
    }

    fn path_text(&self) -> String {
        match self.item {
            None => self.path.to_string(),
            Some(item) => format!("{}[{item}]", self.path),
        }
    }

    fn error(&self, expected: Expected) -> ConfigError {
        let value = self.raw.map_or("null", RawValue::get);
        ConfigError { path: self.path_text(), value: shown(value), expected }
    }

    fn parse<T>(
        &self,
        expected: Expected,
        parse: impl FnOnce(Value) -> Option<T>,
    ) -> Result<T, ConfigError> {
        // Nothing here is ever a list or an object: a large one is not even
        // read, since as values it takes seventy times its text.
        self.raw
            .filter(|raw| !raw.get().starts_with(['[', '{']))
            .and_then(|raw| serde_json::from_str(raw.get()).ok())
            .and_then(parse)
            .ok_or_else(|| self.error(expected))
    }

    /// None if missing.
    pub(super) fn optional<T>(
        self,
        read: impl FnOnce(Self) -> Result<T, ConfigError>,
    ) -> Result<Option<T>, ConfigError> {
        self.raw.is_some().then(|| read(self)).transpose()
    }

    /// None if missing, else each item read.
    pub(super) fn list<T>(
        self,
        read: impl Fn(Self) -> Result<T, ConfigError>,
    ) -> Result<Option<Vec<T>>, ConfigError> {
        let Some(raw) = self.raw else { return Ok(None) };
        let mut items = Vec::new();
        let mut wrong = None;
        let mut index = 0;
        let read_item = |item| {
            if wrong.is_some() {
                return;
            }
            // An item that is null is wrong, not missing.
            match read(Reader { path: self.path.clone(), item: Some(index), raw: Some(item) }) {
                Ok(item) => items.push(item),
                Err(error) => wrong = Some(error),
            }
            index += 1;
        };
        each_item(raw.get(), read_item).map_err(|_| self.error(Expected::List))?;
        wrong.map_or(Ok(Some(items)), Err)
    }

    /// An object; an empty one if missing.
    pub(super) fn object(&self) -> Result<Object<'a>, ConfigError> {
        let fields = match self.raw {
            None => BTreeMap::new(),
            Some(raw) => {
                serde_json::from_str(raw.get()).map_err(|_| self.error(Expected::Object))?
            }
        };
        Ok(Object { path: self.path_text(), fields })
    }

    /// One of these words; the first if missing.
    pub(super) fn one_of<T: Copy>(
        self,
        words: &'static [(&'static str, T)],
    ) -> Result<T, ConfigError> {
        match self.raw {
            None => Ok(words[0].1),
            Some(_) => expect_words(&self, words),
        }
    }

    pub(super) fn text(self) -> Result<String, ConfigError> {
        self.parse(Expected::Text, |value| match value {
            Value::String(text) if !text.is_empty() => Some(text),
            _ => None,
        })
    }

    pub(super) fn path(self) -> Result<PathBuf, ConfigError> {
        self.parse(Expected::Path, |value| {
            value.as_str().map(PathBuf::from).filter(|path| path.is_absolute())
        })
    }

    /// An absolute path, or none for the empty string.
    pub(super) fn optional_path(self) -> Result<Option<PathBuf>, ConfigError> {
        self.parse(Expected::OptionalPath, |value| match value.as_str() {
            Some("") => Some(None),
            other => other.map(PathBuf::from).filter(|path| path.is_absolute()).map(Some),
        })
    }

    pub(super) fn annotation_prefix(self) -> Result<String, ConfigError> {
        let fits = |c: char| c.is_ascii_alphanumeric() || ".-".contains(c);
        self.parse(Expected::AnnotationPrefix, |value| match value {
            Value::String(text) if !text.is_empty() && text.chars().all(fits) => Some(text),
            _ => None,
        })
    }

    pub(super) fn port(self) -> Result<u16, ConfigError> {
        self.parse(Expected::Port, |value| number(&value).filter(|port| *port > 0))
    }

    pub(super) fn uid(self) -> Result<u32, ConfigError> {
        self.parse(Expected::Uid, |value| number(&value).filter(|uid| *uid != u32::MAX))
    }

    /// A number, or a string with one port or two.
    pub(super) fn port_range(self) -> Result<PortRange, ConfigError> {
        if self.raw.is_some_and(|raw| raw.get().starts_with('"')) {
            return self.parse(Expected::PortRange, |value| value.as_str()?.parse().ok());
        }
        self.parse(Expected::Port, |value| {
            number(&value).and_then(|port| PortRange::new(port, port))
        })
    }

    pub(super) fn range(self) -> Result<ipnetwork::IpNetwork, ConfigError> {
        self.parse(Expected::Range, |value| lists::parse_range(value.as_str()?).ok())
    }

    pub(super) fn interface(self) -> Result<InterfacePattern, ConfigError> {
        self.parse(Expected::Interface, |value| lists::parse_interface(value.as_str()?).ok())
    }
}

impl<'a> Object<'a> {
    pub(super) fn field(&self, name: &str) -> Reader<'a> {
        Reader::new(format!("{}.{name}", self.path), self.fields.get(name).copied())
    }

    pub(super) fn names(self) -> Vec<String> {
        self.fields.into_keys().collect()
    }
}

/// One of these words.
pub(super) fn expect_words<T: Copy>(
    reader: &Reader<'_>,
    words: &'static [(&'static str, T)],
) -> Result<T, ConfigError> {
    let text = reader.raw.and_then(|raw| serde_json::from_str::<String>(raw.get()).ok());
    let found = words.iter().find(|(word, _)| text.as_deref() == Some(word));
    found.map(|(_, meaning)| *meaning).ok_or_else(|| {
        let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        reader.error(Expected::OneOf(words.join(", ")))
    })
}

/// A whole number that fits.
fn number<T: TryFrom<u64>>(value: &Value) -> Option<T> {
    value.as_u64().and_then(|number| number.try_into().ok())
}

/// JSON text in one form, whatever the blanks, the order of the fields and the
/// escapes were: a runtime writes the configuration anew before it passes it on.
/// Told piece by piece, since the whole of a long list as values would take
/// seventy times its text.
pub(super) fn canonical(json: &str, tell: &mut dyn FnMut(&str)) {
    canonical_below(0, json, tell);
}

/// Nothing of ours is nested deeper. What is stays as it came: it would cost a
/// stack frame and a reading of all of it per level.
const DEPTH_MAX: usize = 16;

fn canonical_below(depth: usize, json: &str, tell: &mut dyn FnMut(&str)) {
    if depth == DEPTH_MAX {
        tell(json);
    } else if json.starts_with('[') {
        let mut between = "[";
        let _ = each_item(json, |item| {
            tell(between);
            between = ",";
            canonical_below(depth + 1, item.get(), tell);
        });
        tell(if between == "[" { "[]" } else { "]" });
    } else if json.starts_with('{') {
        let fields: BTreeMap<String, &RawValue> = serde_json::from_str(json).unwrap_or_default();
        let mut between = "{";
        for (name, value) in &fields {
            tell(between);
            between = ",";
            tell(&Value::from(name.as_str()).to_string());
            tell(":");
            canonical_below(depth + 1, value.get(), tell);
        }
        tell(if between == "{" { "{}" } else { "}" });
    } else if is_plain(json) {
        tell(json);
    } else {
        tell(&serde_json::from_str(json).unwrap_or(Value::Null).to_string());
    }
}

/// Whether there is one way only to write this value: a string without escapes
/// or a whole number that is not large.
fn is_plain(json: &str) -> bool {
    let string = json.starts_with('"') && !json.contains('\\');
    string || (json.len() <= 18 && json.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Hands on the items of a JSON list, one after the other.
fn each_item<'a>(json: &'a str, each: impl FnMut(&'a RawValue)) -> Result<(), serde_json::Error> {
    struct Each<F>(F);

    impl<'de, F: FnMut(&'de RawValue)> Visitor<'de> for Each<F> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }

        fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
            while let Some(item) = items.next_element()? {
                (self.0)(item);
            }
            Ok(())
        }
    }

    serde_json::Deserializer::from_str(json).deserialize_seq(Each(each))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_one_form(json: &str) -> String {
        let mut text = String::new();
        canonical(json, &mut |piece| text.push_str(piece));
        text
    }

    #[test]
    fn blanks_order_and_escapes_make_no_difference() {
        let one = in_one_form(r#"{"b": [1, 2.50, "\u0061"], "a": {"y": null, "x": []}}"#);
        assert_eq!(one, r#"{"a":{"x":[],"y":null},"b":[1,2.5,"a"]}"#);
        assert_eq!(one, in_one_form(r#"{"a":{"x":[],"y":null},"b":[1,2.5,"a"]}"#));
        assert_eq!(in_one_form("{ }"), "{}");
    }

    #[test]
    fn no_nesting_is_too_deep() {
        let deep = format!("{}{}", "[".repeat(300_000), "]".repeat(300_000));
        assert_eq!(in_one_form(&deep), deep);
    }
}
