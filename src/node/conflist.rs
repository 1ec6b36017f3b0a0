//! A CNI network configuration as runtimes read it: its name, its versions and
//! its plugins. Pure: text in, values out. `splice.rs` edits the text.
//!
//! Runtimes parse with Go's encoding/json, so this reader accepts what Go
//! accepts where that decides which network pods get: the last of two equal
//! keys counts, and so does a `Type` that is written with a capital.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

pub use super::name::Kind;
use super::splice;
use crate::cni::version::SpecVersion;
use crate::config::PLUGIN_TYPE;
use crate::sanitize;

/// A CNI version: major, minor, patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Version([u64; 3]);

/// The version that a list has, as two generations of runtimes read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Versions {
    /// With CNI 1.1: the highest of `cniVersion` and `cniVersions` that it knows.
    newest: Version,
    /// Before CNI 1.1, which does not know `cniVersions`.
    before_1_1: Version,
    /// The `cniVersion` with which the older ones can call our entry, and with
    /// which the newer ones use the same version as without it.
    remedy: Version,
}

/// What runtimes do with a configuration that cannot be chained into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Runtimes {
    /// containerd has no network until the file is gone, CRI-O skips it.
    Refuse,
    /// Both use it as it is.
    Take,
    /// It has no network name.
    Nameless,
    /// It depends on the release of the runtime.
    Depends,
}

/// Why a text is not a network configuration that can be chained into.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Broken {
    reason: String,
    pub(crate) runtimes: Runtimes,
    /// Whether the text is JSON at all.
    pub(crate) is_json: bool,
}

/// A plugin of a list.
#[derive(Debug, Clone)]
pub(super) struct Plugin {
    pub(super) kind: String,
    /// The position of the plugin's object in the text.
    pub(super) span: Range<usize>,
}

/// A network configuration with its text.
#[derive(Debug, Clone)]
pub struct Network {
    pub(super) text: String,
    name: String,
    versions: Versions,
    pub(super) plugins: Vec<Plugin>,
    /// Whether the plugins lie in the folder of the network's name.
    in_folder: bool,
}

type Fields<'t> = BTreeMap<String, &'t RawValue>;

impl Network {
    /// Reads a configuration. A single plugin is read as the list that a
    /// runtime makes of it, so that it has the same operations.
    ///
    /// # Errors
    /// What is wrong with the text, without the file's name.
    pub fn parse(kind: Kind, text: &str) -> Result<Self, Broken> {
        match kind {
            Kind::List => Self::of_list(text.to_owned(), &[]),
            Kind::Single => Self::of_list(list_of_single(text)?, &[]),
        }
    }

    /// Reads a list. The plugins in `folder`, each a text, count if it has no
    /// plugins of its own (CNI 1.1).
    pub(crate) fn of_list(text: String, folder: &[String]) -> Result<Self, Broken> {
        let fields = fields(&text)?;
        let name = name(&fields)?;
        let versions = versions(&fields)?;
        flags(&fields)?;
        let Some(raw) = fields.get("plugins") else {
            if folder.is_empty() || is_true(&fields, "loadOnlyInlinedPlugins") {
                return Err(Broken::refused("has no list of plugins"));
            }
            let text = splice::with_plugins(&text, folder);
            return Self::of_list(text, &[]).map(|network| Self { in_folder: true, ..network });
        };
        let raw: Vec<&RawValue> = serde_json::from_str(raw.get())
            .map_err(|_| Broken::refused("its plugins are not a list"))?;
        if raw.is_empty() {
            let runtimes = if folder.is_empty() { Runtimes::Refuse } else { Runtimes::Depends };
            return Err(Broken::new("its list of plugins is empty", runtimes));
        }
        let plugins = raw
            .into_iter()
            .enumerate()
            .map(|(index, plugin)| plugin_of(&text, index, plugin))
            .collect::<Result<_, _>>()?;
        Ok(Self { name, versions, plugins, in_folder: false, text })
    }

    /// The network's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The list's text; of a single plugin, that of the list made of it.
    #[must_use]
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn version(&self) -> Version {
        self.versions.newest
    }

    /// Whether the plugin answers calls of this list's version.
    #[must_use]
    pub fn is_supported(&self) -> bool {
        supported().contains(&self.version())
    }

