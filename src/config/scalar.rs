//! One value of the settings that is neither a list nor an object, and what it
//! may be: the kinds of fields and of lists' items.
//!
//! Pure.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

use ipnetwork::IpNetwork;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::lists::{self, Expected, PortRange};
use crate::interface::InterfacePattern;

/// A value, as far as any field may have it.
#[derive(Debug)]
pub(super) enum Scalar<'a> {
    Text(Cow<'a, str>),
    Number(u64),
    /// Anything else, which no field may be. It is not kept: as values, lists
    /// and objects take seventy times their text.
    Other,
}

impl<'a> Scalar<'a> {
    /// The value that this JSON text is.
    pub(super) fn of(json: &'a str) -> Self {
        serde_json::from_str(json).unwrap_or(Scalar::Other)
    }

    fn as_text(&self) -> Option<&str> {
        match self {
            Scalar::Text(text) => Some(text),
            Scalar::Number(_) | Scalar::Other => None,
        }
    }

    /// A whole number that fits.
    fn number<T: TryFrom<u64>>(self) -> Option<T> {
        match self {
            Scalar::Number(number) => number.try_into().ok(),
            Scalar::Text(_) | Scalar::Other => None,
        }
    }

    pub(super) fn text(self) -> Result<String, Expected> {
        match self {
            Scalar::Text(text) if !text.is_empty() => Ok(text.into_owned()),
            _ => Err(Expected::Text),
        }
    }

    pub(super) fn path(self) -> Result<PathBuf, Expected> {
        let path = self.as_text().map(PathBuf::from);
        path.filter(|path| path.is_absolute()).ok_or(Expected::Path)
    }

    /// An absolute path, or none for the empty string.
    pub(super) fn optional_path(self) -> Result<Option<PathBuf>, Expected> {
        match self.as_text() {
            Some("") => Ok(None),
            _ => self.path().map(Some).map_err(|_| Expected::OptionalPath),
        }
    }

    pub(super) fn annotation_prefix(self) -> Result<String, Expected> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
        let text = self.text().ok().filter(|text| text.bytes().all(fits));
        text.ok_or(Expected::AnnotationPrefix)
    }

    /// What one of these words means.
    pub(super) fn word<T: Copy>(self, words: &[(&'static str, T)]) -> Result<T, Expected> {
        let text = self.as_text();
        let found = words.iter().find(|(word, _)| text == Some(word));
        found.map(|(_, meaning)| *meaning).ok_or_else(|| {
            let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            Expected::OneOf(words.join(", "))
        })
    }

    pub(super) fn port(self) -> Result<u16, Expected> {
        self.number().filter(|port| *port > 0).ok_or(Expected::Port)
    }

    /// A number, or a string with one port or two.
    pub(super) fn port_range(self) -> Result<PortRange, Expected> {
        match self {
            Scalar::Text(text) => text.parse(),
            number => number.port().map(|port| PortRange::new(port, port))?.ok_or(Expected::Port),
        }
    }

    pub(super) fn uid(self) -> Result<u32, Expected> {
        self.number().filter(|uid| *uid != u32::MAX).ok_or(Expected::Uid)
    }

    pub(super) fn range(self) -> Result<IpNetwork, Expected> {
        self.as_text().map_or(Err(Expected::Range), lists::parse_range)
    }

    pub(super) fn interface(self) -> Result<InterfacePattern, Expected> {
        self.as_text().map_or(Err(Expected::Interface), lists::parse_interface)
    }
}

impl<'de> Deserialize<'de> for Scalar<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Scalar<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Text(Cow::Owned(text.to_owned())))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Number(number))
            }

            fn visit_i64<E: Error>(self, _: i64) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Other)
            }

            fn visit_f64<E: Error>(self, _: f64) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Other)
            }

            fn visit_bool<E: Error>(self, _: bool) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Other)
            }

            fn visit_unit<E: Error>(self) -> Result<Scalar<'de>, E> {
                Ok(Scalar::Other)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Scalar<'de>, A::Error> {
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Scalar::Other)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Scalar<'de>, A::Error> {
                while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Scalar::Other)
            }
        }

        deserializer.deserialize_any(Any)
    }
}
