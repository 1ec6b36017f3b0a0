//! Reads the steps of a MutatingAdmissionPolicy from the text of its expressions:
//! `CONDITION && … ? [JSONPatch{…}, …] : []`. Whatever has another form is refused.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use super::steps::{Condition, Step};

pub(super) fn steps(policy: &Value) -> Vec<Step> {
    let mutations = policy["spec"]["mutations"].as_array().expect("mutations");
    mutations.iter().map(step).collect()
}

fn step(mutation: &Value) -> Step {
    assert_eq!(mutation["patchType"], "JSONPatch");
    let text = mutation["jsonPatch"]["expression"].as_str().expect("an expression");
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (conditions, rest) = text.split_once(" ? ").unwrap_or_else(|| panic!("no ? in {text}"));
    let patch = rest.strip_suffix(" : []").unwrap_or_else(|| panic!("no : [] in {text}"));
    let step = Step::new(conjunction(conditions), operations(patch));
    // What a path looks up must be there, or the policy fails.
    for name in looked_up(patch) {
        let sought =
            |one: &Condition| matches!(one, Condition::Has { name: it, .. } if *it == name);
        assert!(step.conditions.iter().any(sought), "{name} is not asked for: {text}");
    }
    step
}

/// The terms between `&&`, those inside parentheses aside.
fn conjunction(text: &str) -> Vec<Condition> {
    let mut terms = vec![String::new()];
    let mut depth = 0;
    for word in text.split(' ') {
        if word == "&&" && depth == 0 {
            terms.push(String::new());
            continue;
        }
        depth += word.matches('(').count();
        depth -= word.matches(')').count();
        let term = terms.last_mut().expect("a term");
        term.push_str(word);
        term.push(' ');
    }
    terms.iter().flat_map(|term| condition(term.trim())).collect()
}

/// `object.spec.LIST.exists(c, c.name == "NAME")`, with `!` before it, with an
/// optional LIST, or with `&& has(c.FIELD) && has(c.FIELD.FIELD)` inside.
fn condition(text: &str) -> Vec<Condition> {
    static FORM: LazyLock<Regex> = LazyLock::new(|| {
        let list = r"(!?)object\.spec\.(?:\?(\w+)\.orValue\(\[\]\)|(\w+))";
        let has = r"(?: && has\(\w\.(\w+)\) && has\(\w\.(\w+)\.(\w+)\))?";
        Regex::new(&format!(r#"^{list}\.exists\(\w, \w\.name == "([\w-]+)"{has}\)$"#))
            .expect("a regex")
    });
    let parts =
        FORM.captures(text).unwrap_or_else(|| panic!("a condition of another form: {text}"));
    let part = |at: usize| parts.get(at).map_or("", |part| part.as_str());
    let (list, name) = (format!("{}{}", part(2), part(3)), part(4).to_owned());
    if part(1) == "!" {
        return vec![Condition::Lacks { list, name }];
    }
    let mut conditions = vec![Condition::Has { list: list.clone(), name: name.clone() }];
    if !part(5).is_empty() {
        assert_eq!(part(5), part(6), "{text}");
        let field = format!("/{}/{}", part(6), part(7));
        conditions.push(Condition::Field { list, name, field });
    }
    conditions
}

const INDEX: &str = ".map(c, c.name).indexOf(\"";

fn looked_up(text: &str) -> Vec<String> {
    text.split(INDEX)
        .skip(1)
        .map(|rest| rest.split('"').next().expect("a name").to_owned())
        .collect()
}

/// An object of CEL is one of YAML, without its type's name.
fn operations(text: &str) -> Vec<Value> {
    let mut text = text.to_owned();
    let begin = "\" + string(object.spec.";
    while let Some((front, rest)) = text.split_once(begin) {
        let (list, rest) = rest.split_once(INDEX).expect("an index");
        let (name, rest) = rest.split_once("\"))").expect("the end of an index");
        assert!(front.ends_with(&format!("/spec/{list}/")), "{front}: another list than {list}");
        let rest = match rest.strip_prefix(" + \"") {
            Some(rest) => rest.to_owned(),
            None => format!("\"{rest}"),
        };
        text = format!("{front}{{{name}}}{rest}");
    }
    let mut yaml = String::new();
    let mut rest = text.as_str();
    while let Some(c) = rest.chars().next() {
        if rest.starts_with("Object") || rest.starts_with("JSONPatch") {
            rest = &rest[rest.find('{').expect("an object")..];
            continue;
        }
        yaml.push(c);
        rest = &rest[c.len_utf8()..];
    }
    serde_norway::from_str(&yaml).unwrap_or_else(|error| panic!("{error}: {yaml}"))
}
