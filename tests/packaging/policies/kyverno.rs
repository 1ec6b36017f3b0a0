//! Reads the steps of a ClusterPolicy. Whatever has another form is refused.

use serde_json::Value;

use super::steps::{Condition, Step};

pub(super) fn steps(policy: &Value) -> Vec<Step> {
    let rules = policy["spec"]["rules"].as_array().expect("rules");
    assert!(rules.iter().all(|rule| rule["match"] == rules[0]["match"]), "one match for all");
    rules.iter().flat_map(rule).collect()
}

fn rule(rule: &Value) -> Vec<Step> {
    let outer = list(&rule["preconditions"]["all"]);
    let outer: Vec<Condition> = outer.iter().map(precondition).collect();
    let mutate = &rule["mutate"];
    if mutate["foreach"].is_null() {
        return vec![Step::new(outer, operations(&mutate["patchesJson6902"], ""))];
    }
    let each = |each: &Value| {
        let list_name = spec_list(each["list"].as_str().expect("a list"));
        let inner = list(&each["preconditions"]["all"]);
        assert_eq!(inner[0]["key"], "{{ element.name }}", "{rule}");
        assert_eq!(inner[0]["operator"], "Equals", "{rule}");
        let name = inner[0]["value"].as_str().expect("a name").to_owned();
        let mut conditions = outer.clone();
        conditions.push(Condition::Has { list: list_name.clone(), name: name.clone() });
        for one in &inner[1..] {
            let key = one["key"].as_str().expect("a key");
            let field = key.strip_prefix("{{ element.").and_then(|rest| rest.split_once(' '));
            let field = field.unwrap_or_else(|| panic!("{key}")).0.replace('.', "/");
            assert_eq!(
                (&one["operator"], &one["value"]),
                (&"NotEquals".into(), &"".into()),
                "{rule}"
            );
            conditions.push(Condition::Field {
                list: list_name.clone(),
                name: name.clone(),
                field: format!("/{field}"),
            });
        }
        Step::new(conditions, operations(&each["patchesJson6902"], &name))
    };
    list(&mutate["foreach"]).iter().map(each).collect()
}

/// `LIST` of `request.object.spec.LIST`, with whatever comes behind it.
fn spec_list(expression: &str) -> String {
    let rest = expression.split_once("request.object.spec.").expect("a list of the spec").1;
    rest.split(|c: char| !c.is_ascii_alphabetic()).next().expect("a name").to_owned()
}

fn precondition(one: &Value) -> Condition {
    let name = one["key"].as_str().expect("a name").to_owned();
    let value = one["value"].as_str().expect("an expression");
    assert!(value.contains("[].name"), "{value}");
    let list = spec_list(value);
    match one["operator"].as_str() {
        Some("AnyIn") => Condition::Has { list, name },
        Some("AnyNotIn") => Condition::Lacks { list, name },
        other => panic!("unknown operator {other:?}"),
    }
}

fn operations(patch: &Value, element: &str) -> Vec<Value> {
    let text = patch.as_str().expect("a patch");
    let named = text.replace("{{elementIndex}}", &format!("{{{element}}}"));
    serde_norway::from_str(&named).unwrap_or_else(|error| panic!("{error}: {named}"))
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}
