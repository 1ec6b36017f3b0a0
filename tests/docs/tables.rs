//! The reference pages name everything that the program has.

use osm_cni::pod::ANNOTATIONS;
use serde_json::{Value, json};

use super::{Page, root};
use crate::support::plugin::Call;
use crate::support::schema;

#[test]
fn every_setting_is_described() {
    let page = Page::read("docs/settings.md");
    let named = |name: &str| {
        page.text.contains(&format!("`{name}")) || page.text.contains(&format!(".{name}`"))
    };
    let schema = schema::named("osm-cni");
    for (name, field) in &schema::settings(&schema) {
        assert!(named(name), "docs/settings.md does not name {name}");
        let definition = field["$ref"].as_str().and_then(|it| it.strip_prefix("#/$defs/"));
        let field = definition.map_or(field, |name| &schema["$defs"][name]);
        let inner = field["properties"].as_object();
        for inner in inner.into_iter().flatten().map(|(inner, _)| inner) {
            assert!(named(inner), "docs/settings.md does not name {name}.{inner}");
        }
    }
}

#[test]
fn every_annotation_is_described() {
    let page = Page::read("docs/annotations.md");
    for name in ANNOTATIONS {
        assert!(page.text.contains(&format!("| `{name}` |")), "the table lacks {name}");
        let frozen = page.text.contains(&format!("\"{name}\""));
        assert!(frozen, "the policy lets {name} change on a running pod");
    }
}

#[test]
fn every_code_that_a_call_answers_has_a_section() {
    let anchors = Page::read("docs/errors.md").anchors();
    for code in [1, 4, 5, 6, 7, 50, 100, 101, 102, 103, 104, 199, 95, 96] {
        assert!(anchors.contains(&code.to_string()), "docs/errors.md has no section {code}");
    }
    let enabled = json!({"openservicemesh.io/sidecar-injection": "enabled"});
    let conf = |annotations: &Value| {
        json!({
            "cniVersion": "1.0.0", "name": "rignet", "type": "osm-cni", "logFile": "",
            "sidecarVolumes": [], "prevResult": {"cniVersion": "1.0.0"},
            "runtimeConfig": {"io.kubernetes.cri.pod-annotations": annotations},
        })
    };
    let with = |change: fn(&mut Value)| {
        let mut conf = conf(&enabled);
        change(&mut conf);
        Call::new("ADD", &conf)
    };
    let wrong = json!({"openservicemesh.io/sidecar-injection": "perhaps"});
    let calls = [
        (1, with(|conf| conf["cniVersion"] = json!("0.1.0"))),
        (4, with(|_| ()).without("CNI_IFNAME")),
        (5, with(|_| ()).env("CNI_NETNS", "/nonexistent/netns")),
        (6, with(|_| ()).stdin("[]")),
        (7, with(|conf| conf["prevResult"] = Value::Null)),
        (7, with(|conf| conf["traffic"] = json!({"outboundPortExclusionList": [70000]}))),
        (100, Call::new("ADD", &conf(&wrong))),
        (101, with(|_| ()).env("CNI_NETNS", "/etc/hostname")),
        (
            104,
            with(|conf| {
                conf["runtimeConfig"] = json!({});
                conf["meshNamespaces"] = json!(["*"]);
            }),
        ),
    ];
    for (code, call) in calls {
        let _ = call.run().error(code);
    }
}

/// The longest part of a quoted message that stands for itself: without the names in
/// capitals that stand for values, and without what is left out.
fn fixed_part(message: &str) -> &str {
    let message = message.trim_start_matches("cannot ");
    let parts = message.split(|c: char| c.is_ascii_uppercase() || c == '…');
    parts.map(str::trim).max_by_key(|part| part.len()).unwrap_or_default()
}

#[test]
fn every_message_that_errors_md_quotes_is_in_the_program() {
    let page = Page::read("docs/errors.md");
    let program = sources(&root().join("src"));
    let program = program.replace("\\\n", " ").split_whitespace().collect::<Vec<_>>().join(" ");
    let mut count = 0;
    for line in page.prose() {
        let cell = line.strip_prefix("| `").and_then(|rest| rest.split_once("` |"));
        let Some((message, _)) = cell else { continue };
        let part = fixed_part(message);
        assert!(program.contains(part), "no message has {part:?}, quoted as {message:?}");
        count += 1;
    }
    assert!(count > 5, "messages are found");
}

/// The text of every Rust file below a directory.
fn sources(directory: &std::path::Path) -> String {
    let entries = std::fs::read_dir(directory).expect("a directory");
    let texts = entries.map(|entry| {
        let path = entry.expect("an entry").path();
        match (path.is_dir(), path.extension()) {
            (true, _) => sources(&path),
            (false, Some(end)) if end == "rs" => std::fs::read_to_string(&path).expect("text"),
            _ => String::new(),
        }
    });
    texts.collect()
}

#[test]
fn every_test_that_security_md_names_is_there() {
    let all = sources(&root().join("tests")) + &sources(&root().join("src"));
    let spans = Page::read("SECURITY.md").code_spans();
    let named: Vec<_> = spans.iter().filter_map(|span| span.rsplit_once("::")).collect();
    assert!(named.len() > 20, "tests are named");
    for (module, name) in named {
        assert!(all.contains(&format!("fn {name}(")), "no test {module}::{name}");
    }
}
