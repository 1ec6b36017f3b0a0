//! What a policy does, in one form for both kinds of policies, and done to a pod.
//! Paths name containers where JSON Patch has an index: `/spec/containers/{envoy}`.

use serde_json::Value;

/// One change of a pod: conditions, all of which must hold, and the operations.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Step {
    /// Sorted, without duplicates.
    pub(super) conditions: Vec<Condition>,
    pub(super) patch: Vec<Value>,
}

/// A condition on a list of containers or volumes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Condition {
    /// An element of the list has the name.
    Has { list: String, name: String },
    /// None has.
    Lacks { list: String, name: String },
    /// The element of the name has the field, by a JSON pointer.
    Field { list: String, name: String, field: String },
}

impl Step {
    pub(super) fn new(mut conditions: Vec<Condition>, patch: Vec<Value>) -> Self {
        conditions.sort();
        conditions.dedup();
        Step { conditions, patch }
    }

    pub(super) fn apply(&self, pod: &mut Value) {
        if self.conditions.iter().all(|condition| condition.holds(pod)) {
            let before = pod.clone();
            for operation in &self.patch {
                change(pod, operation, &before);
            }
        }
    }
}

impl Condition {
    fn holds(&self, pod: &Value) -> bool {
        match self {
            Condition::Has { list, name } => index(pod, list, name).is_some(),
            Condition::Lacks { list, name } => index(pod, list, name).is_none(),
            Condition::Field { list, name, field } => index(pod, list, name)
                .is_some_and(|at| pod["spec"][list][at].pointer(field).is_some()),
        }
    }
}

fn index(pod: &Value, list: &str, name: &str) -> Option<usize> {
    pod["spec"][list].as_array()?.iter().position(|one| one["name"] == name)
}

/// One operation of JSON Patch. Names stand for indices as they were before the
/// first operation of the step.
fn change(pod: &mut Value, operation: &Value, before: &Value) {
    let pointer = |field: &str| resolved(operation[field].as_str().expect("a path"), before);
    let (parent, key) = split(&pointer("path"));
    let value = match operation["op"].as_str() {
        Some("remove") => return drop(take(pod, &pointer("path"))),
        Some("move") => take(pod, &pointer("from")),
        Some("add" | "replace") => operation["value"].clone(),
        other => panic!("unknown operation {other:?}"),
    };
    if operation["op"] == "replace" {
        take(pod, &pointer("path"));
    }
    match pod.pointer_mut(&parent).unwrap_or_else(|| panic!("{parent} is not there")) {
        Value::Array(list) => list.insert(key.parse().expect("an index"), value),
        Value::Object(fields) => drop(fields.insert(key, value)),
        other => panic!("{parent} is {other}"),
    }
}

fn take(pod: &mut Value, pointer: &str) -> Value {
    let (parent, key) = split(pointer);
    match pod.pointer_mut(&parent).unwrap_or_else(|| panic!("{parent} is not there")) {
        Value::Array(list) => list.remove(key.parse().expect("an index")),
        Value::Object(fields) => fields.remove(&key).unwrap_or_else(|| panic!("no {pointer}")),
        other => panic!("{parent} is {other}"),
    }
}

fn split(pointer: &str) -> (String, String) {
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
    (parent.to_owned(), key.to_owned())
}

fn resolved(path: &str, pod: &Value) -> String {
    let Some((front, rest)) = path.split_once('{') else { return path.to_owned() };
    let (name, rest) = rest.split_once('}').expect("the name's end");
    let list = front.trim_end_matches('/').rsplit_once('/').expect("a list").1;
    let at = index(pod, list, name).unwrap_or_else(|| panic!("{list} has no {name}"));
    format!("{front}{at}{rest}")
}
