//! The texts of lists that this program makes: of a single plugin, of the plugins
//! in a folder, and with another version. Pure.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::RawValue;

/// The list that runtimes make of a single plugin.
pub(super) fn list_of_single(name: &str, version: &str, plugin: &str) -> String {
    let plugin = plugin.trim().replace('\n', "\n    ");
    let (name, version) = (Value::from(name), Value::from(version));
    format!(
        "{{\n  \"cniVersion\": {version},\n  \"name\": {name},\n  \"plugins\": [\n    {plugin}\n  ]\n}}\n"
    )
}

/// A list without plugins of its own, with these. `loadOnlyInlinedPlugins` keeps
/// the runtime from adding those of the folder again.
pub(super) fn with_plugins(text: &str, plugins: &[String]) -> String {
    let end = text.trim_end().len().saturating_sub(1);
    let head = text[..end].trim_end();
    let comma = if head.ends_with('{') { "" } else { "," };
    let plugins: Vec<String> =
        plugins.iter().map(|plugin| plugin.trim().replace('\n', "\n    ")).collect();
    let plugins = plugins.join(",\n    ");
    format!(
        "{head}{comma}\n  \"loadOnlyInlinedPlugins\": true,\n  \"plugins\": [\n    {plugins}\n  ]\n}}\n"
    )
}

/// A JSON object's text with this `cniVersion`, in place of one that it has, or at
/// its beginning.
pub(super) fn with_version(text: &str, version: &str) -> String {
    let version = Value::from(version);
    let fields: BTreeMap<String, &RawValue> = serde_json::from_str(text).unwrap_or_default();
    let mut edited = text.to_owned();
    if let Some(old) = fields.get("cniVersion").map(|raw| raw.get()) {
        // A borrowed raw value is a slice of the text that it was read from.
        let start = old.as_ptr() as usize - text.as_ptr() as usize;
        edited.replace_range(start..start + old.len(), &version.to_string());
    } else if let Some(begin) = text.find('{') {
        let rest = &text[begin + 1..];
        let whitespace = &rest[..rest.len() - rest.trim_start().len()];
        edited.insert_str(begin + 1, &format!("{whitespace}\"cniVersion\": {version},"));
    }
    edited
}
