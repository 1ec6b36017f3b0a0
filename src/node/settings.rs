//! The settings that `install` puts into our entry: where they come from, and
//! what holds while they are wrong.
//!
//! I/O: reads the files of `--config` and `--mesh-config`, and looks whether
//! the kubelet's directory is there.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::error::NodeError;
use super::files;
use crate::config::Entry;
use crate::config::source::{Document, SourceError};
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
    /// Stands for the settings in log lines and metrics.
    pub(crate) digest: String,
    /// The plugin's log file.
    pub(crate) log_file: Option<PathBuf>,
    /// The kubelet's directory, unless it is not looked at.
    pub(crate) kubelet: Option<Kubelet>,
    /// What is odd in the settings.
    pub(crate) warnings: Vec<String>,
    /// Which fields come from a MeshConfig.
    pub(crate) notes: Vec<String>,
}

/// The kubelet's directory of the settings.
#[derive(Debug, Clone)]
pub(crate) struct Kubelet {
    pub(crate) dir: PathBuf,
    /// Whether the settings name it.
    is_set: bool,
}

impl Sources {
    /// Reads the files.
    pub(crate) fn read(&self) -> Texts {
        let text = |path: &PathBuf| match files::settings_text(path) {
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
        let fail = |reason| NodeError::settings(self.config(), reason);
        let config = texts.config.clone().transpose().map_err(fail)?;
        let config = config.as_deref().map(|text| Document { name: "settings", text });
        let mut mesh_configs = Vec::new();
        for (path, text) in self.mesh_configs.iter().zip(&texts.mesh_configs) {
            // A MeshConfig that is not there yet is none.
            let Some(text) = text else { continue };
            let text = text.as_ref().map_err(|reason| NodeError::settings(path, reason.clone()))?;
            mesh_configs.push((path.display().to_string(), text));
        }
        let documents: Vec<Document<'_>> =
            mesh_configs.iter().map(|(name, text)| Document { name, text }).collect();
        let entry = Entry::from_documents(config, &documents);
        let entry = entry.map_err(|error| match error {
            SourceError::In { name, source } if name == "settings" => {
                fail(ErrorChain(&*source).to_string())
            }
            SourceError::In { name, source } => {
                NodeError::settings(Path::new(&name), ErrorChain(&*source).to_string())
            }
            other => fail(ErrorChain(&other).to_string()),
        })?;
        Wanted::new(&entry).map_err(fail)
    }

    /// The file of `--config`, for messages.
    pub(crate) fn config(&self) -> &Path {
        self.config.as_deref().unwrap_or(Path::new("the default settings"))
    }

    /// The entry for a node that has never had good settings: the plugin
    /// refuses the pods of the mesh with the reason, and leaves the others
    /// alone.
    pub(crate) fn refusal(texts: &Texts, error: &NodeError) -> Wanted {
        let given = texts.config.as_ref().and_then(|text| text.as_ref().ok());
        let given = given.and_then(|text| Entry::from_config_text(text).ok()).filter(|entry| {
            // Where it is wrong which pods are the mesh's, the defaults tell.
            entry.settings().selection.is_ok() && entry.settings().check().is_err()
        });
        let entry = given.unwrap_or_else(|| {
            let reason = match error {
                NodeError::Settings { reason, .. } => reason.clone(),
                other => other.to_string(),
            };
            let text = json!({"traffic": reason}).to_string();
            Entry::from_config_text(&text).unwrap_or_default()
        });
        Wanted::unchecked(&entry)
    }
}

impl Wanted {
    fn new(entry: &Entry) -> Result<Self, String> {
        entry.settings().check().map_err(|error| error.to_string())?;
        Ok(Wanted { warnings: entry.settings().warnings.clone(), ..Self::unchecked(entry) })
    }

    fn unchecked(entry: &Entry) -> Self {
        let settings = entry.settings();
        let plugin_entry = entry.to_plugin_json();
        let is_set = plugin_entry.contains_key("kubeletDir");
        let selection = settings.selection.as_ref().ok();
        let selection = selection.filter(|selection| !selection.volumes().is_empty());
        Wanted {
            digest: entry.digest(),
            log_file: settings.log.file.clone(),
            kubelet: selection.map(|it| Kubelet { dir: it.kubelet_dir.clone(), is_set }),
            warnings: Vec::new(),
            notes: Vec::new(),
            entry: plugin_entry,
        }
    }

    /// The settings of an entry that is in a configuration already.
    pub(crate) fn of_entry(entry: Map<String, Value>) -> Option<Self> {
        let entry = Entry::from_config_text(&Value::Object(entry).to_string()).ok()?;
        Self::new(&entry).ok()
    }

    /// What is wrong with the kubelet's directory.
    pub(crate) fn kubelet_problem(&self) -> Option<(NodeError, Severity)> {
        let Kubelet { dir, is_set } = self.kubelet.as_ref()?;
        let reason = match std::fs::metadata(dir.join("pods")) {
            Ok(meta) if meta.is_dir() => return None,
            Ok(_) => "its pods is not a directory".to_owned(),
            Err(error) if error.kind() == ErrorKind::NotFound => match dir.is_dir() {
                true => "it has no directory pods".to_owned(),
                false => "there is no such directory".to_owned(),
            },
            Err(error) => format!("cannot look at its pods: {error}"),
        };
        // Without a kubelet at the default place this may be no Kubernetes node.
        let is_elsewhere = !is_set && !dir.exists();
        let severity = if is_elsewhere { Severity::Warning } else { Severity::Failure };
        Some((NodeError::Kubelet { path: dir.clone(), reason }, severity))
    }
}

/// Whether a problem makes `--check` fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Severity {
    Warning,
    Failure,
}
