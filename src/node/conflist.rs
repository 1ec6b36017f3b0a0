//! What a CNI network configuration says, and the splicing of our entry into
//! its text and out again. Pure: text in, text out; no files, no clock.
//!
//! Configurations belong to their agents: all bytes but those of our own entry
//! stay as they are. So nothing is printed anew; the places of the plugins are
//! found in the text, and our entry is put behind the last one.

use std::ops::Range;

use semver::Version;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// The `type` of our entry, which is also the name of the plugin's binary.
pub const OUR_TYPE: &str = "osm-cni";

/// The CNI versions that our plugin answers, oldest first.
const SPOKEN: [&str; 5] = ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"];

/// What a file of the configuration directory holds, which its name tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `*.conflist`: a list of plugins.
    List,
    /// `*.conf` and `*.json`: a single plugin.
    Single,
}

impl Kind {
    /// The kind by the file name's last extension; `None` for names that
    /// runtimes do not look at.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        match name.rsplit_once('.')?.1 {
            "conflist" => Some(Self::List),
            "conf" | "json" => Some(Self::Single),
            _ => None,
        }
    }
}

/// Why a text is no network configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Broken(String);

impl Broken {
    /// A file whose text could not even be had.
    pub(super) fn unreadable(reason: &str) -> Self {
        Self::new(format!("cannot be read: {reason}"))
    }

    fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

#[derive(Deserialize)]
struct Head<'t> {
    #[serde(rename = "cniVersion")]
    version: Option<String>,
    name: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(borrow)]
    plugins: Option<Vec<&'t RawValue>>,
}

#[derive(Deserialize)]
struct PluginHead {
    #[serde(rename = "type")]
    kind: Option<String>,
}

#[derive(Debug, Clone)]
struct Plugin {
    kind: String,
    /// Where the plugin's object lies in the text.
    span: Range<usize>,
}

/// A network configuration that was understood, with its text.
#[derive(Debug, Clone)]
pub struct Network {
    text: String,
    name: String,
    version: Version,
    plugins: Vec<Plugin>,
}

impl Network {
    /// Reads a configuration. A single plugin is read as the list that a
    /// runtime makes of it, so that it has the same operations.
    ///
    /// # Errors
    /// What is wrong with the text, without the file's name.
    pub fn parse(kind: Kind, text: &str) -> Result<Self, Broken> {
        match kind {
            Kind::List => Self::parse_list(text.to_owned()),
            Kind::Single => Self::parse_list(list_of_single(text)?),
        }
    }

    fn parse_list(text: String) -> Result<Self, Broken> {
        let head: Head<'_> = read(&text)?;
        let name = name_of(head.name)?;
        let version = version_of(head.version.as_deref())?;
        let raw = head.plugins.ok_or_else(|| Broken::new("has no list of plugins"))?;
        if raw.is_empty() {
            return Err(Broken::new("its list of plugins is empty"));
        }
        let plugins = raw
            .into_iter()
            .enumerate()
            .map(|(index, plugin)| plugin_of(&text, index, plugin))
            .collect::<Result<_, _>>()?;
        Ok(Self { text, name, version, plugins })
    }

    /// The network's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The list's text; for a single plugin, of the list made of it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The list's `cniVersion`.
    #[must_use]
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// Whether our plugin answers calls of this list's `cniVersion`.
    #[must_use]
    pub fn is_spoken(&self) -> bool {
        let version = self.version.to_string();
        SPOKEN.contains(&version.as_str())
    }

    /// Whether this can be the network that pods get: more than loopback and
    /// us, and not older than the first version with chained results.
    #[must_use]
    pub fn can_be_primary(&self) -> bool {
        self.version >= Version::new(0, 3, 0)
            && self
                .plugins
                .iter()
                .any(|plugin| plugin.kind != OUR_TYPE && plugin.kind != "loopback")
    }

    /// Whether Multus is in the list: it delegates to another configuration of
    /// the same directory.
    #[must_use]
    pub fn is_multus(&self) -> bool {
        self.plugins.iter().any(|plugin| plugin.kind == "multus" || plugin.kind == "multus-shim")
    }

    /// Whether an entry of ours is in the list.
    #[must_use]
    pub fn has_ours(&self) -> bool {
        self.plugins.iter().any(|plugin| plugin.kind == OUR_TYPE)
    }

    /// Whether nothing but ours is in the list.
    #[must_use]
    pub fn is_ours_alone(&self) -> bool {
        self.plugins.iter().all(|plugin| plugin.kind == OUR_TYPE)
    }

    /// The first entry of ours.
    #[must_use]
    pub fn entry(&self) -> Option<Map<String, Value>> {
        let ours = self.plugins.iter().find(|plugin| plugin.kind == OUR_TYPE)?;
        serde_json::from_str(&self.text[ours.span.clone()]).ok()
    }

    /// Whether the list holds exactly this entry, whole, once, and behind
    /// another plugin. Others may have chained themselves behind us.
    #[must_use]
    pub fn holds(&self, entry: &Map<String, Value>) -> bool {
        let ours = self.plugins.iter().filter(|plugin| plugin.kind == OUR_TYPE).count();
        let first = self.plugins.first();
        ours == 1
            && first.is_some_and(|plugin| plugin.kind != OUR_TYPE)
            && self.entry().as_ref() == Some(entry)
    }