    /// Whether the plugin answers the calls of a runtime before CNI 1.1, too.
    pub(crate) fn is_supported_before_1_1(&self) -> bool {
        supported().contains(&self.versions.before_1_1)
    }

    /// The text of our own list: a copy of this one with our entry. A runtime
    /// before CNI 1.1 that finds no `cniVersion` would call our entry without a
    /// version, and every pod of the node would fail.
    pub(crate) fn own_list(&self, entry: &Map<String, Value>) -> String {
        let text = self.with_entry(entry);
        match self.is_supported_before_1_1() {
            true => text,
            false => splice::with_version(&text, &self.versions.remedy.to_string()),
        }
    }

    /// Whether the list is older than the first version with chained results.
    pub(crate) fn is_too_old(&self) -> bool {
        self.version() < supported()[0]
    }

    /// Whether no plugin but loopback (and ours) is in the list.
    pub(crate) fn is_loopback_only(&self) -> bool {
        self.kinds().all(|kind| kind == PLUGIN_TYPE || kind == "loopback")
    }

    /// Whether the plugins lie in the folder of the network's name.
    pub(crate) fn is_in_folder(&self) -> bool {
        self.in_folder
    }

    /// The types of the plugins, which are the names of their programs.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = &str> {
        self.plugins.iter().map(|plugin| plugin.kind.as_str())
    }

    /// Whether Multus is in the list, which calls other configurations.
    #[must_use]
    pub fn is_multus(&self) -> bool {
        self.kinds().any(|kind| kind == "multus" || kind == "multus-shim")
    }

    /// Whether an entry of ours is in the list.
    #[must_use]
    pub fn has_ours(&self) -> bool {
        self.kinds().any(|kind| kind == PLUGIN_TYPE)
    }

    /// Whether nothing but entries of ours is in the list.
    #[must_use]
    pub fn is_ours_alone(&self) -> bool {
        self.kinds().all(|kind| kind == PLUGIN_TYPE)
    }

    /// The plugins' own texts.
    pub(crate) fn plugin_texts(&self) -> impl Iterator<Item = &str> {
        self.plugins.iter().map(|plugin| &self.text[plugin.span.clone()])
    }

    /// The first entry of ours.
    #[must_use]
    pub(crate) fn entry(&self) -> Option<Map<String, Value>> {
        let ours = self.plugins.iter().find(|plugin| plugin.kind == PLUGIN_TYPE)?;
        serde_json::from_str(&self.text[ours.span.clone()]).ok()
    }

    /// Whether the list holds exactly this entry, whole, once, and behind
    /// another plugin. Other plugins may stand behind it.
    #[must_use]
    pub fn holds(&self, entry: &Map<String, Value>) -> bool {
        self.kinds().filter(|kind| *kind == PLUGIN_TYPE).count() == 1
            && self.kinds().next() != Some(PLUGIN_TYPE)
            && self.entry().as_ref() == Some(entry)
    }
}

/// The folder whose plugins belong to this list, as a name: only of a list
/// without plugins of its own.
pub(crate) fn folder_of(text: &str) -> Option<String> {
    let fields = fields(text).ok()?;
    let name = name(&fields).ok()?;
    let is_name = !name.contains('/') && !matches!(name.as_str(), "." | "..");
    (is_name && !fields.contains_key("plugins")).then_some(name)
}

/// Whether a text is JSON, whatever it says.
pub(crate) fn is_json(bytes: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(bytes).is_ok()
}

impl Broken {
    pub(crate) fn new(reason: impl Into<String>, runtimes: Runtimes) -> Self {
        Self { reason: reason.into(), runtimes, is_json: true }
    }

    fn refused(reason: impl Into<String>) -> Self {
        Self::new(reason, Runtimes::Refuse)
    }

    /// A text that is not JSON, or a file that cannot be read.
    pub(crate) fn not_json(reason: impl Into<String>) -> Self {
        Self { is_json: false, ..Self::refused(reason) }
    }
}

impl fmt::Display for Runtimes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Runtimes::Refuse => {
                "containerd has no network while this file is there, CRI-O skips it and takes the next one"
            }
            Runtimes::Take => "containerd and CRI-O use it as it is, without redirection",
            Runtimes::Nameless => {
                "containerd reads it and fails for each pod, CRI-O names the network after the file"
            }
            Runtimes::Depends => "what containerd and CRI-O make of it depends on their releases",
        })
    }
}

