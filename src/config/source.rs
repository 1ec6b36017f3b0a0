//! Settings from texts, where they do not come from the runtime: the settings
//! object, a whole conflist that has our entry, or a MeshConfig.
//!
//! Pure: texts, no files.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::mesh_config::{MeshConfig, MeshConfigError, merge, served};
use super::profile::Layout;
use super::{CAPABILITY, PLUGIN_TYPE, Settings, is_ours};
use crate::sanitize;

/// Our entry as it stands, or will stand, in a conflist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    fields: Map<String, Value>,
    settings: Settings,
}

/// A text with a configuration, and its name in messages.
#[derive(Debug, Clone, Copy)]
pub struct Document<'t> {
    /// The file's name.
    pub name: &'t str,
    /// What it holds.
    pub text: &'t str,
}

/// Why a configuration text gives no settings of ours.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Which document it is.
    #[error("{name}")]
    In {
        /// The document's name.
        name: String,
        /// What is wrong with it.
        source: Box<SourceError>,
    },
    /// It is no JSON.
    #[error("not JSON: {0}")]
    Json(String),
    /// It is YAML.
    #[error("not JSON: this looks like YAML; kubectl prints JSON with -o json")]
    Yaml,
    /// It is JSON, but no object.
    #[error("{0} is not an object: settings, a conflist or a MeshConfig is needed")]
    NoObject(String),
    /// A conflist without us.
    #[error("this conflist has no entry of type {PLUGIN_TYPE}")]
    NoEntry,
    /// Settings where a MeshConfig is needed.
    #[error("not a MeshConfig: give settings with --config")]
    NotAMeshConfig,
    /// Two MeshConfigs of one mesh.
    #[error("another MeshConfig of mesh {0} was given before")]
    SameMesh(&'static str),
    /// A MeshConfig of a mesh that the settings do not name.
    #[error(
        "this MeshConfig is one of mesh {0}, which the setting mesh does not name; add it there"
    )]
    NotServed(&'static str),
    /// An object of the API that is no MeshConfig of ours.
    #[error(transparent)]
    MeshConfig(#[from] MeshConfigError),
}

impl Default for Entry {
    fn default() -> Self {
        Entry { fields: Map::new(), settings: Settings::default() }
    }
}

impl Entry {
    /// Reads any of the three forms. The settings may have wrong fields, which
    /// [`Settings::check`] finds.
    ///
    /// # Errors
    /// No JSON, no object, a conflist without our entry, or another object of
    /// the API.
    pub fn from_config_text(text: &str) -> Result<Self, SourceError> {
        let (fields, config) = parse(text)?;
        Ok(Entry::merged(fields, config.into_iter().collect()))
    }

    /// The operator's settings (any of the three forms) and MeshConfigs beside
    /// them, each of another mesh. Of a MeshConfig come the fields of `traffic`
    /// and `sidecar` that the settings do not have, and the ruleset of its
    /// version.
    ///
    /// # Errors
    /// See [`SourceError`]; it names the document.
    pub fn from_documents(
        config: Option<Document<'_>>,
        mesh_configs: &[Document<'_>],
    ) -> Result<Self, SourceError> {
        let read = |it: &Document<'_>| parse(it.text).map_err(|error| error.of(it.name));
        let (fields, config) = config.as_ref().map(read).transpose()?.unwrap_or_default();
        let mut configs: Vec<MeshConfig> = config.into_iter().collect();
        for document in mesh_configs {
            let refused = |error: SourceError| Err(error.of(document.name));
            let (_, Some(config)) = read(document)? else {
                return refused(SourceError::NotAMeshConfig);
            };
            let name = config.profile.name;
            if configs.iter().any(|before| before.profile.name == name) {
                return refused(SourceError::SameMesh(name));
            }
            if served(&fields).is_some_and(|served| !served.iter().any(|mesh| mesh == name)) {
                return refused(SourceError::NotServed(name));
            }
            configs.push(config);
        }
        Ok(Entry::merged(fields, configs))
    }

    /// Our entry in a configuration of the node, a list or a single plugin;
    /// none if it has none.
    pub(crate) fn in_configuration(text: &str) -> Option<Self> {
        let fields: BTreeMap<String, &RawValue> = serde_json::from_str(text).ok()?;
        let fields = match fields.get("plugins") {
            Some(plugins) => our_plugin(plugins)?,
            None => serde_json::from_str(text).ok().filter(has_our_type)?,
        };
        Some(Entry::new(fields))
    }

    fn merged(mut fields: Map<String, Value>, configs: Vec<MeshConfig>) -> Self {
        merge(&mut fields, configs);
        Entry::new(fields)
    }

    fn new(fields: Map<String, Value>) -> Self {
        let text = Value::Object(fields.clone()).to_string();
        // The text was printed just now: it is an object.
        let settings = Settings::parse(serde_json::from_str(&text).unwrap_or_default());
        Entry { fields, settings }
    }

    /// The same entry with this ruleset, for each of its meshes.
    pub(crate) fn with_ruleset(mut self, layout: &Layout) -> Self {
        let meshes = self.fields.get_mut("meshes").and_then(Value::as_object_mut);
        let meshes = meshes.into_iter().flat_map(|meshes| meshes.values_mut());
        for mesh in meshes.filter_map(Value::as_object_mut) {
            mesh.remove("ruleset");
        }
        self.fields.insert("ruleset".to_owned(), json!(layout.name));
        Entry::new(self.fields)
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// See [`Settings::digest`].
    pub fn digest(&self) -> String {
        self.settings.digest()
    }

    /// The entry as it is put into a conflist: `type`, the capability we need,
    /// then the settings as they were given.
    pub fn to_plugin_json(&self) -> Map<String, Value> {
        let mut entry = Map::new();
        entry.insert("type".to_owned(), json!(PLUGIN_TYPE));
        entry.insert("capabilities".to_owned(), json!({ CAPABILITY: true }));
        let own = self.fields.iter().filter(|(name, _)| *name != "type" && *name != "capabilities");
        entry.extend(own.map(|(name, value)| (name.clone(), value.clone())));
        entry
    }
}

/// Reads any of the three forms: settings, or a MeshConfig beside none.
fn parse(text: &str) -> Result<(Map<String, Value>, Option<MeshConfig>), SourceError> {
    let raw: &RawValue = serde_json::from_str(text).map_err(|error| {
        let yaml = text.lines().any(|line| line.starts_with("apiVersion:"));
        if yaml { SourceError::Yaml } else { SourceError::Json(error.to_string()) }
    })?;
    let fields: BTreeMap<String, &RawValue> = serde_json::from_str(raw.get())
        .map_err(|_| SourceError::NoObject(sanitize::value(raw.get())))?;
    // Not as `Value`s: other plugins may have numbers or depths that do not fit in one.
    if let Some(plugins) = fields.get("plugins") {
        return Ok((our_plugin(plugins).ok_or(SourceError::NoEntry)?, None));
    }
    let fields =
        serde_json::from_str(text).map_err(|error| SourceError::Json(error.to_string()))?;
    let value = Value::Object(fields);
    Ok(match (MeshConfig::parse(&value)?, value) {
        (None, Value::Object(fields)) => (fields, None),
        (config, _) => (Map::new(), config),
    })
}

/// Our entry among the plugins of a list.
fn our_plugin(plugins: &RawValue) -> Option<Map<String, Value>> {
    let plugins: Vec<&RawValue> = serde_json::from_str(plugins.get()).ok()?;
    plugins.into_iter().find_map(|raw| serde_json::from_str(raw.get()).ok().filter(has_our_type))
}

fn has_our_type(fields: &Map<String, Value>) -> bool {
    fields.get("type").and_then(Value::as_str).is_some_and(is_ours)
}

impl SourceError {
    /// The same error, with the document's name.
    fn of(self, name: &str) -> Self {
        SourceError::In { name: name.to_owned(), source: Box::new(self) }
    }
}

#[cfg(test)]
mod tests;
