//! The operator's settings beside MeshConfigs: what each of them gives, whatever
//! stands in the other.

use osm_cni::config::{Document, Entry};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

use super::{cases, json, text};

/// Fields that either may have.
const FIELDS: [(&str, &str); 5] = [
    ("traffic", "outboundPortExclusionList"),
    ("traffic", "inboundPortExclusionList"),
    ("traffic", "outboundIPRangeExclusionList"),
    ("traffic", "networkInterfaceExclusionList"),
    ("sidecar", "localProxyMode"),
];

/// A value that is plausible, or none.
fn value() -> impl Strategy<Value = Value> {
    let plausible = [
        json!([]),
        json!([80, "8000-8010"]),
        json!(["10.0.0.0/8"]),
        json!("PodIP"),
        json!(null),
        json!([70_000]),
    ];
    prop_oneof![4 => select(plausible.to_vec()), 1 => json()]
}

/// An object with `traffic` and `sidecar`, either of which may be odd.
fn parts() -> impl Strategy<Value = Map<String, Value>> {
    let fields = proptest::collection::vec((select(&FIELDS[..]), value()), 0..6);
    let odd = proptest::option::weighted(0.2, (select(&["traffic", "sidecar"][..]), json()));
    (fields, odd).prop_map(|(fields, odd)| {
        let mut parts = Map::new();
        for ((part, field), value) in fields {
            let part = parts.entry(part).or_insert_with(|| json!({}));
            part[field] = value;
        }
        parts.extend(odd.map(|(part, value)| (part.to_owned(), value)));
        parts
    })
}

fn operator() -> impl Strategy<Value = Map<String, Value>> {
    let mesh =
        select(vec![json!(null), json!("osm"), json!("fsm"), json!(["fsm", "osm"]), json!(7)]);
    let others = proptest::collection::vec(
        (select(&["ipv6", "ruleset", "meshes", "proxy", "x"][..]), prop_oneof![value(), json()]),
        0..3,
    );
    (parts(), mesh, others).prop_map(|(mut fields, mesh, others)| {
        if !mesh.is_null() {
            fields.insert("mesh".to_owned(), mesh);
        }
        fields.extend(others.into_iter().map(|(name, value)| (name.to_owned(), value)));
        fields
    })
}

fn mesh_config() -> impl Strategy<Value = String> {
    let version = select(
        &[
            "config.openservicemesh.io/v1alpha1",
            "config.openservicemesh.io/v1alpha2",
            "config.flomesh.io/v1alpha3",
            "config.flomesh.io/v9",
            "v1",
        ][..],
    );
    let config = (parts(), version).prop_map(|(spec, version)| {
        json!({"apiVersion": version, "kind": "MeshConfig", "spec": spec}).to_string()
    });
    prop_oneof![9 => config, 1 => text()]
}

/// The fields of `traffic` and `sidecar` that an object has.
fn fields_of(object: &Map<String, Value>) -> Vec<(&str, &str, &Value)> {
    let of = |part: &'static str| {
        let fields = object.get(part).and_then(Value::as_object).into_iter().flatten();
        let given = fields.filter(|(_, value)| !value.is_null());
        given.map(move |(name, value)| (part, name.as_str(), value))
    };
    of("traffic").chain(of("sidecar")).collect()
}

proptest! {
    #![proptest_config(cases(500))]

    #[test]
    fn what_the_operator_sets_wins_and_nothing_is_invented(
        operator in operator(),
        mesh_configs in proptest::collection::vec(mesh_config(), 0..3),
    ) {
        let documents: Vec<_> =
            mesh_configs.iter().map(|text| Document { name: "mesh.json", text }).collect();
        let merged = |fields: &Map<String, Value>| {
            let text = Value::Object(fields.clone()).to_string();
            Entry::from_documents(Some(Document { name: "settings.json", text: &text }), &documents)
        };
        let entry = match merged(&operator) {
            Ok(entry) => entry,
            Err(error) => {
                let message = error.to_string();
                prop_assert!(["settings.json", "mesh.json"].contains(&&*message), "{}", message);
                return Ok(());
            }
        };
        let fields = entry.to_plugin_json();
        for (name, value) in operator.iter().filter(|(_, value)| !value.is_object()) {
            prop_assert!(value.is_null() || fields.get(name) == Some(value), "{}", name);
        }
        for (part, name, value) in fields_of(&operator) {
            prop_assert_eq!(fields[part].get(name), Some(value), "{}.{}", part, name);
        }
        let theirs: Vec<Value> =
            mesh_configs.iter().filter_map(|text| serde_json::from_str(text).ok()).collect();
        for (part, name, value) in fields_of(&fields) {
            let own = operator.get(part).and_then(|part| part.get(name)) == Some(value);
            let given = theirs.iter().any(|config| config["spec"][part].get(name) == Some(value));
            prop_assert!(own || given, "{}.{} comes from nowhere: {}", part, name, value);
        }
        // Twice is once.
        let again = merged(&fields).expect("what is merged can be read").to_plugin_json();
        prop_assert_eq!(again, fields);
        let _ = entry.settings().check().map_err(|error| error.to_string());
        prop_assert_eq!(entry.digest().len(), 12);
    }
}