impl Version {
    /// That of a list that names none.
    const NONE: Self = Version([0, 1, 0]);

    /// As libcni reads it: one to three numbers.
    fn parse(text: &str) -> Option<Self> {
        let mut version = [0; 3];
        let mut parts = text.split('.');
        for number in &mut version {
            match parts.next() {
                Some(part) if !part.starts_with('+') => *number = part.parse().ok()?,
                Some(_) => return None,
                None => break,
            }
        }
        parts.next().is_none().then_some(Version(version))
    }
}

/// The CNI versions that the plugin answers, oldest first.
fn supported() -> [Version; 5] {
    SpecVersion::ALL.map(Version::from)
}

impl From<SpecVersion> for Version {
    fn from(version: SpecVersion) -> Self {
        Version::parse(version.as_str()).unwrap_or_default()
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Version([major, minor, patch]) = self;
        write!(f, "{major}.{minor}.{patch}")
    }
}

/// The fields of a JSON object. Of two equal keys the last one counts.
fn fields(text: &str) -> Result<Fields<'_>, Broken> {
    if text.trim().is_empty() {
        return Err(Broken::not_json("is empty"));
    }
    let fields = serde_json::from_str(text).map_err(|error| match is_json(text.as_bytes()) {
        false => Broken::not_json(format!("is not JSON: {error}")),
        true => Broken::refused("is not a JSON object"),
    })?;
    match splice::infinite_number(text) {
        Some(number) => {
            let number = sanitize::value(number);
            Err(Broken::refused(format!("the number {number} is out of range")))
        }
        None => Ok(fields),
    }
}

fn text_field(fields: &Fields<'_>, name: &str) -> Result<Option<String>, Broken> {
    let Some(raw) = fields.get(name) else { return Ok(None) };
    serde_json::from_str(raw.get()).map_err(|_| {
        let value = sanitize::value(raw.get());
        Broken::refused(format!("{name} is {value}, which is not a string"))
    })
}

fn name(fields: &Fields<'_>) -> Result<String, Broken> {
    match text_field(fields, "name")? {
        None => Err(Broken::refused("has no network name")),
        // Since libcni 1.3 the plugins of the folder of that name count, which is
        // the configuration directory itself.
        Some(name) if name.is_empty() => {
            Err(Broken::new("has an empty network name", Runtimes::Depends))
        }
        Some(name) => Ok(name),
    }
}

/// Without any version it is 0.1.0. `null` is none of a list's versions.
fn versions(fields: &Fields<'_>) -> Result<Versions, Broken> {
    let listed: Vec<String> = match fields.get("cniVersions") {
        None => Vec::new(),
        Some(raw) => serde_json::from_str(raw.get())
            .map_err(|_| Broken::new("its cniVersions are not a list", Runtimes::Depends))?,
    };
    if fields.get("cniVersion").is_some_and(|raw| raw.get() == "null") {
        return Err(Broken::refused("cniVersion is null, which is not a string"));
    }
    let single = text_field(fields, "cniVersion")?;
    let parse = |text: &str, field: &str, runtimes| match text {
        "" => Ok(Version::NONE),
        _ => Version::parse(text).ok_or_else(|| {
            let text = sanitize::value(text);
            Broken::new(format!("{field} {text} is not a version"), runtimes)
        }),
    };
    let is_listed = fields.contains_key("cniVersions");
    let depends = if is_listed { Runtimes::Depends } else { Runtimes::Take };
    let before_1_1 = parse(single.as_deref().unwrap_or_default(), "cniVersion", depends)?;
    let mut all = vec![before_1_1];
    for text in &listed {
        all.push(parse(text, "cniVersions", Runtimes::Depends)?);
    }
    let [.., before_newest, newest] = supported();
    let known = all.iter().filter(|version| **version <= newest).max();
    let is_remedy = |version: &&Version| supported().contains(version) && **version < newest;
    Ok(Versions {
        newest: known.copied().unwrap_or(before_1_1),
        before_1_1,
        remedy: all.iter().filter(is_remedy).max().copied().unwrap_or(before_newest),
    })
}