    /// The text with this entry at the list's end and no other of ours. A list
    /// without any other plugin stays as it is: ours is never alone in one.
    #[must_use]
    pub fn with_entry(&self, entry: &Map<String, Value>) -> String {
        let mut text = self.without_ours();
        let Ok(base) = Self::parse_list(text.clone()) else {
            return self.text.clone();
        };
        let Some(last) = base.plugins.last() else {
            return text;
        };
        let blank = blank_before(&base.text, last.span.start);
        let ours = format!(",{blank}{}", print(entry, blank));
        text.insert_str(last.span.end, &ours);
        text
    }

    /// The text without any entry of ours; the exact inverse of
    /// [`Self::with_entry`].
    #[must_use]
    pub fn without_ours(&self) -> String {
        let mut text = String::with_capacity(self.text.len());
        let mut copied = 0;
        for (index, plugin) in self.plugins.iter().enumerate() {
            if plugin.kind != OUR_TYPE {
                continue;
            }
            let cut = self.cut(index);
            text.push_str(&self.text[copied..cut.start]);
            copied = cut.end;
        }
        text.push_str(&self.text[copied..]);
        text
    }

    /// Whether, our entries aside, both say the same.
    #[must_use]
    pub fn same_but_ours(&self, other: &Self) -> bool {
        let value = |text: &str| serde_json::from_str::<Value>(text).ok();
        value(&self.without_ours()) == value(&other.without_ours())
    }

    /// The bytes that leave with a plugin: itself and the comma that ties it to
    /// its neighbour, with the blanks around the comma.
    fn cut(&self, index: usize) -> Range<usize> {
        let span = &self.plugins[index].span;
        let before = self.plugins[..index].iter().rev();
        let other_before = before.clone().any(|plugin| plugin.kind != OUR_TYPE);
        if other_before {
            return self.plugins[index - 1].span.end..span.end;
        }
        match self.plugins.get(index + 1) {
            Some(next) => span.start..next.span.start,
            None => span.clone(),
        }
    }
}

fn read<'t, T: Deserialize<'t>>(text: &'t str) -> Result<T, Broken> {
    if text.trim().is_empty() {
        return Err(Broken::new("is empty"));
    }
    serde_json::from_str(text).map_err(|error| Broken::new(error.to_string()))
}

fn name_of(name: Option<String>) -> Result<String, Broken> {
    name.filter(|name| !name.is_empty()).ok_or_else(|| Broken::new("has no network name"))
}

/// A missing version means 0.1.0 to every runtime.
fn version_of(version: Option<&str>) -> Result<Version, Broken> {
    let text = version.filter(|text| !text.is_empty()).unwrap_or("0.1.0");
    Version::parse(text).map_err(|_| Broken::new(format!("cniVersion {text} is no version")))
}

fn plugin_of(text: &str, index: usize, raw: &RawValue) -> Result<Plugin, Broken> {
    let object = raw.get();
    let head: PluginHead = serde_json::from_str(object)
        .map_err(|error| Broken::new(format!("plugins[{index}]: {error}")))?;
    let kind = head
        .kind
        .filter(|kind| !kind.is_empty())
        .ok_or_else(|| Broken::new(format!("plugins[{index}] has no type")))?;
    // A borrowed raw value is a slice of the text it was read from.
    let start = object.as_ptr() as usize - text.as_ptr() as usize;
    Ok(Plugin { kind, span: start..start + object.len() })
}

/// The list that runtimes make of a single plugin: its name and version, and
/// the plugin's own text as the only element.
fn list_of_single(text: &str) -> Result<String, Broken> {
    let head: Head<'_> = read(text)?;
    let name = name_of(head.name)?;
    let version = version_of(head.version.as_deref())?;
    if head.kind.is_none_or(|kind| kind.is_empty()) {
        return Err(Broken::new("has no plugin type"));
    }
    let plugin = text.trim().replace('\n', "\n    ");
    let name = Value::from(name);
    let version = Value::from(version.to_string());
    Ok(format!(
        "{{\n  \"cniVersion\": {version},\n  \"name\": {name},\n  \"plugins\": [\n    {plugin}\n  ]\n}}\n"
    ))
}

/// The blanks before a position.
fn blank_before(text: &str, position: usize) -> &str {
    let head = &text[..position];
    &head[head.trim_end().len()..]
}

/// Our entry, laid out as its neighbours: in one line, or over several.
fn print(entry: &Map<String, Value>, blank: &str) -> String {
    let Some((_, indent)) = blank.rsplit_once('\n') else {
        return Value::Object(entry.clone()).to_string();
    };
    let pretty = format!("{:#}", Value::Object(entry.clone()));
    let unit = if indent.contains('\t') { "\t" } else { "  " };
    let mut text = String::with_capacity(pretty.len() * 2);
    for (number, line) in pretty.lines().enumerate() {
        let body = line.trim_start();
        if number > 0 {
            text.push('\n');
            text.push_str(indent);
        }
        text.push_str(&unit.repeat((line.len() - body.len()) / 2));
        text.push_str(body);
    }
    text
}
