//! A pod's annotations about redirection.
//!
//! Pure. Untrusted: whoever may create pods writes them.

use std::collections::BTreeMap;

use ipnetwork::IpNetwork;
use serde_json::value::RawValue;

use crate::config::expected::Expected;
use crate::config::lists::{self, Lists};
use crate::config::{Ipv6Mode, Mesh};
use crate::sanitize;

/// A pod's annotations.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Annotations {
    /// The runtime does not pass annotations.
    #[default]
    NotPassed,
    /// These, none included.
    Passed(BTreeMap<String, AnnotationValue>),
    /// The runtime passed something else than a map.
    Malformed(Malformed),
}

/// The value of an annotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnnotationValue {
    /// A string, as Kubernetes has them.
    Text(String),
    /// Something else, as JSON, shortened.
    NoText(String),
}

/// A value that the runtime passed instead of a map of annotations.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {value} is not an object")]
pub struct Malformed {
    /// Where it stands in the configuration.
    pub(crate) path: String,
    /// The value as JSON, shortened.
    pub(crate) value: String,
}

/// An annotation of ours whose value is not of its form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("pod annotation {key}: {value} is not {expected}")]
pub struct AnnotationError {
    /// The annotation.
    pub(crate) key: String,
    /// The value, or the item of it that is wrong, as JSON, shortened.
    pub(crate) value: String,
    /// What it should be.
    pub(crate) expected: Expected,
}

/// The annotation `sidecar-injection`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Injection {
    /// enabled, yes, true
    Enabled,
    /// disabled, no, false
    Disabled,
}

/// The annotation that turns injection on or off.
pub(super) const INJECTION: &str = "sidecar-injection";

const OUTBOUND_PORTS: &str = "outbound-port-exclusion-list";
const INBOUND_PORTS: &str = "inbound-port-exclusion-list";
const OUTBOUND_RANGES: &str = "outbound-ip-range-exclusion-list";
const INCLUDED_RANGES: &str = "outbound-ip-range-inclusion-list";
const OUTBOUND_UIDS: &str = "outbound-uid-exclusion-list";

/// The annotations that are read, by their names without the prefix.
pub const ANNOTATIONS: [&str; 6] =
    [INJECTION, OUTBOUND_PORTS, INBOUND_PORTS, OUTBOUND_RANGES, INCLUDED_RANGES, OUTBOUND_UIDS];

/// How many unknown annotations are named at most.
const UNKNOWN_MAX: usize = 8;

