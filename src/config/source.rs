//! Where settings come from when they do not come from the runtime: a file
//! with the settings object, with a whole conflist that has our entry, or with
//! a MeshConfig as `kubectl get … -o json` prints it.
//!
//! Pure: texts, no files.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::lists::Expected;
use super::{CAPABILITY, Checked, ConfigError, PLUGIN_TYPE, RawConf};
use crate::sanitize;

/// Our entry as it stands, or will stand, in a conflist: the settings object,
/// kept as JSON text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    text: String,
}

/// A configuration text that holds no settings of ours.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// It is no JSON.
    #[error("not JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// It is JSON, but no object.
    #[error("{0} is not an object: settings, a conflist or a MeshConfig is needed")]
    NoObject(String),
    /// A conflist without us.
    #[error("this conflist has no entry of type {PLUGIN_TYPE}")]
    NoEntry,
    /// A field of the settings is wrong.
    #[error(transparent)]
    Field(#[from] ConfigError),
}

impl Default for Entry {
    fn default() -> Self {
        Entry { text: "{}".to_owned() }
    }
}

impl Entry {
    /// Reads any of the three forms.
    ///
    /// # Errors
    /// No JSON, no object, or a conflist without our entry. The fields are not
    /// looked at; see [`Entry::check`].
    pub fn from_config_text(text: &str) -> Result<Self, SourceError> {
        let fields = match serde_json::from_str(text)? {
            Value::Object(fields) => fields,
            other => return Err(SourceError::NoObject(sanitize::value(&other.to_string()))),
        };
        if let Some(plugins) = fields.get("plugins") {
            let plugins = plugins.as_array().map(Vec::as_slice).unwrap_or_default();
            let ours = plugins.iter().find(|plugin| plugin["type"] == PLUGIN_TYPE);
            return ours.map(Self::from_value).ok_or(SourceError::NoEntry);
        }
        if fields.get("kind") == Some(&json!("MeshConfig")) {
            return Self::from_mesh_config(fields.get("spec").unwrap_or(&Value::Null));
        }
        Ok(Self::from_value(&Value::Object(fields)))
    }

    /// Takes `spec.traffic` and `spec.sidecar` of a MeshConfig, and of them
    /// only what is about redirection.
    fn from_mesh_config(spec: &Value) -> Result<Self, SourceError> {
        const TRAFFIC: [&str; 6] = [
            "outboundIPRangeExclusionList",
            "outboundIPRangeInclusionList",
            "outboundPortExclusionList",
            "inboundPortExclusionList",
            "networkInterfaceExclusionList",
            "outboundUIDExclusionList",
        ];
        let part = |name: &str, known: &[&str]| -> Result<Value, ConfigError> {
            let fields = match spec.get(name) {
                None | Some(Value::Null) => return Ok(json!({})),
                Some(Value::Object(fields)) => fields,
                Some(other) => {
                    return Err(ConfigError {
                        path: format!("spec.{name}"),
                        value: sanitize::value(&other.to_string()),
                        expected: Expected::Object,
                    });
                }
            };
            let known = fields.iter().filter(|(field, _)| known.contains(&field.as_str()));
            Ok(Value::Object(known.map(|(field, value)| (field.clone(), value.clone())).collect()))
        };
        let settings = json!({
            "traffic": part("traffic", &TRAFFIC)?,
            "sidecar": part("sidecar", &["localProxyMode"])?,
        });
        Ok(Self::from_value(&settings))
    }

    fn from_value(value: &Value) -> Self {
        Entry { text: value.to_string() }
    }

    /// The fields, not yet looked at.
    ///
    /// # Errors
    /// None in practice: the text was JSON when this entry was made.
    pub fn raw(&self) -> Result<RawConf<'_>, serde_json::Error> {
        let fields: BTreeMap<String, &RawValue> = serde_json::from_str(&self.text)?;
        Ok(RawConf::new(fields))
    }

    /// Checks every field.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn check(&self) -> Result<Checked, SourceError> {
        let raw = self.raw()?;
        let (selection, settings) = (raw.selection()?, raw.check()?);
        Ok(Checked { selection, settings, warnings: raw.warnings() })
    }

    /// See [`RawConf::digest`].
    pub fn digest(&self) -> String {
        self.raw().map(|raw| raw.digest()).unwrap_or_default()
    }

    /// The entry as it is put into a conflist: `type`, the capability we need,
    /// then the settings as they were given.
    pub fn to_plugin_json(&self) -> Map<String, Value> {
        let settings: Map<String, Value> = serde_json::from_str(&self.text).unwrap_or_default();
        let mut entry = Map::new();
        entry.insert("type".to_owned(), json!(PLUGIN_TYPE));
        entry.insert("capabilities".to_owned(), json!({ CAPABILITY: true }));
        let own = settings.into_iter().filter(|(name, _)| name != "type" && name != "capabilities");
        entry.extend(own);
        entry
    }
}
