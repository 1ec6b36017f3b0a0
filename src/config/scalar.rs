//! One value of the settings that is neither a list nor an object, and the
//! types that it may have.
//!
//! Pure.

use std::path::PathBuf;

use ipnetwork::IpNetwork;

use super::expected::Expected;
use super::lists::{self, PortRange};
use crate::interface::InterfacePattern;

/// A JSON value, as far as a field may have it.
#[derive(Debug, Clone)]
pub(super) enum Scalar {
    Text(String),
    Number(u64),
    /// Anything else, which no field may be.
    Other,
}

impl Scalar {
    /// The value that this JSON text is. Lists and objects are not parsed: as
    /// values they would take many times the memory of their text.
    pub(super) fn of(json: &str) -> Self {
        match json.as_bytes().first() {
            Some(b'"') => serde_json::from_str(json).map_or(Scalar::Other, Scalar::Text),
            Some(b'0'..=b'9') => json.parse().map_or(Scalar::Other, Scalar::Number),
            _ => Scalar::Other,
        }
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
            Scalar::Text(text) if !text.is_empty() => Ok(text),
            _ => Err(Expected::Text),
        }
    }

    /// The name of a volume: a DNS label, as Kubernetes has it.
    pub(super) fn volume(self) -> Result<String, Expected> {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let text = self.text().ok().filter(|text| text.len() <= 63 && text.bytes().all(fits));
        text.ok_or(Expected::Volume)
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

    /// The meaning of one of these words.
    pub(super) fn word<T: Copy>(self, words: &[(&'static str, T)]) -> Result<T, Expected> {
        let text = self.as_text();
        let found = words.iter().find(|(word, _)| text == Some(word));
        found.map(|(_, meaning)| *meaning).ok_or_else(|| Expected::OneOf(joined(words)))
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

/// The words of a setting, for a message.
pub(super) fn joined<T>(words: &[(&'static str, T)]) -> String {
    words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ")
}
