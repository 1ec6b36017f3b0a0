//! A CNI network configuration as runtimes read it: its name, its versions and
//! its plugins. Pure: text in, values out. `splice.rs` edits the text.
//!
//! Runtimes parse with Go's encoding/json, so this reader accepts what Go
//! accepts where that decides which network pods get: the last of two equal
//! keys counts, and so does a `Type` that is written with a capital.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::broken::{Broken, Runtimes};
use super::go_json::{Fields, fields, flags, is_true, text_field};
use super::list_text;
use super::list_version::{Version, Versions, supported, versions};
pub use super::name::Kind;
use crate::config::PLUGIN_TYPE;

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
    pub(super) versions: Versions,
    pub(super) plugins: Vec<Plugin>,
    /// Whether the plugins lie in the folder of the network's name.
    in_folder: bool,
    /// The types of those in that folder, beside the list's own, as far as they can
    /// be read. With CNI 1.1 they are called behind these.
    beside: Vec<Option<String>>,
}

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

    /// Reads a list. The plugins in `folder`, each a text, stand behind its own,
    /// or count alone (CNI 1.1).
    pub(crate) fn of_list(text: String, folder: &[String]) -> Result<Self, Broken> {
        let fields = fields(&text)?;
        let name = name(&fields)?;
        let versions = versions(&fields)?;
        flags(&fields)?;
        let Some(raw) = fields.get("plugins") else {
            if folder.is_empty() || is_true(&fields, "loadOnlyInlinedPlugins") {
                return Err(Broken::refused("has no list of plugins"));
            }
            let text = list_text::with_plugins(&text, folder);
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
        let counts = !is_true(&fields, "loadOnlyInlinedPlugins");
        let beside = folder.iter().filter(|_| counts).map(|text| kind_in_folder(text)).collect();
        Ok(Self { name, versions, plugins, in_folder: false, beside, text })
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

    /// The types of the plugins in the folder of the network's name, where the list
    /// has plugins of its own.
    pub(crate) fn kinds_beside(&self) -> impl Iterator<Item = &str> {
        self.beside.iter().flatten().map(String::as_str)
    }

    /// Whether one of these cannot be read. A runtime with CNI 1.1 then refuses the
    /// whole list.
    pub(crate) fn is_broken_beside(&self) -> bool {
        self.beside.contains(&None)
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
    /// another plugin. Other plugins may follow it.
    #[must_use]
    pub fn holds(&self, entry: &Map<String, Value>) -> bool {
        self.kinds().filter(|kind| *kind == PLUGIN_TYPE).count() == 1
            && self.kinds().next() != Some(PLUGIN_TYPE)
            && self.entry().as_ref() == Some(entry)
    }
}

/// The folder whose plugins belong to this list, as a name.
pub(crate) fn folder_of(text: &str) -> Option<String> {
    let fields = fields(text).ok()?;
    let name = name(&fields).ok()?;
    let is_name = !name.contains('/') && !matches!(name.as_str(), "." | "..");
    (is_name && !is_true(&fields, "loadOnlyInlinedPlugins")).then_some(name)
}

/// The type of a plugin in the folder of a network's name, if it can be read.
fn kind_in_folder(text: &str) -> Option<String> {
    let kind = plugin_kind(&fields(text).ok()?).ok()?;
    kind.filter(|kind| !kind.is_empty())
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
    Ok(list_text::list_of_single(&name, &version, text))
}

#[cfg(test)]
mod tests;
