//! Reading one JSON value with its path at hand, so that an error names both.
//!
//! Pure.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;

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
        self.raw
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
        let items: Vec<&'a RawValue> =
            serde_json::from_str(raw.get()).map_err(|_| self.error(Expected::List))?;
        let items = items.into_iter().enumerate().map(|(index, item)| {
            // An item that is null is wrong, not missing.
            read(Reader { path: self.path.clone(), item: Some(index), raw: Some(item) })
        });
        items.collect::<Result<_, _>>().map(Some)
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
pub(super) fn canonical(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    write_canonical(json, DEPTH_MAX, &mut out);
    out
}

/// As deep as serde_json reads values.
const DEPTH_MAX: usize = 128;

/// Objects and arrays are only taken apart and plain values copied, since the
/// lists may be long; what is nested too deeply becomes `null`.
fn write_canonical(json: &str, depth: usize, out: &mut String) {
    match json.as_bytes().first() {
        _ if depth == 0 => out.push_str("null"),
        Some(b'{') => {
            let fields: BTreeMap<String, &RawValue> =
                serde_json::from_str(json).unwrap_or_default();
            out.push('{');
            for (index, (name, value)) in fields.into_iter().enumerate() {
                out.push_str(if index == 0 { "" } else { "," });
                out.push_str(&Value::String(name).to_string());
                out.push(':');
                write_canonical(value.get(), depth - 1, out);
            }
            out.push('}');
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(json).unwrap_or_default();
            out.push('[');
            for (index, item) in items.into_iter().enumerate() {
                out.push_str(if index == 0 { "" } else { "," });
                write_canonical(item.get(), depth - 1, out);
            }
            out.push(']');
        }
        _ if is_plain(json) => out.push_str(json),
        _ => {
            let value: Value = serde_json::from_str(json).unwrap_or(Value::Null);
            out.push_str(&value.to_string());
        }
    }
}

/// Whether there is one way only to write this value: a string without escapes
/// or a whole number that is not large.
fn is_plain(json: &str) -> bool {
    let string = json.starts_with('"') && !json.contains('\\');
    string || (json.len() <= 18 && json.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_one_form() {
        let forms = [
            (r#"{"b": [1, 20 ], "a": {"y":null,"x":{}}}"#, r#"{"a":{"x":{},"y":null},"b":[1,20]}"#),
            (r#"[ "\u0061\/", "ä", -0, 1e2, [] ]"#, r#"["a/","ä",-0.0,100.0,[]]"#),
            (r#"{"a":1,"a":2}"#, r#"{"a":2}"#),
        ];
        for (json, form) in forms {
            assert_eq!(canonical(json), form);
        }
    }

    #[test]
    fn nesting_is_never_followed_to_the_end_of_the_stack() {
        let json = "[".repeat(100_000) + &"]".repeat(100_000);
        assert_eq!(canonical(&json).len(), 2 * DEPTH_MAX + 4);
    }
}
