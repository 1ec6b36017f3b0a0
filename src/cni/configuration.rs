//! The network configuration on standard input: its version, the previous result, the
//! pod's annotations and our settings.
//!
//! Pure.

use std::collections::BTreeMap;

use serde_json::error::Category;
use serde_json::value::RawValue;

use super::environment::Verb;
use super::request_error::RequestError;
use super::version::SpecVersion;
use crate::config::{CAPABILITY, LogSettings, Settings};
use crate::pod::{Annotations, Malformed};
use crate::sanitize;

/// A network configuration, with its fields unparsed.
#[derive(Debug)]
pub(super) struct Configuration<'a> {
    pub(super) version: SpecVersion,
    pub(super) fields: BTreeMap<String, &'a RawValue>,
}

impl<'a> Configuration<'a> {
    pub(super) fn parse(stdin: &'a [u8]) -> Result<Self, RequestError> {
        let text =
            std::str::from_utf8(stdin).map_err(|source| RequestError::Input(source.to_string()))?;
        let fields: BTreeMap<String, &'a RawValue> = serde_json::from_str(text).map_err(
            // where the kind is wrong, serde quotes all of the value
            |source| match source.classify() {
                Category::Data => {
                    RequestError::Input(format!("{} is not an object", sanitize::value(text)))
                }
                _ => RequestError::Input(source.to_string()),
            },
        )?;
        // Without a version the specification's first is meant.
        let version = match fields.get("cniVersion") {
            None => "0.1.0".to_owned(),
            Some(raw) => serde_json::from_str(raw.get()).map_err(|_| {
                let value = sanitize::value(raw.get());
                RequestError::Input(format!("cniVersion: {value} is not a string"))
            })?,
        };
        let known = SpecVersion::parse(&version);
        let version = known.ok_or_else(|| RequestError::Version(sanitize::value(&version)))?;
        Ok(Configuration { version, fields })
    }

    pub(super) fn must_have(&self, verb: Verb) -> Result<(), RequestError> {
        let needs = match verb {
            Verb::Check => SpecVersion::V0_4_0,
            Verb::Gc | Verb::Status => SpecVersion::V1_1_0,
            Verb::Add | Verb::Del | Verb::Version => return Ok(()),
        };
        if self.version < needs {
            let verb = verb.as_str();
            return Err(RequestError::VerbTooNew { verb, needs, has: self.version });
        }
        Ok(())
    }

    pub(super) fn prev_result(&self) -> Option<&'a RawValue> {
        self.fields.get("prevResult").copied().filter(|raw| raw.get().starts_with('{'))
    }

    /// The annotations. If they are malformed, that is no error yet: the pod may be one
    /// that is left alone.
    pub(super) fn annotations(&self) -> Annotations {
        type Object<'a> = Option<BTreeMap<String, &'a RawValue>>;
        let malformed = |path: &str, raw: &RawValue| {
            let value = sanitize::value(raw.get());
            Annotations::Malformed(Malformed { path: path.to_owned(), value })
        };
        let Some(runtime) = self.fields.get("runtimeConfig") else {
            return Annotations::NotPassed;
        };
        let Ok(fields) = serde_json::from_str::<Object<'_>>(runtime.get()) else {
            return malformed("runtimeConfig", runtime);
        };
        let Some(raw) = fields.unwrap_or_default().remove(CAPABILITY) else {
            return Annotations::NotPassed;
        };
        match serde_json::from_str::<Object<'_>>(raw.get()) {
            Ok(all) => Annotations::passed(all.unwrap_or_default()),
            Err(_) => malformed(&format!("runtimeConfig.\"{CAPABILITY}\""), raw),
        }
    }
}

/// The `cniVersion` on standard input, if there is one: an answer carries it
/// even where the rest could not be read.
pub fn version_of(stdin: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct OnlyVersion {
        cni_version: Option<String>,
    }
    serde_json::from_slice::<OnlyVersion>(stdin).ok()?.cni_version
}

/// The log of a call that could not be parsed: the one that the configuration
/// names, or only stderr without a configuration.
pub(super) fn log_of(stdin: &[u8]) -> LogSettings {
    match serde_json::from_slice::<BTreeMap<String, &RawValue>>(stdin) {
        Ok(fields) => Settings::parse(fields).log,
        Err(_) => LogSettings { file: None, ..LogSettings::default() },
    }
}
