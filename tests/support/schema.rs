//! JSON Schema, as much of it as the schemas in `conf/` use; a keyword that is
//! not known here fails, so that none is ignored.

use regex::Regex;
use serde_json::{Map, Value};

use super::host;

/// The fields of our entry in a conflist that are the runtime's, no settings.
const RUNTIME: [&str; 9] = [
    "type",
    "capabilities",
    "cniVersion",
    "name",
    "args",
    "dns",
    "ipMasq",
    "prevResult",
    "runtimeConfig",
];

/// The schema `conf/NAME.schema.json`.
pub(crate) fn named(name: &str) -> Value {
    let path = host::repository().join(format!("conf/{name}.schema.json"));
    let text = std::fs::read_to_string(&path);
    let text = text.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The settings in the schema of our entry, by name.
pub(crate) fn settings(entry: &Value) -> Map<String, Value> {
    let mut fields = entry["properties"].as_object().expect("properties").clone();
    fields.retain(|name, _| !RUNTIME.contains(&name.as_str()));
    fields
}

/// What in a document is not as the schema says, with its place.
pub(crate) fn problems(schema: &Value, document: &Value) -> Vec<String> {
    let mut found = Vec::new();
    check(schema, schema, document, "$", &mut found);
    found
}

fn check(root: &Value, schema: &Value, value: &Value, place: &str, found: &mut Vec<String>) {
    for (keyword, wanted) in schema.as_object().expect("a schema is an object") {
        match keyword.as_str() {
            "$id" | "$schema" | "$defs" | "title" | "description" | "default" => {}
            "$ref" => {
                let path = wanted.as_str().expect("a reference").trim_start_matches('#');
                let target = root.pointer(path).unwrap_or_else(|| panic!("no {path}"));
                check(root, target, value, place, found);
            }
            "type" => {
                let is_one = match wanted {
                    Value::Array(all) => all.iter().any(|kind| is(value, kind)),
                    kind => is(value, kind),
                };
                if !is_one {
                    found.push(format!("{place}: {value} is no {wanted}"));
                }
            }
            "enum" => {
                if !wanted.as_array().expect("a list").contains(value) {
                    found.push(format!("{place}: {value} is none of {wanted}"));
                }
            }
            "const" => {
                if value != wanted {
                    found.push(format!("{place}: {value} is not {wanted}"));
                }
            }
            "anyOf" => {
                let fits = |schema| {
                    let mut problems = Vec::new();
                    check(root, schema, value, place, &mut problems);
                    problems.is_empty()
                };
                if !wanted.as_array().expect("a list").iter().any(fits) {
                    found.push(format!("{place}: {value} is none of what it may be"));
                }
            }
            "pattern" => {
                let pattern = Regex::new(wanted.as_str().expect("a pattern")).expect("a pattern");
                if value.as_str().is_some_and(|text| !pattern.is_match(text)) {
                    found.push(format!("{place}: {value} does not match {wanted}"));
                }
            }
            "minItems" => {
                let least = wanted.as_u64().expect("a number") as usize;
                if value.as_array().is_some_and(|items| items.len() < least) {
                    found.push(format!("{place}: fewer than {least} items"));
                }
            }
            "minLength" => {
                let length = value.as_str().map(|text| text.chars().count() as u64);
                if length < wanted.as_u64() && length.is_some() {
                    found.push(format!("{place}: {value} is too short"));
                }
            }
            "maximum" => {
                if value.as_f64() > wanted.as_f64() {
                    found.push(format!("{place}: {value} is more than {wanted}"));
                }
            }
            "minimum" => {
                if value.as_f64().is_some_and(|number| Some(number) < wanted.as_f64()) {
                    found.push(format!("{place}: {value} is less than {wanted}"));
                }
            }
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    check(root, wanted, item, &format!("{place}[{index}]"), found);
                }
            }
            "required" => {
                let Some(object) = value.as_object() else { continue };
                for name in wanted.as_array().expect("a list") {
                    if !object.contains_key(name.as_str().expect("a name")) {
                        found.push(format!("{place}: {name} is missing"));
                    }
                }
            }
            "properties" | "additionalProperties" => {
                properties(root, schema, keyword, value, place, found);
            }
            other => panic!("the schema uses {other}, which this check does not know"),
        }
    }
}

fn properties(
    root: &Value,
    schema: &Value,
    keyword: &str,
    value: &Value,
    place: &str,
    found: &mut Vec<String>,
) {
    let named = schema["properties"].as_object();
    for (name, field) in value.as_object().into_iter().flatten() {
        let place = format!("{place}.{name}");
        let known = named.and_then(|named| named.get(name));
        match (keyword, known, &schema["additionalProperties"]) {
            ("properties", Some(wanted), _) => check(root, wanted, field, &place, found),
            ("additionalProperties", None, Value::Bool(false)) => {
                found.push(format!("{place} is not known"));
            }
            ("additionalProperties", None, wanted @ Value::Object(_)) => {
                check(root, wanted, field, &place, found);
            }
            _ => {}
        }
    }
}

fn is(value: &Value, kind: &Value) -> bool {
    match kind.as_str().expect("a type's name") {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "integer" => value.is_u64() || value.is_i64(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("no type {other}"),
    }
}
