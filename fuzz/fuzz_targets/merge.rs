//! The operator's settings beside MeshConfigs, with empty lines between them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use osm_cni::config::{Document, Entry};
use serde_json::{Map, Value};

fn merged(settings: &str, meshes: &[Document<'_>]) -> Option<Map<String, Value>> {
    let settings = Document { name: "settings", text: settings };
    let entry = Entry::from_documents(Some(settings), meshes).map_err(|error| error.to_string());
    let entry = entry.ok()?;
    let _ = entry.settings().check().map_err(|error| error.to_string());
    assert_eq!(entry.digest().len(), 12);
    Some(entry.to_plugin_json())
}

/// Whether a number in it may become its neighbour when it is read again, which
/// serde_json allows for fractions.
fn has_fraction(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_f64(),
        Value::Array(items) => items.iter().any(has_fraction),
        Value::Object(fields) => fields.values().any(has_fraction),
        _ => false,
    }
}

fuzz_target!(|text: &str| {
    let mut texts = text.split("\n\n");
    let settings = texts.next().unwrap_or_default();
    let meshes: Vec<_> = texts.take(3).map(|text| Document { name: "mesh", text }).collect();
    let Some(fields) = merged(settings, &meshes) else { return };
    // What the operator sets stays, and twice is once.
    if let Ok(Value::Object(own)) = serde_json::from_str(settings)
        && !own.contains_key("plugins")
        && !own.contains_key("kind")
    {
        for (name, value) in
            own.iter().filter(|(name, _)| *name != "type" && *name != "capabilities")
        {
            assert!(
                value.is_null() || value.is_object() || fields.get(name) == Some(value),
                "{name}"
            );
        }
    }
    let value = Value::Object(fields.clone());
    let again = merged(&value.to_string(), &meshes);
    assert!(has_fraction(&value) || again == Some(fields), "{again:?}");
});
