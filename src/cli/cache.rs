//! libcni's cache: what the runtime keeps of each ADD, so that a pod's network
//! namespace can be found by the pod's name, and the configuration that it was
//! made with be read.
//!
//! Reads `/var/lib/cni/results` and `/etc/cni/net.d`, both below the root of
//! the node's file system; writes nothing.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::config::{CAPABILITY, Entry, PLUGIN_TYPE, SourceError};
use crate::kubelet;
use crate::pod::{AddressSource, Annotations, PodAddresses, PodFacts};
use crate::policy::{self, Decision};

/// Where libcni keeps what it knows of attachments.
const RESULTS: &str = "/var/lib/cni/results";

/// Where runtimes look for network configurations.
const CONFIGURATIONS: &str = "/etc/cni/net.d";

/// The node's file system, seen from here.
#[derive(Debug, Clone)]
pub(super) struct HostRoot(PathBuf);

/// What the cache keeps of one attachment.
#[derive(Debug)]
pub(super) struct Cached {
    /// The container's id.
    pub(super) container: String,
    /// The interface.
    pub(super) interface: String,
    /// The network namespace, as the node sees it.
    pub(super) netns: Option<PathBuf>,
    /// The pod's namespace and name.
    pub(super) pod: Option<(String, String)>,
    /// The pod's addresses.
    pub(super) addresses: PodAddresses,
    args: BTreeMap<String, String>,
    annotations: Option<BTreeMap<String, Box<RawValue>>>,
    config: Option<String>,
    modified: Option<SystemTime>,
}

/// A configuration on the node that has our entry.
#[derive(Debug)]
pub(super) struct Configuration {
    /// Where it is.
    pub(super) path: PathBuf,
    /// The digest of our entry's settings.
    pub(super) digest: String,
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

impl HostRoot {
    pub(super) fn new(root: PathBuf) -> Self {
        HostRoot(root)
    }

    /// Where a path of the node is seen from here. Links are followed as the
    /// node does, inside its own root: `/var/run` is one to `/run`.
    pub(super) fn path(&self, of_node: &Path) -> PathBuf {
        const MOST_LINKS: usize = 40;
        if self.0 == Path::new("/") {
            return of_node.to_owned();
        }
        let mut links = 0;
        let mut seen = self.0.clone();
        let mut rest: Vec<PathBuf> = parts(of_node);
        while let Some(part) = rest.pop() {
            if part == Path::new("..") {
                if seen != self.0 {
                    seen.pop();
                }
                continue;
            }
            let next = seen.join(&part);
            match std::fs::read_link(&next) {
                Ok(target) if links < MOST_LINKS => {
                    links += 1;
                    if target.is_absolute() {
                        seen = self.0.clone();
                    }
                    rest.extend(parts(&target));
                }
                _ => seen = next,
            }
        }
        seen
    }

    /// The network namespace of a process of the node. Its link is the
    /// kernel's, not one to follow by name.
    pub(super) fn netns_of_process(&self, pid: u32) -> PathBuf {
        self.0.join(format!("proc/{pid}/ns/net"))
    }

    /// The cache's directory.
    pub(super) fn cache(&self) -> PathBuf {
        self.path(Path::new(RESULTS))
    }

    /// All attachments that the cache knows, the newest first.
    pub(super) fn attachments(&self) -> std::io::Result<Vec<Cached>> {
        let mut all = Vec::new();
        for entry in std::fs::read_dir(self.cache())? {
            let path = entry?.path();
            let modified = path.metadata().and_then(|metadata| metadata.modified()).ok();
            // What is no attachment of today's form is none that we could use.
            let Ok(text) = std::fs::read_to_string(&path) else { continue };
            let Ok(raw) = serde_json::from_str::<RawCached>(&text) else { continue };
            all.push(Cached::new(raw, modified));
        }
        all.sort_by_key(|cached: &Cached| std::cmp::Reverse(cached.modified));
        Ok(all)
    }

