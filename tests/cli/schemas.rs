//! What is printed for programs is as the schemas in `conf/` say. Those of
//! `inspect` and of `audit` are held to real pods in `cli::inspect`, `node::audit`
//! and `containerd::audit`, that of the settings in `contract::schema`.

use serde_json::{Value, json};

use super::{argument, osm_cni, osm_cni_line, settings};
use crate::support::host;
use crate::support::schema::{named, problems};

#[test]
fn every_output_for_programs_and_the_settings_have_a_schema_with_an_id() {
    let all: Vec<_> = host::names_in(&host::repository().join("conf"))
        .into_iter()
        .filter_map(|name| name.strip_suffix(".schema.json").map(str::to_owned))
        .collect();
    let verbs: Vec<_> = super::manners::VERBS
        .into_iter()
        .filter(|verb| {
            let help = osm_cni(&[verb, "--help"]).stdout;
            let output = help.split("--output").nth(1).unwrap_or_default();
            let row = output.split("\n  -").next().unwrap_or_default();
            row.contains("json")
        })
        .collect();
    assert_eq!(verbs, ["audit", "inspect", "render", "explain"]);
    for name in verbs {
        assert!(all.iter().any(|it| it == name), "conf/{name}.schema.json is missing");
    }
    for name in &all {
        let subject = if name == "osm-cni" { "settings" } else { name };
        let schema = named(name);
        assert_eq!(schema["$id"], format!("urn:osm-cni:schema:{subject}"));
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema", "{name}");
        assert!(schema["title"].is_string(), "{name}");
    }
}

#[test]
fn render_and_explain_print_what_their_schemas_say() {
    let (render, explain) = (named("render"), named("explain"));
    let lists = json!({
        "outboundIPRangeExclusionList": ["1.1.1.1/32", "2001:db8::/32"],
        "outboundPortExclusionList": [6379, "8000-8010"],
        "outboundUIDExclusionList": [0, 1337],
        "networkInterfaceExclusionList": ["net1", "tap+"],
    });
    for settings_of_mesh in [
        json!({}),
        json!({"ruleset": "osm-v1", "ipv6": "redirect", "traffic": lists}),
        json!({"ruleset": "fsm", "ipv6": "reject", "traffic": lists, "excludedNamespaces": ["x"]}),
        json!({"sidecar": {"localProxyMode": "PodIP"}, "unknown": 1}),
    ] {
        let file = settings(&settings_of_mesh);
        let config = format!("--config {} --pod-ip 10.0.0.7", argument(file.path()));
        for pod in ["", "--no-sidecar", "--namespace x", "--annotation sidecar-injection=no"] {
            let json = |line: String| -> Value {
                let run = osm_cni_line(&line);
                assert_eq!(run.status, Some(0), "{line}: {run:?}");
                serde_json::from_str(&run.stdout).expect("JSON")
            };
            let rendered = json(format!("render -o json {config} {pod}"));
            assert_eq!(problems(&render, &rendered), [""; 0], "{rendered}");
            for connection in [
                "--direction outbound --dst 1.1.1.1:443",
                "--direction outbound --dst 10.9.9.9:8005 --uid 1500",
                "--direction outbound --dst [2001:db9::1]:80",
                "--direction outbound --dst 127.0.0.1:80 --uid 1500",
                "--direction inbound --dst 10.0.0.7:80",
            ] {
                let explained = json(format!("explain -o json {connection} {config} {pod}"));
                assert_eq!(problems(&explain, &explained), [""; 0], "{explained}");
            }
        }
    }
    // The check itself can say no.
    let wrong = json!({"decision": "redirected: x", "tables": {}});
    assert!(problems(&render, &wrong).len() > 2);
}
