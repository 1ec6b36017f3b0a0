//! The settings that `install` puts into our entry: where they come from, and
//! what holds while they are wrong.
//!
//! I/O: reads the files of `--config` and `--mesh-config`; through
//! `kubelet_dir.rs` looks whether the kubelet's directory is one.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::content;
use super::error::NodeError;
use super::kubelet_dir::{KubeletDir, Severity};
use crate::config::Document;
use crate::config::{Entry, Settings, SourceError};
use crate::error_chain::ErrorChain;

/// The files that settings come from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sources {
    /// The operator's settings; without a file all defaults.
    pub(crate) config: Option<PathBuf>,
    /// MeshConfigs beside it. A file that is not there counts as none.
    pub(crate) mesh_configs: Vec<PathBuf>,
}

/// The files' texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Texts {
    config: Option<Result<String, String>>,
    mesh_configs: Vec<Option<Result<String, String>>>,
}

/// Checked settings, as they go into the configuration.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// Our whole entry.
    pub(crate) entry: Map<String, Value>,
    /// The digest of the settings, for log lines and metrics.
    pub(crate) digest: String,
    /// The same, as the plugin reads it.
    pub(crate) settings: Settings,
    /// The kubelet's directory, unless it is not looked at.
    pub(crate) kubelet_dir: Option<KubeletDir>,
    /// Which fields come from a MeshConfig.
    pub(crate) notes: Vec<String>,
}

impl Sources {
    /// Reads the files.
    pub(crate) fn read(&self) -> Texts {
        let text = |path: &PathBuf| match content::text(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            result => Some(result.map_err(|error| format!("cannot be read: {error}"))),
        };
        let missing = || Err("there is no such file".to_owned());
        Texts {
            config: self.config.as_ref().map(|path| text(path).unwrap_or_else(missing)),
            mesh_configs: self.mesh_configs.iter().map(text).collect(),
        }
    }

    /// The settings of these texts.
    ///
    /// # Errors
    /// The file that is wrong, and what is wrong in it.
    pub(crate) fn check(&self, texts: &Texts) -> Result<Wanted, NodeError> {
        let fail = |path: &Path, reason| NodeError::settings(path, reason);
        let config = texts.config.clone().transpose().map_err(|why| fail(self.config(), why))?;
        let mut mesh_configs = Vec::new();
        for (path, text) in self.mesh_configs.iter().zip(&texts.mesh_configs) {
            if let Some(text) = text {
                let text = text.clone().map_err(|why| fail(path, why))?;
                mesh_configs.push((path.display().to_string(), text));
            }
        }
        let name = self.config().display().to_string();
        let entry = Entry::from_documents(
            config.as_deref().map(|text| Document { name: &name, text }),
            &documents(&mesh_configs),
        );
        let settings = |reason| fail(self.config(), reason);
        let entry = entry.map_err(|error| match error {
            SourceError::In { name, source } => {
                fail(Path::new(&name), ErrorChain(&*source).to_string())
            }
            other => settings(ErrorChain(&other).to_string()),
        })?;
        let mut wanted = Wanted::new(&entry).map_err(settings)?;
        wanted.notes = self.notes(config.as_deref(), &mesh_configs);
        Ok(wanted)
    }

    /// Which fields come from a MeshConfig, and which MeshConfig is not there.
    fn notes(&self, config: Option<&str>, mesh_configs: &[(String, String)]) -> Vec<String> {
        let parts = |entry: Result<Entry, SourceError>| {
            let entry = entry.map(|entry| entry.to_plugin_json()).unwrap_or_default();
            fields(&entry)
        };
        let name = self.config().display().to_string();
        let own =
            parts(Entry::from_documents(config.map(|text| Document { name: &name, text }), &[]));
        let mut notes = Vec::new();
        for path in &self.mesh_configs {
            let path = path.display().to_string();
            let Some(given) = mesh_configs.iter().find(|(name, _)| *name == path) else {
                notes.push(format!("{path}: no MeshConfig there, so nothing comes from one"));
                continue;
            };
            let theirs =
                parts(Entry::from_documents(None, &documents(std::slice::from_ref(given))));
            let (kept, taken): (Vec<&str>, Vec<&str>) = theirs
                .iter()
                .map(String::as_str)
                .partition(|field| own.iter().any(|it| it == field));
            let list = |fields: &[&str]| match fields {
                [] => "nothing".to_owned(),
                fields => fields.join(", "),
            };
            notes.push(format!("{path} gives {}", list(&taken)));
            if !kept.is_empty() {
                notes.push(format!("{name} has its own {} beside {path}", list(&kept)));
            }
        }
        notes
    }