    /// The first configuration in the directory that has our entry.
    pub(super) fn configuration(&self) -> Option<Configuration> {
        let directory = self.path(Path::new(CONFIGURATIONS));
        let entries = std::fs::read_dir(directory).ok()?.flatten();
        let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
        paths.retain(|path| {
            let extension = path.extension().and_then(|extension| extension.to_str());
            matches!(extension, Some("conf" | "conflist" | "json"))
        });
        paths.sort();
        paths.into_iter().find_map(|path| {
            let text = std::fs::read_to_string(&path).ok()?;
            let digest = our_entry(&text)?.ok()?.digest();
            let name = path.file_name()?;
            Some(Configuration { path: Path::new(CONFIGURATIONS).join(name), digest })
        })
    }
}

/// The parts of a path, the last one first.
fn parts(path: &Path) -> Vec<PathBuf> {
    let parts = path.components().filter_map(|part| match part {
        Component::Normal(part) => Some(PathBuf::from(part)),
        Component::ParentDir => Some(PathBuf::from("..")),
        Component::Prefix(_) | Component::RootDir | Component::CurDir => None,
    });
    let mut parts: Vec<_> = parts.collect();
    parts.reverse();
    parts
}

/// Our entry in a configuration; none if it has none.
fn our_entry(text: &str) -> Option<Result<Entry, SourceError>> {
    let value: Value = serde_json::from_str(text).ok()?;
    let is_ours = |plugin: &Value| plugin["type"] == PLUGIN_TYPE;
    let listed = value["plugins"].as_array().is_some_and(|all| all.iter().any(is_ours));
    (listed || is_ours(&value)).then(|| Entry::from_config_text(text))
}

impl Cached {
    fn new(raw: RawCached, modified: Option<SystemTime>) -> Self {
        let args: BTreeMap<_, _> = raw.cni_args.unwrap_or_default().into_iter().collect();
        let result = raw.result.as_deref();
        // Older versions of libcni keep no netns; the result has it as well.
        let netns = raw.netns.filter(|netns| !netns.is_empty());
        let netns = netns.or_else(|| sandbox(result?, &raw.if_name)).map(PathBuf::from);
        let pod = args.get("K8S_POD_NAMESPACE").zip(args.get("K8S_POD_NAME"));
        let annotations = raw.capability_args.unwrap_or_default().remove(CAPABILITY);
        let config = raw.config.as_deref().and_then(from_base64);
        Cached {
            pod: pod.map(|(namespace, name)| (namespace.clone(), name.clone())),
            addresses: result
                .map(|result| PodAddresses::of_result(result, &raw.if_name))
                .unwrap_or_default(),
            annotations: annotations
                .map(|all| serde_json::from_str(all.get()).ok().flatten().unwrap_or_default()),
            container: raw.container_id,
            interface: raw.if_name,
            netns,
            args,
            config: config.and_then(|bytes| String::from_utf8(bytes).ok()),
            modified,
        }
    }

    /// Our entry in the configuration of the ADD; none if it had none.
    pub(super) fn entry(&self) -> Option<Entry> {
        our_entry(self.config.as_deref()?)?.ok()
    }

    /// Whether the configuration of the ADD can be read.
    pub(super) fn has_config(&self) -> bool {
        self.config.is_some()
    }

    /// The pod's annotations about redirection, as the runtime passed them.
    pub(super) fn annotations(&self) -> Vec<(String, String)> {
        let entry = self.entry();
        let raw = entry.as_ref().and_then(|entry| entry.raw().ok());
        let selection = raw.unwrap_or_default().selection().ok();
        let prefix = selection.map_or_else(String::new, |it| format!("{}/", it.annotation_prefix));
        let all = self.annotations.iter().flatten();
        let ours = all.filter(|(key, _)| key.starts_with(&prefix));
        let plain = |raw: &RawValue| {
            serde_json::from_str::<String>(raw.get()).unwrap_or_else(|_| raw.get().to_owned())
        };
        ours.map(|(key, value)| (key.clone(), plain(value))).collect()
    }

    /// What the policy says about this pod by the configuration of its ADD,
    /// with the volumes that the kubelet has mounted now.
    pub(super) fn decision(&self, root: &HostRoot) -> Option<Result<Decision, String>> {
        let entry = self.entry()?;
        let annotations = match &self.annotations {
            None => Annotations::NotPassed,
            Some(all) => {
                let all = all.iter().map(|(key, value)| (key.clone(), &**value));
                Annotations::Passed(all.collect())
            }
        };
        let pod = PodFacts::new(&self.args, annotations, AddressSource::Known(self.addresses));
        let conf = match entry.raw() {
            Ok(conf) => conf,
            Err(error) => return Some(Err(error.to_string())),
        };
        let decision = policy::decide(&conf, &pod, |dir, uid, names| {
            kubelet::volumes(&root.path(dir), uid, names)
        });
        Some(decision.map_err(|error| error.to_string()))
    }
}

/// The network namespace that a result names for this interface.
fn sandbox(result: &RawValue, interface: &str) -> Option<String> {
    let result: Value = serde_json::from_str(result.get()).ok()?;
    let all = result["interfaces"].as_array()?;
    let here = all.iter().find(|it| it["name"] == interface && it["sandbox"] != "")?;
    here["sandbox"].as_str().map(str::to_owned)
}

/// Reads base64 (RFC 4648, section 4); none if it is none.
fn from_base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0_u32, 0);
    for c in text.trim_end_matches('=').bytes() {
        let six = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(six);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read_with_and_without_padding() {
        for (text, bytes) in [("", ""), ("Zg==", "f"), ("Zm8=", "fo"), ("Zm9v", "foo"), ("Zg", "f")]
        {
            assert_eq!(from_base64(text).as_deref(), Some(bytes.as_bytes()), "{text}");
        }
        assert_eq!(from_base64("Zm9v!"), None);
        assert_eq!(from_base64("+/+/").as_deref(), Some(&[0xfb, 0xff, 0xbf][..]));
    }

    #[test]
    fn links_of_the_node_stay_inside_its_root() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("run/netns")).unwrap();
        std::fs::create_dir(root.path().join("var")).unwrap();
        std::os::unix::fs::symlink("/run", root.path().join("var/run")).unwrap();
        std::os::unix::fs::symlink("../../..", root.path().join("up")).unwrap();
        std::os::unix::fs::symlink("loop", root.path().join("loop")).unwrap();
        let host = HostRoot::new(root.path().to_owned());
        let seen = |path: &str| host.path(Path::new(path));
        assert_eq!(seen("/var/run/netns/x"), root.path().join("run/netns/x"));
        assert_eq!(seen("/up/run"), root.path().join("run"));
        assert_eq!(seen("/../../run"), root.path().join("run"));
        assert!(seen("/loop/x").starts_with(root.path()));
    }
}
