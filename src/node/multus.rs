//! The configurations that a Multus configuration names. Pure.
//!
//! Multus calls other configurations of the node by their file or network name.
//! A file that it waits for or delegates to must keep its name.

use serde_json::Value;

use super::name::FileName;
use super::snapshot::Snapshot;

/// The first Multus configuration of the directory that names this file.
pub(crate) fn who_names(snapshot: &Snapshot, file: &FileName) -> Option<FileName> {
    let network = snapshot.network(file).map_or("", |network| network.name());
    let multus = snapshot.configurations().filter(|other| other.name != *file).find(|other| {
        let Ok(list) = &other.network else { return false };
        list.is_multus()
            && list.plugin_texts().any(|text| {
                serde_json::from_str(text).is_ok_and(|entry| names(&entry, file, network))
            })
    });
    multus.map(|multus| multus.name.clone())
}

/// Whether an entry of Multus names this file or this network.
fn names(entry: &Value, file: &FileName, network: &str) -> bool {
    let is_meant = |text: &str| {
        let base = text.rsplit('/').next().unwrap_or(text);
        *file == *base || (!network.is_empty() && text == network)
    };
    let is_text = |value: &Value| value.as_str().is_some_and(is_meant);
    let delegates = entry["delegates"].as_array().map(Vec::as_slice).unwrap_or_default();
    is_text(&entry["readinessindicatorfile"])
        || is_text(&entry["readinessIndicatorFile"])
        || is_text(&entry["clusterNetwork"])
        || is_text(&entry["masterPlugin"])
        || entry["defaultNetworks"].as_array().is_some_and(|all| all.iter().any(is_text))
        || delegates.iter().any(|delegate| is_text(delegate) || is_text(&delegate["name"]))
}
