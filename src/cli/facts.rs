//! What the node knows of a pod besides its rules: the decision with the configuration
//! of its ADD, and whether the node's settings have changed since.
//!
//! I/O: reads the kubelet's directory and today's configuration.

use std::path::Path;

use serde_json::value::RawValue;

use super::installed::InstalledPod;
use super::outcome::Outcome;
use crate::admit::admit;
use crate::config::Settings;
use crate::error_chain::ErrorChain;
use crate::node::cache::{self, Cached, Config, Configuration};
use crate::node::host_root::HostRoot;

/// What is known.
#[derive(Debug)]
pub(super) struct Facts {
    /// What was decided about the pod; none if that is not known.
    pub(super) outcome: Option<Outcome>,
    /// The settings of its ADD, and today's.
    pub(super) settings: SettingsState,
    /// The pod's annotations about redirection, as the runtime passed them.
    pub(super) annotations: Vec<(String, String)>,
}

/// The settings of the ADD, and whether they are still today's.
#[derive(Debug)]
pub(super) enum SettingsState {
    /// The cache does not say.
    Unknown,
    /// The configuration of the ADD has no entry of ours.
    NoEntry,
    /// The configuration of the ADD has an entry of ours.
    Entry {
        /// Its digest.
        digest: String,
        /// What the node's directory has now.
        now: Option<Configuration>,
    },
}

impl Facts {
    /// Gathers what is known of the pod; today's configuration is in this directory.
    pub(super) fn of(pod: &InstalledPod, conf_dir: &Path) -> Self {
        let none =
            || Facts { outcome: None, settings: SettingsState::Unknown, annotations: Vec::new() };
        let Some(cached) = &pod.cached else { return none() };
        let (entry, settings) = match &cached.config {
            Config::Unknown => (None, SettingsState::Unknown),
            Config::WithoutEntry => (None, SettingsState::NoEntry),
            Config::Entry(entry) => {
                let now = cache::configuration(&pod.root, conf_dir);
                (Some(entry), SettingsState::Entry { digest: entry.digest(), now })
            }
        };
        let defaults = Settings::default();
        let prefixes = prefixes(entry.map_or(&defaults, |entry| entry.settings()));
        let outcome = entry.map(|entry| decide(entry.settings(), cached, &pod.root));
        Facts { outcome, settings, annotations: annotations(cached, &prefixes) }
    }
}

/// What the meshes' annotations begin with; none if that is not known.
fn prefixes(settings: &Settings) -> Vec<String> {
    let meshes = settings.selection.as_ref().map(|selection| &selection.meshes[..]);
    let meshes = meshes.unwrap_or_default().iter();
    meshes.map(|mesh| format!("{}/", mesh.annotation_prefix)).collect()
}

/// The annotations with these prefixes; all without one.
fn annotations(cached: &Cached, prefixes: &[String]) -> Vec<(String, String)> {
    let is_ours =
        |key: &str| prefixes.is_empty() || prefixes.iter().any(|prefix| key.starts_with(prefix));
    let all = cached.annotations.iter().flatten();
    let ours = all.filter(|(key, _)| is_ours(key));
    let plain = |raw: &RawValue| {
        serde_json::from_str::<String>(raw.get()).unwrap_or_else(|_| raw.get().to_owned())
    };
    ours.map(|(key, value)| (key.clone(), plain(value))).collect()
}

/// What these settings decide about the pod, with the volumes that the kubelet
/// has mounted now.
fn decide(settings: &Settings, cached: &Cached, root: &HostRoot) -> Outcome {
    let pod = cached.facts();
    match admit(settings, &pod, |query| root.volumes(query), None) {
        Ok(admission) => Ok(admission.decision),
        Err(error) => Err(ErrorChain(&error).to_string()),
    }
}

impl SettingsState {
    /// Whether they have changed since; none if either is not known.
    pub(super) fn changed(&self) -> Option<bool> {
        match self {
            SettingsState::Entry { digest, now: Some(now) } => Some(now.digest != *digest),
            _ => None,
        }
    }

    /// In words; none if nothing is known.
    pub(super) fn words(&self) -> Option<String> {
        Some(match self {
            SettingsState::Unknown => return None,
            SettingsState::NoEntry => {
                "none: the configuration that this pod was made with has no entry of osm-cni"
                    .to_owned()
            }
            SettingsState::Entry { digest, now: None } => {
                format!("{digest} at its start; no configuration with osm-cni found today")
            }
            SettingsState::Entry { digest, now: Some(now) } if now.digest == *digest => {
                format!("{digest}, as in {} today", now.path.display())
            }
            SettingsState::Entry { digest, now: Some(now) } => format!(
                "{digest} at its start, but {} in {} today: they reach this pod when it is \
                 recreated",
                now.digest,
                now.path.display()
            ),
        })
    }
}