impl Annotations {
    /// What the runtime passed.
    pub fn passed<'a>(all: impl IntoIterator<Item = (String, &'a RawValue)>) -> Self {
        let value = |raw: &RawValue| match serde_json::from_str(raw.get()) {
            Ok(text) => AnnotationValue::Text(text),
            Err(_) => AnnotationValue::NoText(sanitize::value(raw.get())),
        };
        Annotations::Passed(all.into_iter().map(|(key, raw)| (key, value(raw))).collect())
    }

    /// Annotations that are known to be text.
    pub(crate) fn of_texts(all: impl IntoIterator<Item = (String, String)>) -> Self {
        let all = all.into_iter().map(|(key, text)| (key, AnnotationValue::Text(text)));
        Annotations::Passed(all.collect())
    }

    /// Whether there is no annotation, or none was passed.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Annotations::NotPassed => true,
            Annotations::Passed(all) => all.is_empty(),
            Annotations::Malformed(_) => false,
        }
    }

    /// The annotations under a prefix, by their names without it.
    fn under(&self, prefix: &str) -> impl Iterator<Item = (&str, &AnnotationValue)> {
        let all = match self {
            Annotations::Passed(all) => Some(all),
            Annotations::NotPassed | Annotations::Malformed(_) => None,
        };
        all.into_iter().flatten().filter_map(move |(key, value)| {
            let name = key.strip_prefix(prefix)?.strip_prefix('/')?;
            Some((name, value))
        })
    }

    /// Whether there is one under this prefix.
    pub(crate) fn has_any(&self, prefix: &str) -> bool {
        self.under(prefix).next().is_some()
    }

    fn get(&self, prefix: &str, name: &str) -> Result<Option<&str>, AnnotationError> {
        match self.under(prefix).find(|(found, _)| *found == name) {
            None => Ok(None),
            Some((_, AnnotationValue::Text(text))) => Ok(Some(text)),
            Some((_, AnnotationValue::NoText(json))) => Err(AnnotationError {
                key: format!("{prefix}/{name}"),
                value: json.clone(),
                expected: Expected::String,
            }),
        }
    }

    /// The annotation that turns injection on or off.
    ///
    /// # Errors
    /// Any other word.
    pub fn injection(&self, prefix: &str) -> Result<Option<Injection>, AnnotationError> {
        let Some(value) = self.get(prefix, INJECTION)? else {
            return Ok(None);
        };
        match value.trim().to_ascii_lowercase().as_str() {
            "enabled" | "yes" | "true" => Ok(Some(Injection::Enabled)),
            "disabled" | "no" | "false" => Ok(Some(Injection::Disabled)),
            _ => Err(AnnotationError {
                key: format!("{prefix}/{INJECTION}"),
                value: quoted(value),
                expected: Expected::OneOf("enabled, yes, true, disabled, no, false".to_owned()),
            }),
        }
    }

    /// The pod's own lists.
    ///
    /// # Errors
    /// The first item that is not of its form.
    pub fn lists(&self, prefix: &str, ipv6: Ipv6Mode) -> Result<Lists, AnnotationError> {
        let range = |text: &str| -> Result<IpNetwork, Expected> {
            lists::allowed_range(lists::parse_range(text)?, ipv6)
        };
        Ok(Lists {
            outbound_ports: self.list(prefix, OUTBOUND_PORTS, str::parse)?,
            inbound_ports: self.list(prefix, INBOUND_PORTS, str::parse)?,
            outbound_ranges: self.list(prefix, OUTBOUND_RANGES, range)?,
            included_ranges: self.list(prefix, INCLUDED_RANGES, range)?,
            interfaces: Vec::new(),
            outbound_uids: self.list(prefix, OUTBOUND_UIDS, lists::parse_uid)?,
        })
    }

    /// The keys of the list annotations that the pod has.
    pub fn list_keys(&self, prefix: &str) -> Vec<String> {
        let lists = ANNOTATIONS.into_iter().filter(|name| *name != INJECTION);
        let names = lists.filter(|name| self.under(prefix).any(|(it, _)| it == *name));
        names.map(|name| format!("{prefix}/{name}")).collect()
    }

    /// Annotations under the mesh's prefix that neither we nor the mesh know, a
    /// sentence each: a misspelt exclusion excludes nothing.
    pub(crate) fn unknown(&self, mesh: &Mesh) -> Vec<String> {
        let prefix = &mesh.annotation_prefix;
        let known = |name: &str| {
            ANNOTATIONS.contains(&name) || mesh.profile.other_annotations.contains(&name)
        };
        let names = self.under(prefix).map(|(name, _)| name).filter(|name| !known(name));
        let shown = |name| sanitize::message(&format!("{prefix}/{name}"), 128);
        let all = names.take(UNKNOWN_MAX);
        all.map(|name| format!("unknown annotation {} is ignored", shown(name))).collect()
    }

    fn list<T>(
        &self,
        prefix: &str,
        name: &str,
        parse: impl Fn(&str) -> Result<T, Expected>,
    ) -> Result<Vec<T>, AnnotationError> {
        debug_assert!(ANNOTATIONS.contains(&name), "{name} is missing in ANNOTATIONS");
        let value = self.get(prefix, name)?.unwrap_or_default();
        if value.trim().is_empty() {
            return Ok(Vec::new());
        }
        let items = value.split(',').map(str::trim).map(|item| {
            parse(item).map_err(|expected| AnnotationError {
                key: format!("{prefix}/{name}"),
                value: quoted(item),
                expected,
            })
        });
        items.collect()
    }
}

