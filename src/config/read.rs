//! Reads the fields of the settings. Each field knows its path, so that an
//! error names it.
//!
//! Pure.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::expected::Expected;
use super::scalar::Scalar;
use crate::sanitize;

/// A field of the settings with a wrong value.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
#[error("{path}: {value} is not {expected}")]
pub struct ConfigError {
    /// The field, like `traffic.outboundPortExclusionList[1]`.
    pub(crate) path: String,
    /// Its value as JSON, shortened.
    pub(crate) value: String,
    /// What it should be.
    pub(crate) expected: Expected,
}

/// The fields of an object.
#[derive(Debug, Clone, Default)]
pub(super) struct Object<'a> {
    path: String,
    fields: BTreeMap<String, &'a RawValue>,
}

/// A field that may be missing. `null` counts as missing.
#[derive(Debug, Clone)]
pub(super) struct Field<'a> {
    path: String,
    json: Option<&'a str>,
}

impl<'a> Object<'a> {
    /// The settings themselves.
    pub(super) fn root(fields: BTreeMap<String, &'a RawValue>) -> Self {
        Object { path: String::new(), fields }
    }

    pub(super) fn field(&self, name: &str) -> Field<'a> {
        let json = self.fields.get(name).map(|raw| raw.get()).filter(|json| *json != "null");
        Field { path: self.path_of(name), json }
    }

    /// The names of its fields.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.fields.keys().map(String::as_str)
    }

    pub(super) fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }
}

impl<'a> Field<'a> {
    /// This field if it is there, otherwise the other.
    pub(super) fn or(self, other: Field<'a>) -> Self {
        if self.json.is_some() { self } else { other }
    }

    fn error(&self, index: Option<usize>, value: &str, expected: Expected) -> ConfigError {
        let index = index.map_or_else(String::new, |index| format!("[{index}]"));
        let path = sanitize::message(&format!("{}{index}", self.path), 128);
        ConfigError { path, value: sanitize::value(value), expected }
    }

    /// None if missing.
    pub(super) fn optional<T>(
        &self,
        read: impl FnOnce(Scalar) -> Result<T, Expected>,
    ) -> Result<Option<T>, ConfigError> {
        let Some(json) = self.json else { return Ok(None) };
        read(Scalar::of(json)).map(Some).map_err(|expected| self.error(None, json, expected))
    }

    /// One of these words; the first if missing.
    pub(super) fn one_of<T: Copy>(&self, words: &[(&'static str, T)]) -> Result<T, ConfigError> {
        let found = self.optional(|value| value.word(words))?;
        Ok(found.unwrap_or(words[0].1))
    }

    /// None if missing, otherwise its items. A string is split at commas and
    /// its parts are trimmed, as those of OSM's lists are in the end.
    pub(super) fn list<T>(
        &self,
        read: impl Fn(Scalar) -> Result<T, Expected>,
    ) -> Result<Option<Vec<T>>, ConfigError> {
        let Some(json) = self.json else { return Ok(None) };
        let raw: Vec<&RawValue> =
            serde_json::from_str(json).map_err(|_| self.error(None, json, Expected::List))?;
        let mut items = Vec::with_capacity(raw.len());
        for (index, raw) in raw.into_iter().enumerate() {
            let item = Scalar::of(raw.get());
            let Scalar::Text(text) = &item else {
                let item = read(item);
                items.push(item.map_err(|expected| self.error(Some(index), raw.get(), expected))?);
                continue;
            };
            for part in text.split(',').map(str::trim) {
                let item = read(Scalar::Text(part.to_owned()));
                items.push(item.map_err(|expected| {
                    self.error(Some(index), &format!("\"{part}\""), expected)
                })?);
            }
        }
        Ok(Some(items))
    }

    /// One of these words, or a list of them; none if missing.
    pub(super) fn some_of<T: Copy>(
        &self,
        words: &[(&'static str, T)],
    ) -> Result<Option<Vec<T>>, ConfigError> {
        let Some(json) = self.json else { return Ok(None) };
        let some_of = |error: ConfigError| ConfigError {
            expected: Expected::SomeOf(super::scalar::joined(words)),
            ..error
        };
        let items = match self.list(|value| value.word(words)) {
            Err(ConfigError { expected: Expected::List, .. }) => {
                let one = self.optional(|value| value.word(words)).map_err(some_of)?;
                one.into_iter().collect()
            }
            items => items.map_err(some_of)?.unwrap_or_default(),
        };
        if items.is_empty() {
            return Err(some_of(self.error(None, json, Expected::List)));
        }
        Ok(Some(items))
    }

    /// Its fields, none if it is missing.
    pub(super) fn object(self) -> Result<Object<'a>, ConfigError> {
        let Some(json) = self.json else {
            return Ok(Object { path: self.path, ..Object::default() });
        };
        match serde_json::from_str(json) {
            Ok(fields) => Ok(Object { path: self.path, fields }),
            Err(_) => Err(self.error(None, json, Expected::Object)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(json: &str) -> Object<'_> {
        Object::root(serde_json::from_str(json).expect("an object"))
    }

    #[test]
    fn the_first_wrong_item_is_named_whatever_it_is() {
        let deep = "[".repeat(300_000) + &"]".repeat(300_000);
        for wrong in ["null", r#""""#, r#""\ud800""#, "1e999", "-1", "{}", "[1]", &deep] {
            let json = format!(r#"{{"names": ["a", "b", {wrong}, null]}}"#);
            let error = object(&json).field("names").list(Scalar::text).expect_err(wrong);
            assert_eq!((error.path.as_str(), error.value), ("names[2]", sanitize::value(wrong)));
        }
    }

    #[test]
    fn strings_are_split_at_commas_and_trimmed() {
        let json = r#"{"names": [" a ", "\u0062,c , d"]}"#;
        let names = object(json).field("names").list(Scalar::text);
        assert_eq!(names, Ok(Some(["a", "b", "c", "d"].map(str::to_owned).to_vec())));
        let error = object(r#"{"n": ["a,,b"]}"#).field("n").list(Scalar::text).expect_err("empty");
        assert_eq!(error.to_string(), r#"n[0]: "" is not a non-empty string"#);
    }

    #[test]
    fn a_word_may_stand_alone_or_in_a_list() {
        let words = [("osm", 1), ("fsm", 2)];
        let read = |json: &str| object(&format!(r#"{{"m": {json}}}"#)).field("m").some_of(&words);
        assert_eq!(read("null"), Ok(None));
        assert_eq!(read(r#""fsm""#), Ok(Some(vec![2])));
        assert_eq!(read(r#"["osm", "fsm"]"#), Ok(Some(vec![1, 2])));
        for wrong in ["5", "[]", r#""x""#, r#"["osm", "x"]"#, "{}"] {
            let error = read(wrong).expect_err(wrong).to_string();
            assert!(error.ends_with("is not one of osm, fsm, or a list of these"), "{error}");
        }
    }
}
