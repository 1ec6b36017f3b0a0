//! Reading the settings' fields with their paths at hand, so that an error names
//! both; and the one form of them that the digest is made of.
//!
//! Pure.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserializer as _;
use serde::de::{Deserialize, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::lists::Expected;
use super::scalar::Scalar;
use crate::sanitize;

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

/// A field that may be missing, and where it stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    /// The object that the field belongs to; none for a field of the settings.
    object: Option<&'static str>,
    field: &'static str,
    raw: Option<&'a RawValue>,
}

/// The fields of an object.
pub(super) type Fields<'a> = BTreeMap<String, &'a RawValue>;

/// One of the settings' objects.
pub(super) struct Object<'c, 'a> {
    pub(super) name: &'static str,
    pub(super) fields: &'c Fields<'a>,
}

impl<'a> Reader<'a> {
    /// The value of a field of the settings; `null` is as good as missing.
    pub(super) fn new(field: &'static str, raw: Option<&'a RawValue>) -> Self {
        Reader { object: None, field, raw: raw.filter(|raw| raw.get() != "null") }
    }

    /// `index` is that of the item that is wrong, in a list.
    fn error(&self, index: Option<usize>, value: &str, expected: Expected) -> ConfigError {
        let mut path = self.object.map_or_else(String::new, |object| format!("{object}."));
        path.push_str(self.field);
        if let Some(index) = index {
            path.push_str(&format!("[{index}]"));
        }
        ConfigError { path, value: sanitize::value(value), expected }
    }

    /// None if missing.
    pub(super) fn optional<T>(
        self,
        read: impl FnOnce(Scalar<'a>) -> Result<T, Expected>,
    ) -> Result<Option<T>, ConfigError> {
        let Some(raw) = self.raw.map(RawValue::get) else { return Ok(None) };
        read(Scalar::of(raw)).map(Some).map_err(|expected| self.error(None, raw, expected))
    }

    /// None if missing, else each item read.
    pub(super) fn list<T>(
        self,
        read: impl Fn(Scalar<'a>) -> Result<T, Expected>,
    ) -> Result<Option<Vec<T>>, ConfigError> {
        let Some(raw) = self.raw.map(RawValue::get) else { return Ok(None) };
        let mut items = Vec::new();
        let mut all = true;
        let each = each_item(raw, |item| match read(item) {
            Ok(item) => items.push(item),
            Err(_) => all = false,
        });
        if each.is_ok() && all {
            return Ok(Some(items));
        }
        // Once more, with the texts: which item is it? One that is null is
        // wrong, not missing.
        let (mut index, mut wrong) = (0, None);
        let each = each_item(raw, |item: &RawValue| {
            if wrong.is_none() {
                let read = read(Scalar::of(item.get()));
                wrong = read.err().map(|expected| self.error(Some(index), item.get(), expected));
                index += 1;
            }
        });
        match each {
            Ok(()) => Err(wrong.unwrap_or_else(|| self.error(None, raw, Expected::List))),
            Err(_) => Err(self.error(None, raw, Expected::List)),
        }
    }

    /// The fields of one of the settings' objects; none if it is missing.
    pub(super) fn fields(self) -> Result<Fields<'a>, ConfigError> {
        let Some(raw) = self.raw.map(RawValue::get) else { return Ok(Fields::new()) };
        serde_json::from_str(raw).map_err(|_| self.error(None, raw, Expected::Object))
    }

    /// One of these words; the first if missing.
    pub(super) fn one_of<T: Copy>(self, words: &[(&'static str, T)]) -> Result<T, ConfigError> {
        let found = self.optional(|value| value.word(words))?;
        Ok(found.unwrap_or(words[0].1))
    }
}

impl<'a> Object<'_, 'a> {
    /// One of its fields.
    pub(super) fn field(&self, field: &'static str) -> Reader<'a> {
        let raw = self.fields.get(field).copied();
        Reader { object: Some(self.name), ..Reader::new(field, raw) }
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
        let _ = each_item(json, |item: &RawValue| {
            tell(between);
            between = ",";
            canonical_below(depth + 1, item.get(), tell);
        });
        tell(if between == "[" { "[]" } else { "]" });
    } else if json.starts_with('{') {
        canonical_fields(depth, &serde_json::from_str(json).unwrap_or_default(), tell);
    } else if is_plain(json) {
        tell(json);
    } else {
        tell(&serde_json::from_str(json).unwrap_or(Value::Null).to_string());
    }
}

/// The same of an object whose fields are known.
pub(super) fn canonical_object(fields: &Fields<'_>, tell: &mut dyn FnMut(&str)) {
    canonical_fields(0, fields, tell);
}

fn canonical_fields(depth: usize, fields: &Fields<'_>, tell: &mut dyn FnMut(&str)) {
    let mut between = "{";
    for (name, value) in fields {
        tell(between);
        between = ",";
        tell(&serde_json::to_string(name).unwrap_or_default());
        tell(":");
        canonical_below(depth + 1, value.get(), tell);
    }
    tell(if between == "{" { "{}" } else { "}" });
}

/// Whether there is one way only to write this value: a string without escapes
/// or a number that is all digits.
fn is_plain(json: &str) -> bool {
    let string = json.starts_with('"') && !json.contains('\\');
    string || json.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether this is a list of values as [`is_plain`] means them, without blanks.
fn is_plain_list(json: &str) -> bool {
    let mut in_string = false;
    json.starts_with('[')
        && json.bytes().all(|byte| {
            in_string ^= byte == b'"';
            let between = matches!(byte, b'"' | b'[' | b']' | b',' | b'0'..=b'9');
            byte != b'\\' && (in_string || between)
        })
}

/// Hands on the items of a JSON list, one after the other.
fn each_item<'a, T: Deserialize<'a>>(
    json: &'a str,
    each: impl FnMut(T),
) -> Result<(), serde_json::Error> {
    struct Each<F, T>(F, PhantomData<T>);

    impl<'de, F: FnMut(T), T: Deserialize<'de>> Visitor<'de> for Each<F, T> {
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

    serde_json::Deserializer::from_str(json).deserialize_seq(Each(each, PhantomData))
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
    fn the_first_wrong_item_is_named_whatever_it_is() {
        let deep = "[".repeat(300_000) + &"]".repeat(300_000);
        for wrong in ["null", r#""""#, r#""\ud800""#, "1e999", "-1", "{}", "[1]", &deep] {
            let json = format!(r#"["a", "b", {wrong}, null]"#);
            let raw: &RawValue = serde_json::from_str(&json).expect("JSON");
            let error = Reader::new("names", Some(raw)).list(Scalar::text).expect_err(wrong);
            assert_eq!((error.path.as_str(), error.value), ("names[2]", sanitize::value(wrong)));
        }
        let raw: &RawValue = serde_json::from_str(r#"["a", "\u0062"]"#).expect("JSON");
        let names = Reader::new("names", Some(raw)).list(Scalar::text);
        assert_eq!(names, Ok(Some(vec!["a".to_owned(), "b".to_owned()])));
    }

    #[test]
    fn no_nesting_is_too_deep() {
        let deep = format!("{}{}", "[".repeat(300_000), "]".repeat(300_000));
        assert_eq!(in_one_form(&deep), deep);
    }
}
