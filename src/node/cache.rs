//! libcni's cache: what the runtime keeps of each ADD, so that a pod's network
//! namespace can be found by the pod's name, and the configuration that it was
//! made with be read.
//!
//! I/O: reads `/var/lib/cni/results` and `/etc/cni/net.d` through [`HostRoot`];
//! writes nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::base64;
use super::host_root::HostRoot;
use crate::config::{CAPABILITY, Entry, Settings};
use crate::pod::{Annotations, PodAddresses, PodFacts};
use crate::ruleset::Owner;

/// libcni's cache of attachments.
pub(crate) const RESULTS: &str = "/var/lib/cni/results";

/// Where runtimes look for network configurations.
pub(crate) const CONFIGURATIONS: &str = "/etc/cni/net.d";

/// What the cache keeps of one attachment.
#[derive(Debug)]
pub(crate) struct Cached {
    /// The container's id.
    pub(crate) container: String,
    /// The interface.
    pub(crate) interface: String,
    /// The network namespace, as the node sees it.
    pub(crate) netns: Option<PathBuf>,
    /// The pod's addresses.
    pub(crate) addresses: PodAddresses,
    /// The pairs of `CNI_ARGS`.
    pub(crate) args: BTreeMap<String, String>,
    /// The pod's annotations; none if the runtime did not pass any.
    pub(crate) annotations: Option<BTreeMap<String, Box<RawValue>>>,
    /// The configuration of the ADD.
    pub(crate) config: Config,
    modified: Option<SystemTime>,
}

/// The configuration of an ADD.
#[derive(Debug)]
pub(crate) enum Config {
    /// The cache has none that can be read.
    Unknown,
    /// It has no entry of ours.
    WithoutEntry,
    /// It has this one.
    Entry(Box<Entry>),
}

/// A configuration on the node that has our entry.
#[derive(Debug)]
pub(crate) struct Configuration {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// The digest of our entry's settings.
    pub(crate) digest: String,
    /// The settings.
    pub(crate) settings: Box<Settings>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawCached {
    container_id: String,
    if_name: String,
    #[serde(default)]
    config: Option<String>,
    #[serde(default)]
    netns: Option<String>,
    #[serde(default)]
    cni_args: Option<Vec<(String, String)>>,
    #[serde(default)]
    capability_args: Option<BTreeMap<String, Box<RawValue>>>,
    #[serde(default)]
    result: Option<Box<RawValue>>,
}

/// The attachments in the cache that are meant, the newest first. Files that
/// are no attachments are skipped.
///
/// # Errors
/// The directory cannot be read.
pub(crate) fn attachments(
    root: &HostRoot,
    directory: &Path,
    is_meant: impl Fn(&Cached) -> bool,
) -> std::io::Result<Vec<Cached>> {
    let mut meant = Vec::new();
    for name in root.list(directory)? {
        let Ok((text, modified)) = root.read(&directory.join(name)) else { continue };
        let cached = Cached::parse(&text).map(|cached| Cached { modified, ..cached });
        meant.extend(cached.filter(&is_meant));
    }
    meant.sort_by_key(|cached| std::cmp::Reverse(cached.modified));
    Ok(meant)
}

/// The first configuration in the node's directory that has our entry.
pub(crate) fn configuration(root: &HostRoot, directory: &Path) -> Option<Configuration> {
    root.list(directory).ok()?.into_iter().find_map(|name| {
        let path = directory.join(name);
        let extension = path.extension().and_then(|extension| extension.to_str());
        if !matches!(extension, Some("conf" | "conflist" | "json")) {
            return None;
        }
        let (text, _) = root.read(&path).ok()?;
        let entry = Entry::in_configuration(&text)?;
        let (digest, settings) = (entry.digest(), Box::new(entry.settings().clone()));
        Some(Configuration { path, digest, settings })
    })
}

impl Config {
    fn parse(base64: Option<&str>) -> Self {
        let text = base64.and_then(base64::decode).and_then(|bytes| String::from_utf8(bytes).ok());
        let Some(text) = text else { return Config::Unknown };
        match Entry::in_configuration(&text) {
            Some(entry) => Config::Entry(Box::new(entry)),
            None if serde_json::from_str::<&RawValue>(&text).is_err() => Config::Unknown,
            None => Config::WithoutEntry,
        }
    }

    /// Our entry, if there is one.
    pub(crate) fn entry(&self) -> Option<&Entry> {
        match self {
            Config::Entry(entry) => Some(entry),
            Config::Unknown | Config::WithoutEntry => None,
        }
    }
}

impl Cached {
    /// Reads a file of the cache; none if it is of another form.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let raw: RawCached = serde_json::from_str(text).ok()?;
        let args: BTreeMap<_, _> = raw.cni_args.unwrap_or_default().into_iter().collect();
        let result = raw.result.as_deref();
        // Older versions of libcni keep no netns; the result has it as well.
        let netns = raw.netns.filter(|netns| !netns.is_empty());
        let netns = netns.or_else(|| sandbox(result?, &raw.if_name)).map(PathBuf::from);
        let annotations = raw.capability_args.unwrap_or_default().remove(CAPABILITY);
        let addresses = result.map(|result| PodAddresses::of_result(result, &raw.if_name));
        Some(Cached {
            addresses: addresses.unwrap_or_default(),
            annotations: annotations
                .map(|all| serde_json::from_str(all.get()).ok().flatten().unwrap_or_default()),
            container: raw.container_id,
            interface: raw.if_name,
            netns,
            args,
            config: Config::parse(raw.config.as_deref()),
            modified: None,
        })
    }

    /// The pod's namespace and name.
    pub(crate) fn pod(&self) -> Option<(&str, &str)> {
        let of = |key| self.args.get(key).map(String::as_str);
        of("K8S_POD_NAMESPACE").zip(of("K8S_POD_NAME"))
    }

    /// What the runtime said about the pod.
    pub(crate) fn facts(&self) -> PodFacts {
        let annotations = match &self.annotations {
            None => Annotations::NotPassed,
            Some(all) => {
                Annotations::passed(all.iter().map(|(key, value)| (key.clone(), &**value)))
            }
        };
        PodFacts::new(&self.args, annotations, self.addresses.clone())
    }

    /// Whether a table with this owner was made for this attachment.
    pub(crate) fn owns(&self, owner: &Owner) -> bool {
        let this = Owner::new(&self.container, &self.interface);
        !owner.container.is_empty() && this.same_attachment(owner)
    }
}

/// The network namespace that a result names for this interface.
fn sandbox(result: &RawValue, interface: &str) -> Option<String> {
    let result: Value = serde_json::from_str(result.get()).ok()?;
    let all = result["interfaces"].as_array()?;
    let here = all.iter().find(|it| it["name"] == interface && it["sandbox"] != "")?;
    here["sandbox"].as_str().map(str::to_owned)
}

#[cfg(test)]
#[path = "cache/tests.rs"]
mod tests;