    /// The file of `--config`, for messages.
    pub(crate) fn config(&self) -> &Path {
        self.config.as_deref().unwrap_or(Path::new("the default settings"))
    }

    /// The entry for a node that has never had good settings: the operator's
    /// settings as they are, so that the plugin refuses the pods of the mesh with
    /// the reason. Where they cannot be read at all, or only the MeshConfig is
    /// wrong, `traffic` holds the reason, which no pod of the mesh can be
    /// redirected with.
    pub(crate) fn refusal(texts: &Texts, error: &NodeError) -> Wanted {
        let given = texts.config.as_ref().and_then(|text| text.as_ref().ok());
        let given = given.and_then(|text| Entry::from_config_text(text).ok());
        if let Some(entry) = given.as_ref().filter(|entry| entry.settings().check().is_err()) {
            return Wanted::unchecked(entry);
        }
        let reason = match error {
            NodeError::Settings { reason, .. } => reason.clone(),
            other => other.to_string(),
        };
        let mut fields = given.map(|entry| entry.to_plugin_json()).unwrap_or_default();
        fields.insert("traffic".to_owned(), json!(reason));
        let text = Value::Object(fields).to_string();
        Wanted::unchecked(&Entry::from_config_text(&text).unwrap_or_default())
    }
}

impl Wanted {
    fn new(entry: &Entry) -> Result<Self, String> {
        entry.settings().check().map_err(|error| error.to_string())?;
        Ok(Self::unchecked(entry))
    }

    fn unchecked(entry: &Entry) -> Self {
        let settings = entry.settings().clone();
        let plugin_entry = entry.to_plugin_json();
        let is_set = plugin_entry.contains_key("kubeletDir");
        let selection = settings.selection.as_ref().ok();
        let selection = selection.filter(|selection| !selection.volumes().is_empty());
        Wanted {
            digest: entry.digest(),
            kubelet_dir: selection.map(|it| KubeletDir { path: it.kubelet_dir.clone(), is_set }),
            notes: Vec::new(),
            entry: plugin_entry,
            settings,
        }
    }

    /// The settings of an entry that is in a configuration already.
    pub(crate) fn of_entry(entry: Map<String, Value>) -> Option<Self> {
        let entry = Entry::from_config_text(&Value::Object(entry).to_string()).ok()?;
        Self::new(&entry).ok()
    }

    /// The rulesets of the meshes that are served, and the digest.
    pub(crate) fn in_force(&self) -> String {
        let meshes = self.settings.selection.iter().flat_map(|selection| &selection.meshes);
        let rulesets = meshes.filter_map(|mesh| Some(mesh.redirection.as_ref().ok()?.layout.name));
        let rulesets: Vec<_> = rulesets.collect();
        let word = match rulesets.len() {
            0 => return format!("settings {}", self.digest),
            1 => "ruleset",
            _ => "rulesets",
        };
        format!("{word} {}, settings {}", rulesets.join(" and "), self.digest)
    }

    /// What is wrong with the kubelet's directory.
    pub(crate) fn kubelet_problem(&self) -> Option<(NodeError, Severity)> {
        self.kubelet_dir.as_ref()?.problem()
    }
}

fn documents(texts: &[(String, String)]) -> Vec<Document<'_>> {
    texts.iter().map(|(name, text)| Document { name, text }).collect()
}

/// The fields of `traffic` and `sidecar` in an entry, by their paths.
fn fields(entry: &Map<String, Value>) -> Vec<String> {
    let of = |part: &'static str| {
        let fields = entry.get(part).and_then(Value::as_object);
        fields.into_iter().flatten().map(move |(field, _)| format!("{part}.{field}"))
    };
    of("traffic").chain(of("sidecar")).collect()
}
