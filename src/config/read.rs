//! Reading one JSON value with its path at hand, so that an error names both.
//!
//! Pure.

use std::borrow::Cow;
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
        parse: impl FnOnce(Scalar<'a>) -> Option<T>,
    ) -> Result<T, ConfigError> {
        self.raw.and_then(Scalar::of).and_then(parse).ok_or_else(|| self.error(expected))
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
        self.parse(Expected::Text, |value| {
            value.text().filter(|text| !text.is_empty()).map(Cow::into_owned)
        })
    }

    pub(super) fn path(self) -> Result<PathBuf, ConfigError> {
        self.parse(Expected::Path, |value| value.path().filter(|path| path.is_absolute()))
    }

    /// An absolute path, or none for the empty string.
    pub(super) fn optional_path(self) -> Result<Option<PathBuf>, ConfigError> {
        self.parse(Expected::OptionalPath, |value| {
            let path = value.path()?;
            let is_empty = path.as_os_str().is_empty();
            (is_empty || path.is_absolute()).then_some((!is_empty).then_some(path))
        })
    }

    pub(super) fn annotation_prefix(self) -> Result<String, ConfigError> {
        let fits = |c: char| c.is_ascii_alphanumeric() || ".-".contains(c);
        self.parse(Expected::AnnotationPrefix, |value| {
            let text = value.text().filter(|text| !text.is_empty() && text.chars().all(fits));
            text.map(Cow::into_owned)
        })
    }

    pub(super) fn port(self) -> Result<u16, ConfigError> {
        self.parse(Expected::Port, |value| value.number().filter(|port| *port > 0))
    }

    pub(super) fn uid(self) -> Result<u32, ConfigError> {
        self.parse(Expected::Uid, |value| value.number().filter(|uid| *uid != u32::MAX))
    }

    /// A number, or a string with one port or two.
    pub(super) fn port_range(self) -> Result<PortRange, ConfigError> {
        if self.raw.is_some_and(|raw| raw.get().starts_with('"')) {
            return self.parse(Expected::PortRange, |value| value.text()?.parse().ok());
        }
        self.parse(Expected::Port, |value| {
            value.number().and_then(|port| PortRange::new(port, port))
        })
    }

    pub(super) fn range(self) -> Result<ipnetwork::IpNetwork, ConfigError> {
        self.parse(Expected::Range, |value| lists::parse_range(&value.text()?).ok())
    }

    pub(super) fn interface(self) -> Result<InterfacePattern, ConfigError> {
        self.parse(Expected::Interface, |value| lists::parse_interface(&value.text()?).ok())
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

/// A value that is neither a list nor an object: those are not even read here,
/// since as values they take seventy times their text.
enum Scalar<'a> {
    Text(Cow<'a, str>),
    Number(u64),
}

impl<'a> Scalar<'a> {
    /// None if it is something else, which none of our fields may be.
    fn of(raw: &'a RawValue) -> Option<Self> {
        let json = raw.get();
        match json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
            Some(text) if !text.contains('\\') => Some(Scalar::Text(Cow::Borrowed(text))),
            Some(_) => serde_json::from_str(json).ok().map(|text| Scalar::Text(Cow::Owned(text))),
            None => json.parse().ok().map(Scalar::Number),
        }
    }

    fn text(self) -> Option<Cow<'a, str>> {
        match self {
            Scalar::Text(text) => Some(text),
            Scalar::Number(_) => None,
        }
    }

    fn path(self) -> Option<PathBuf> {
        self.text().map(|text| PathBuf::from(text.into_owned()))
    }

    /// A whole number that fits.
    fn number<T: TryFrom<u64>>(self) -> Option<T> {
        match self {
            Scalar::Text(_) => None,
            Scalar::Number(number) => number.try_into().ok(),
        }
    }
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
    if depth == DEPTH_MAX || is_plain_list(json) {
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

/// Whether this is a list of values as [`is_plain`] means them, without blanks.
fn is_plain_list(json: &str) -> bool {
    let mut in_string = false;
    let mut digits = 0;
    json.starts_with('[')
        && json.bytes().all(|byte| {
            digits = if byte.is_ascii_digit() { digits + 1 } else { 0 };
            in_string ^= byte == b'"';
            let between = matches!(byte, b'"' | b'[' | b']' | b',' | b'0'..=b'9') && digits <= 18;
            byte != b'\\' && (in_string || between)
        })
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
        for list in
            [r#"["10.0.0.0/8","a, b"]"#, "[1,[22],333]", "[1.50]", r#"["\u0061"]"#, "[1, 2]"]
        {
            let value: Value = serde_json::from_str(list).expect("JSON");
            assert_eq!(in_one_form(list), value.to_string());
        }
    }

    #[test]
    fn no_nesting_is_too_deep() {
        let deep = format!("{}{}", "[".repeat(300_000), "]".repeat(300_000));
        assert_eq!(in_one_form(&deep), deep);
    }
}
