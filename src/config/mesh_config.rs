//! A MeshConfig, as `kubectl get … -o json` prints it, merged into an operator's
//! settings.
//!
//! Pure.

use serde_json::{Map, Value, json};

use super::ConfigError;
use super::expected::Expected;
use super::profile::{Layout, OSM, PROFILES, Profile};
use super::unknown::{SIDECAR, TRAFFIC};
use crate::sanitize;

/// What a MeshConfig says about redirection.
pub(super) struct MeshConfig {
    /// The mesh that it belongs to.
    pub(super) profile: &'static Profile,
    /// The ruleset of its version; none if it has no version.
    layout: Option<&'static Layout>,
    traffic: Map<String, Value>,
    sidecar: Map<String, Value>,
}

/// An object of the API that is no MeshConfig of ours.
#[derive(Debug, thiserror::Error)]
pub enum MeshConfigError {
    /// It is of another kind.
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
    /// A part of it is no object.
    #[error(transparent)]
    Field(#[from] ConfigError),
}

impl MeshConfigError {
    /// Another object than a MeshConfig; a list may be one of MeshConfigs.
    fn of_kind(kind: &str, value: &Value) -> Self {
        let version = value["items"][0]["apiVersion"].as_str().or(value["apiVersion"].as_str());
        let profile = version.and_then(profile_of).map_or(&OSM, |(profile, _)| profile);
        MeshConfigError::Kind {
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
    /// The MeshConfig that an object of the API is; none if it is no object of the
    /// API.
    ///
    /// # Errors
    /// It is another object, of an unknown mesh, or has a part that is no object.
    pub(super) fn parse(value: &Value) -> Result<Option<Self>, MeshConfigError> {
        match value["kind"].as_str() {
            None => return Ok(None),
            Some("MeshConfig") => {}
            Some(kind) => return Err(MeshConfigError::of_kind(kind, value)),
        }
        let (profile, layout) = match value["apiVersion"].as_str() {
            None => (PROFILES[0], None),
            Some(version) => match profile_of(version) {
                Some((profile, layout)) => (profile, Some(layout)),
                None => return Err(MeshConfigError::UnknownMesh(sanitize::value(version))),
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
        Ok(Some(MeshConfig { profile, layout, traffic, sidecar }))
    }
}

/// The meshes that settings name; none if they leave it to the default.
pub(super) fn served(fields: &Map<String, Value>) -> Option<Vec<String>> {
    match fields.get("mesh")? {
        Value::String(mesh) => Some(vec![mesh.clone()]),
        Value::Array(meshes) => {
            Some(meshes.iter().filter_map(Value::as_str).map(str::to_owned).collect())
        }
        _ => None,
    }
}

/// Adds what the settings do not have. With several meshes, each has its part.
pub(super) fn merge(fields: &mut Map<String, Value>, configs: Vec<MeshConfig>) {
    // A wrong value is refused when it is read.
    if fields.get("mesh").is_none_or(Value::is_null) && !configs.is_empty() {
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

/// The object of this name, which is created if it is missing; `None` if the field is
/// no object.
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
