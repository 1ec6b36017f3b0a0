//! Settings from texts, where they do not come from the runtime: the settings
//! object, a whole conflist that has our entry, or a MeshConfig as `kubectl get
//! … -o json` prints it; and a MeshConfig merged into an operator's settings.
//!
//! Pure: texts, no files.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::expected::Expected;
use super::profile::{Layout, OSM, PROFILES, Profile};
use super::unknown::{SIDECAR, TRAFFIC};
use super::{CAPABILITY, ConfigError, PLUGIN_TYPE, Settings, is_ours};
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

/// A configuration text that holds no settings of ours.
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
    /// An object of the API that is no MeshConfig.
    #[error(
        "kind {kind} is no MeshConfig: use what kubectl get meshconfig {name} -n {namespace} -o json prints"
    )]
    Kind {
        /// Its kind.
        kind: String,
        /// The name of the MeshConfig.
        name: &'static str,
        /// The namespace of the MeshConfig.
        namespace: &'static str,
    },
    /// A MeshConfig of a mesh that we do not know.
    #[error("apiVersion {0} is of no mesh that osm-cni knows ({known})", known = known_groups())]
    UnknownMesh(String),
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
    /// A field of the settings is wrong.
    #[error(transparent)]
    Field(#[from] ConfigError),
}

/// What a MeshConfig says about redirection.
struct MeshConfig {
    profile: &'static Profile,
    /// The ruleset of its version; none if it has no version.
    layout: Option<&'static Layout>,
    traffic: Map<String, Value>,
    sidecar: Map<String, Value>,
}

impl Default for Entry {
    fn default() -> Self {
        Entry { fields: Map::new(), settings: Settings::default() }
    }
}

impl Entry {
    /// Reads any of the three forms. The fields of the settings may be wrong:
    /// see [`Settings::check`].
    ///
    /// # Errors
    /// No JSON, no object, a conflist without our entry, or another object of
    /// the API.
    pub fn from_config_text(text: &str) -> Result<Self, SourceError> {
        match Config::parse(text)? {
            Config::Settings(fields) => Ok(Entry::new(fields)),
            Config::MeshConfig(config) => {
                let mut fields = Map::new();
                merge(&mut fields, vec![config]);
                Ok(Entry::new(fields))
            }
        }
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
        let mut fields = Map::new();
        let mut configs: Vec<MeshConfig> = Vec::new();
        if let Some(config) = config {
            match Config::parse(config.text).map_err(|error| error.of(config.name))? {
                Config::Settings(settings) => fields = settings,
                Config::MeshConfig(config) => configs.push(config),
            }
        }
        for document in mesh_configs {
            let config = match Config::parse(document.text) {
                Ok(Config::MeshConfig(config)) => Ok(config),
                Ok(Config::Settings(_)) => Err(SourceError::NotAMeshConfig),
                Err(error) => Err(error),
            };
            let config = config.map_err(|error| error.of(document.name))?;
            let name = config.profile.name;
            if configs.iter().any(|before| before.profile.name == name) {
                return Err(SourceError::SameMesh(name).of(document.name));
            }
            if served(&fields).is_some_and(|served| !served.iter().any(|mesh| mesh == name)) {
                return Err(SourceError::NotServed(name).of(document.name));
            }
            configs.push(config);
        }
        merge(&mut fields, configs);
        Ok(Entry::new(fields))
    }

    /// Our entry in a configuration of the node, a list or a single plugin;
    /// none if it has none.
    pub fn in_configuration(text: &str) -> Option<Self> {
        let fields: BTreeMap<String, &RawValue> = serde_json::from_str(text).ok()?;
        let fields = match fields.get("plugins") {
            Some(plugins) => our_plugin(plugins)?,
            None => serde_json::from_str(text).ok().filter(has_our_type)?,
        };
        Some(Entry::new(fields))
    }

    fn new(fields: Map<String, Value>) -> Self {
        let text = Value::Object(fields.clone()).to_string();
        // The text was printed just now: it is an object.
        let settings = Settings::parse(serde_json::from_str(&text).unwrap_or_default());
        Entry { fields, settings }
    }