/// Whether a flag is true. Since CNI 1.1 it may be a string.
fn is_true(fields: &Fields<'_>, name: &str) -> bool {
    let raw = fields.get(name).map(|raw| raw.get().to_ascii_lowercase());
    raw.is_some_and(|raw| matches!(raw.as_str(), "true" | "\"true\""))
}

/// The flags of a list, whose types runtimes check.
fn flags(fields: &Fields<'_>) -> Result<(), Broken> {
    // The others are of CNI 1.1, and older runtimes ignore them.
    for (name, is_old) in
        [("disableCheck", true), ("disableGC", false), ("loadOnlyInlinedPlugins", false)]
    {
        let Some(raw) = fields.get(name) else { continue };
        let runtimes = match raw.get().to_ascii_lowercase().as_str() {
            "true" | "false" => continue,
            "\"true\"" | "\"false\"" if !is_old => continue,
            "\"true\"" | "\"false\"" => Runtimes::Depends,
            _ if is_old => Runtimes::Refuse,
            _ => Runtimes::Depends,
        };
        return Err(Broken::new(format!("{name} is neither true nor false"), runtimes));
    }
    Ok(())
}

/// What Go reads of a plugin before it is called: a wrong type is an error.
#[derive(Deserialize)]
#[expect(dead_code, reason = "only the types of the fields matter")]
struct Ipam {
    #[serde(rename = "type")]
    kind: Option<String>,
}

fn plugin_of(text: &str, index: usize, raw: &RawValue) -> Result<Plugin, Broken> {
    let object = raw.get();
    let fail = |what: &str| Broken::refused(format!("plugins[{index}] {what}"));
    let fields: Fields<'_> = serde_json::from_str(object).map_err(|_| fail("is not an object"))?;
    let wrong = |key: &str| {
        let Some(raw) = fields.get(key) else { return false };
        let raw = raw.get();
        match key {
            "name" | "cniVersion" => serde_json::from_str::<Option<String>>(raw).is_err(),
            "ipam" => serde_json::from_str::<Option<Ipam>>(raw).is_err(),
            "capabilities" => {
                serde_json::from_str::<Option<BTreeMap<String, Option<bool>>>>(raw).is_err()
            }
            _ => serde_json::from_str::<Option<Fields<'_>>>(raw).is_err(),
        }
    };
    let known = ["name", "cniVersion", "ipam", "capabilities", "dns", "prevResult"];
    if let Some(key) = known.into_iter().find(|key| wrong(key)) {
        return Err(fail(&format!("has a value of a wrong type in {key}")));
    }
    let kind = plugin_kind(&fields).map_err(|()| fail("has a type that is not a string"))?;
    let kind = kind.filter(|kind| !kind.is_empty()).ok_or_else(|| fail("has no type"))?;
    // A borrowed raw value is a slice of the text that it was read from.
    let start = object.as_ptr() as usize - text.as_ptr() as usize;
    Ok(Plugin { kind, span: start..start + object.len() })
}

/// The plugin's type. Go takes a key in any case, and an exact one first here:
/// which of several counts depends on their order.
fn plugin_kind(fields: &Fields<'_>) -> Result<Option<String>, ()> {
    let any_case = || fields.iter().find(|(key, _)| key.eq_ignore_ascii_case("type"));
    let raw = fields.get("type").or_else(|| any_case().map(|(_, raw)| raw));
    raw.map_or(Ok(None), |raw| serde_json::from_str(raw.get()).map_err(|_| ()))
}

/// The list that runtimes make of a single plugin: its name and version, and
/// the plugin's own text as the only element.
fn list_of_single(text: &str) -> Result<String, Broken> {
    let fields = fields(text)?;
    let kind = plugin_kind(&fields).map_err(|()| Broken::refused("its type is not a string"))?;
    if kind.is_none_or(|kind| kind.is_empty()) {
        return Err(Broken::refused("has no plugin type"));
    }
    // Go reads the name of a single plugin as an optional field.
    let name = text_field(&fields, "name")?.filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| Broken::new("has no network name", Runtimes::Nameless))?;
    let version = text_field(&fields, "cniVersion")?.filter(|text| !text.is_empty());
    let version = version.unwrap_or_else(|| "0.1.0".to_owned());
    Ok(splice::list_of_single(&name, &version, text))
}

#[cfg(test)]
mod tests;
