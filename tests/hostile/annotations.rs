//! Annotations, `CNI_ARGS` and settings one by one.

use std::collections::BTreeMap;

use osm_cni::config::{Entry, Ipv6Mode, Settings};
use osm_cni::pod::{ANNOTATIONS, Annotations, PodAddresses, PodUid};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{cases, damage, damaged, json, text};

const PREFIX: &str = "openservicemesh.io";

/// Whatever it is that is wrong, the message is one short line.
fn is_presentable(message: &str) -> bool {
    message.chars().count() < 400 && !message.contains(osm_cni::sanitize::is_unprintable)
}

fn read(annotations: &Value) -> Result<usize, String> {
    let text = annotations.to_string();
    let all: BTreeMap<String, &RawValue> = serde_json::from_str(&text).expect("an object");
    let annotations = Annotations::passed(all);
    let _ = annotations.list_keys(PREFIX);
    annotations.injection(PREFIX).map_err(|error| error.to_string())?;
    let lists = annotations.lists(PREFIX, Ipv6Mode::Bypass).map_err(|error| error.to_string())?;
    Ok(lists.outbound_ports.len() + lists.inbound_ports.len() + lists.outbound_uids.len())
}

proptest! {
    #![proptest_config(cases(600))]

    #[test]
    fn any_annotation_is_read_or_named(value in json(), name in proptest::sample::select(&ANNOTATIONS[..])) {
        if let Err(message) = read(&json!({format!("{PREFIX}/{name}"): value})) {
            prop_assert!(message.contains(name) && is_presentable(&message), "{message:?}");
        }
    }

    #[test]
    fn any_text_in_an_annotation_is_read_or_named(value in text(), name in proptest::sample::select(&ANNOTATIONS[..])) {
        if let Err(message) = read(&json!({format!("{PREFIX}/{name}"): value})) {
            prop_assert!(message.contains(name) && is_presentable(&message), "{message:?}");
        }
    }

    /// Blanks around items and doubled items make no difference; what is a
    /// port is a port.
    #[test]
    fn well_formed_lists_are_read_whole(
        ports in vec((1u16.., 0u16..100), 1..40),
        uids in vec(0..u32::MAX, 1..40),
        blanks in "[ \t]{0,3}",
    ) {
        let range = |(first, more): &(u16, u16)| {
            format!("{blanks}{first}-{}{blanks}", first.saturating_add(*more))
        };
        let ports_text: Vec<String> = ports.iter().map(range).collect();
        let uids_text: Vec<String> = uids.iter().map(|uid| format!("{blanks}{uid}")).collect();
        let found = read(&json!({
            "openservicemesh.io/outbound-port-exclusion-list": ports_text.join(","),
            "openservicemesh.io/outbound-uid-exclusion-list": uids_text.join(","),
        }));
        prop_assert_eq!(found, Ok(ports.len() + uids.len()));
    }

    /// A pod's uid becomes part of a path on the node.
    #[test]
    fn a_uid_is_never_more_than_a_file_name(text in text()) {
        if let Some(uid) = PodUid::new(&text) {
            let name = uid.as_str();
            prop_assert!(!name.is_empty() && name.len() <= 255);
            prop_assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'));
        }
    }

    #[test]
    fn any_previous_result_has_addresses_or_none(result in json(), interface in text()) {
        let result = json!({"ips": result, "interfaces": [{"name": interface, "sandbox": "x"}]});
        let raw = serde_json::value::to_raw_value(&result).expect("JSON");
        let _ = PodAddresses::of_result(&raw, &interface);
    }

    #[test]
    fn any_settings_are_read_or_named(
        field in proptest::sample::select(vec![
            "ruleset", "traffic", "sidecar", "proxy", "ipv6", "meshNamespaces", "excludedNamespaces",
            "sidecarVolumes", "kubeletDir", "podExclusions", "annotationPrefix", "logLevel", "logFile", "logFormat", "mesh", "meshes",
        ]),
        value in json(),
    ) {
        let text = json!({field: value}).to_string();
        let fields: BTreeMap<String, &RawValue> = serde_json::from_str(&text).expect("an object");
        let settings = Settings::parse(fields);
        prop_assert_eq!(settings.digest().len(), 12);
        prop_assert!(settings.warnings.iter().all(|warning| is_presentable(warning)));
        if let Err(error) = settings.check() {
            let message = error.to_string();
            prop_assert!(message.starts_with(field) && is_presentable(&message), "{message:?}");
        }
    }

    #[test]
    fn damaged_settings_files_are_read_or_refused(damage in damage()) {
        let bytes = damaged(include_str!("../../conf/settings.json"), &damage);
        let text = String::from_utf8_lossy(&bytes);
        if let Ok(entry) = Entry::from_config_text(&text) {
            let _ = entry.settings().check();
            let _ = entry.to_plugin_json();
            prop_assert_eq!(entry.digest().len(), 12);
        }
    }
}

/// A fuzzer's: each of these takes eight characters to show.
#[test]
fn escapes_count_as_they_are_shown() {
    let message = read(&json!({
        "openservicemesh.io/outbound-port-exclusion-list": "\u{202e}".repeat(100_000),
    }));
    assert!(message.as_ref().is_err_and(|message| is_presentable(message)), "{message:?}");
}