fn quoted(value: &str) -> String {
    format!("\"{}\"", sanitize::value(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREFIX: &str = "openservicemesh.io";

    fn one(name: &str, value: &str) -> Annotations {
        Annotations::of_texts([(format!("{PREFIX}/{name}"), value.to_owned())])
    }

    #[test]
    fn injection_is_a_word_in_any_case() {
        for (value, expected) in [
            ("enabled", Injection::Enabled),
            (" Yes ", Injection::Enabled),
            ("TRUE", Injection::Enabled),
            ("disabled", Injection::Disabled),
            ("no", Injection::Disabled),
            ("False", Injection::Disabled),
        ] {
            assert_eq!(one(INJECTION, value).injection(PREFIX), Ok(Some(expected)), "{value}");
        }
        for wrong in ["", "maybe", "1"] {
            let error = one(INJECTION, wrong).injection(PREFIX).expect_err(wrong).to_string();
            assert!(error.contains("is not one of enabled, yes, true"), "{error}");
        }
        assert_eq!(one(INJECTION, "maybe").injection("flomesh.io"), Ok(None));
        assert_eq!(Annotations::NotPassed.injection(PREFIX), Ok(None));
    }

    #[test]
    fn lists_are_read_item_by_item() {
        let lists = |name, value| one(name, value).lists(PREFIX, Ipv6Mode::Bypass);
        let ports = lists(OUTBOUND_PORTS, " 80, 8000-8010 ,81").expect("ports").outbound_ports;
        assert_eq!(
            ports.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["80", "8000-8010", "81"]
        );
        assert_eq!(lists(OUTBOUND_PORTS, "  "), Ok(Lists::default()));
        for (name, value, expected) in [
            (OUTBOUND_PORTS, "80,,81", "\"\" is not a port"),
            (INBOUND_PORTS, "http", "\"http\" is not a port"),
            (OUTBOUND_RANGES, "10.0.0.0/8,10.0.0.0/024", "\"10.0.0.0/024\" is not a range"),
            (INCLUDED_RANGES, "::/0", "iptables takes ::/0 for 0.0.0.0/0"),
            (OUTBOUND_UIDS, "root", "\"root\" is not a uid"),
        ] {
            let error = lists(name, value).expect_err(value).to_string();
            assert!(error.contains(name) && error.contains(expected), "{error}");
        }
        assert!(one(INCLUDED_RANGES, "::/0").lists(PREFIX, Ipv6Mode::Redirect).is_ok());
    }

    #[test]
    fn the_keys_of_the_lists_are_named_and_no_others() {
        let all = [OUTBOUND_PORTS, INJECTION, OUTBOUND_UIDS, "metrics"];
        let all = all.map(|name| (format!("{PREFIX}/{name}"), "x".to_owned()));
        let annotations = Annotations::of_texts(all);
        let keys = [OUTBOUND_PORTS, OUTBOUND_UIDS].map(|name| format!("{PREFIX}/{name}"));
        assert_eq!(annotations.list_keys(PREFIX), keys);
        assert_eq!(annotations.list_keys("flomesh.io"), [""; 0]);
    }

    #[test]
    fn something_else_than_a_map_is_not_empty() {
        assert!(Annotations::NotPassed.is_empty());
        assert!(Annotations::of_texts([]).is_empty());
        assert!(!one(INJECTION, "x").is_empty());
        let malformed = Malformed { path: "runtimeConfig".to_owned(), value: "5".to_owned() };
        assert!(!Annotations::Malformed(malformed).is_empty());
    }

    #[test]
    fn only_unknown_annotations_of_the_mesh_are_named() {
        let settings = crate::config::Settings::default();
        let mesh = &settings.selection.as_ref().expect("the defaults").meshes[0];
        let unknown = |key: &str| {
            Annotations::of_texts([(key.to_owned(), "x".to_owned())]).unknown(mesh).len()
        };
        assert_eq!(unknown("openservicemesh.io/outbound-port-exclusion-lists"), 1);
        for known in [
            "openservicemesh.io/metrics",
            "openservicemesh.io/sidecar-injection",
            "x/y",
            "openservicemesh.io/outbound-uid-exclusion-list",
            "openservicemesh.io",
        ] {
            assert_eq!(unknown(known), 0, "{known}");
        }
    }
}