    /// The same entry with this ruleset, for each of its meshes.
    pub fn with_ruleset(mut self, layout: &Layout) -> Self {
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

/// What a text holds.
enum Config {
    Settings(Map<String, Value>),
    MeshConfig(MeshConfig),
}

impl Config {
    fn parse(text: &str) -> Result<Self, SourceError> {
        let raw: &RawValue = serde_json::from_str(text).map_err(|error| {
            let yaml = text.lines().any(|line| line.starts_with("apiVersion:"));
            if yaml { SourceError::Yaml } else { SourceError::Json(error.to_string()) }
        })?;
        let no_object = || SourceError::NoObject(sanitize::value(raw.get()));
        let fields: BTreeMap<String, &RawValue> =
            serde_json::from_str(raw.get()).map_err(|_| no_object())?;
        // Not as values: what others have in their plugins may be none.
        if let Some(plugins) = fields.get("plugins") {
            return our_plugin(plugins).map(Config::Settings).ok_or(SourceError::NoEntry);
        }
        let value: Value =
            serde_json::from_str(text).map_err(|error| SourceError::Json(error.to_string()))?;
        match value["kind"].as_str() {
            Some("MeshConfig") => MeshConfig::parse(&value).map(Config::MeshConfig),
            Some(kind) => Err(SourceError::of_kind(kind, &value)),
            None => match value {
                Value::Object(fields) => Ok(Config::Settings(fields)),
                _ => Err(no_object()),
            },
        }
    }
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

    /// Another object than a MeshConfig; a list may be one of MeshConfigs.
    fn of_kind(kind: &str, value: &Value) -> Self {
        let version = value["items"][0]["apiVersion"].as_str().or(value["apiVersion"].as_str());
        let profile = version.and_then(profile_of).map_or(&OSM, |(profile, _)| profile);
        SourceError::Kind {
            kind: sanitize::value(kind),
            name: profile.mesh_config.name,
            namespace: profile.namespace,
        }
    }
}

/// The mesh whose MeshConfig has this `apiVersion`, and the version's ruleset.
fn profile_of(api_version: &str) -> Option<(&'static Profile, &'static Layout)> {
    let (group, version) = api_version.split_once('/')?;
    let profile = PROFILES.into_iter().find(|profile| profile.mesh_config.group == group)?;
    let config = &profile.mesh_config;
    let named = config.versions.iter().find(|(name, _)| *name == version);
    Some((profile, named.map_or(config.newest, |(_, layout)| layout)))
}

fn known_groups() -> String {
    PROFILES.map(|profile| profile.mesh_config.group).join(", ")
}

impl MeshConfig {
    fn parse(value: &Value) -> Result<Self, SourceError> {
        let (profile, layout) = match value["apiVersion"].as_str() {
            None => (PROFILES[0], None),
            Some(version) => match profile_of(version) {
                Some((profile, layout)) => (profile, Some(layout)),
                None => return Err(SourceError::UnknownMesh(sanitize::value(version))),
            },
        };
        let part = |name: &str, known: &[&str]| match &value["spec"][name] {
            Value::Null => Ok(Map::new()),
            Value::Object(fields) => {
                let known = fields.iter().filter(|(field, _)| known.contains(&field.as_str()));
                Ok(known.map(|(field, value)| (field.clone(), value.clone())).collect())
            }
            other => Err(ConfigError {
                path: format!("spec.{name}"),
                value: sanitize::value(&other.to_string()),
                expected: Expected::Object,
            }),
        };
        let (traffic, sidecar) = (part("traffic", &TRAFFIC)?, part("sidecar", &SIDECAR)?);
        Ok(MeshConfig { profile, layout, traffic, sidecar })
    }
}

/// The meshes that settings name; none if they leave it to the default.
fn served(fields: &Map<String, Value>) -> Option<Vec<String>> {
    match fields.get("mesh")? {
        Value::String(mesh) => Some(vec![mesh.clone()]),
        Value::Array(meshes) => {
            Some(meshes.iter().filter_map(Value::as_str).map(str::to_owned).collect())
        }
        _ => None,
    }
}

/// Adds what the settings do not have. With several meshes, each has its part.
fn merge(fields: &mut Map<String, Value>, configs: Vec<MeshConfig>) {
    if served(fields).is_none() && !configs.is_empty() {
        let names: Vec<&str> = configs.iter().map(|config| config.profile.name).collect();
        match names[..] {
            [only] if only == PROFILES[0].name => {}
            [only] => drop(fields.insert("mesh".to_owned(), json!(only))),
            _ => drop(fields.insert("mesh".to_owned(), json!(names))),
        }
    }
    let several = served(fields).is_some_and(|meshes| meshes.len() > 1);
    for config in configs {
        let name = config.profile.name;
        let layout = config.layout.filter(|layout| *layout != config.profile.layout);
        if several {
            let Some(meshes) = object(fields, "meshes") else { continue };
            let Some(mut own) = object(meshes, name).map(std::mem::take) else { continue };
            config.add_to(&mut own, layout, Some(fields));
            if let Some(meshes) = object(fields, "meshes") {
                meshes.insert(name.to_owned(), Value::Object(own));
            }
        } else {
            config.add_to(fields, layout, None);
        }
    }
}

impl MeshConfig {
    /// Adds the fields that neither these settings nor those above have.
    fn add_to(
        self,
        fields: &mut Map<String, Value>,
        layout: Option<&Layout>,
        above: Option<&Map<String, Value>>,
    ) {
        let has = |fields: &Map<String, Value>, name: &str| {
            fields.get(name).is_some_and(|value| !value.is_null())
        };
        if let Some(layout) = layout
            && !has(fields, "ruleset")
            && !above.is_some_and(|above| has(above, "ruleset"))
        {
            fields.insert("ruleset".to_owned(), json!(layout.name));
        }
        for (part, values) in [("traffic", self.traffic), ("sidecar", self.sidecar)] {
            let above = above.and_then(|above| above.get(part)).and_then(Value::as_object);
            // A part that is no object is refused when it is read.
            let Some(own) = object(fields, part) else { continue };
            for (name, value) in values {
                if !has(own, &name) && !above.is_some_and(|above| has(above, &name)) {
                    own.insert(name, value);
                }
            }
        }
    }
}

/// The object of this name, made if it is missing; none if it is none.
fn object<'m>(
    fields: &'m mut Map<String, Value>,
    name: &str,
) -> Option<&'m mut Map<String, Value>> {
    let value = fields.entry(name).or_insert(Value::Null);
    if value.is_null() {
        *value = json!({});
    }
    value.as_object_mut()
}

#[cfg(test)]
mod tests;
