//! Fields that the settings do not have: a warning each, since a misspelt
//! exclusion excludes nothing.
//!
//! Pure.

use super::profile::Profile;
use super::read::Object;
use crate::near::nearest;
use crate::sanitize;

/// Our own fields that hold for all meshes.
const SHARED_FIELDS: [&str; 7] =
    ["mesh", "meshes", "excludedNamespaces", "kubeletDir", "logLevel", "logFile", "logFormat"];

/// Our own fields that one mesh of several may have for itself.
const MESH_FIELDS: [&str; 9] = [
    "ruleset",
    "traffic",
    "sidecar",
    "proxy",
    "ipv6",
    "meshNamespaces",
    "sidecarVolumes",
    "podExclusions",
    "annotationPrefix",
];

/// Fields of the CNI specification (and of libcni) that an entry may have beside ours.
/// Those that begin with `cni.dev/` are the specification's, too.
const CNI_FIELDS: [&str; 9] = [
    "cniVersion",
    "name",
    "type",
    "capabilities",
    "args",
    "prevResult",
    "runtimeConfig",
    "ipMasq",
    "dns",
];

const PROXY: [&str; 5] = ["uid", "outboundPort", "inboundPort", "adminPort", "inboundBypassPorts"];

/// The fields of `traffic`, and those of MeshConfig's `spec.traffic` that are
/// about redirection.
pub(super) const TRAFFIC: [&str; 6] = [
    "outboundIPRangeExclusionList",
    "outboundIPRangeInclusionList",
    "outboundPortExclusionList",
    "inboundPortExclusionList",
    "networkInterfaceExclusionList",
    "outboundUIDExclusionList",
];

/// The same of `sidecar`.
pub(super) const SIDECAR: [&str; 1] = ["localProxyMode"];

/// How many unknown fields are named; the others are only counted, so that a file
/// that is no configuration of ours does not flood the log.
const WARNINGS_MAX: usize = 16;

/// Unknown fields, a sentence each.
pub(super) fn warnings(root: &Object<'_>, profiles: &[&Profile]) -> Vec<String> {
    let mut unknown = Vec::new();
    let ours = || SHARED_FIELDS.into_iter().chain(MESH_FIELDS);
    let known = |name: &str| {
        ours().any(|ours| ours == name)
            || CNI_FIELDS.contains(&name)
            || name.starts_with("cni.dev/")
    };
    for name in root.names().filter(|name| !known(name)) {
        unknown.push(sentence(&root.path_of(name), nearest(name, ours())));
    }
    parts(root, &mut unknown);
    let meshes = root.field("meshes").object().unwrap_or_default();
    for name in meshes.names() {
        let path = meshes.path_of(name);
        if !profiles.iter().any(|profile| profile.name == name) {
            unknown.push(sentence(&path, None));
            continue;
        }
        let mesh = meshes.field(name).object().unwrap_or_default();
        for name in mesh.names().filter(|name| !MESH_FIELDS.contains(name)) {
            unknown.push(sentence(&mesh.path_of(name), nearest(name, MESH_FIELDS)));
        }
        parts(&mesh, &mut unknown);
    }
    let more = unknown.len().saturating_sub(WARNINGS_MAX);
    unknown.truncate(WARNINGS_MAX);
    if more > 0 {
        unknown.push(format!("{more} more unknown fields are ignored"));
    }
    unknown
}

/// The objects inside of the settings. `traffic` and `sidecar` are pasted from
/// a MeshConfig, which has more fields than are about redirection: there only
/// a near name is a warning.
fn parts(object: &Object<'_>, unknown: &mut Vec<String>) {
    for (part, known) in [("traffic", &TRAFFIC[..]), ("sidecar", &SIDECAR), ("proxy", &PROXY)] {
        let fields = object.field(part).object().unwrap_or_default();
        for name in fields.names().filter(|name| !known.contains(name)) {
            let near = nearest(name, known.iter().copied());
            if near.is_some() || part == "proxy" {
                unknown.push(sentence(&fields.path_of(name), near));
            }
        }
    }
}

fn sentence(path: &str, near: Option<&str>) -> String {
    let path = sanitize::value(path);
    match near {
        Some(near) => format!("unknown field {path} is ignored; did you mean {near}?"),
        None => format!("unknown field {path} is ignored"),
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Settings;

    fn warnings(json: &str) -> Vec<String> {
        Settings::parse(serde_json::from_str(json).expect("an object")).warnings
    }

    #[test]
    fn a_misspelt_field_is_named_with_the_one_that_was_meant() {
        for (json, expected) in [
            (r#"{"rulset": "osm-v1"}"#, "rulset is ignored; did you mean ruleset?"),
            (r#"{"Mesh": "fsm"}"#, "Mesh is ignored; did you mean mesh?"),
            (
                r#"{"traffic": {"outboundPortExclusionLists": []}}"#,
                "traffic.outboundPortExclusionLists is ignored; did you mean outboundPortExclusionList?",
            ),
            (
                r#"{"traffic": {"outboundIpRangeExclusionList": []}}"#,
                "did you mean outboundIPRangeExclusionList?",
            ),
            (r#"{"sidecar": {"localproxymode": "x"}}"#, "did you mean localProxyMode?"),
            (r#"{"proxy": {"uuid": 5}}"#, "proxy.uuid is ignored; did you mean uid?"),
            (r#"{"meshes": {"fsm": {"logLevel": "x"}}}"#, "meshes.fsm.logLevel is ignored"),
            (r#"{"meshes": {"istio": {}}}"#, "meshes.istio is ignored"),
        ] {
            let found = warnings(json);
            assert!(found.len() == 1 && found[0].contains(expected), "{json}: {found:?}");
        }
    }

    #[test]
    fn fields_of_others_are_no_warning() {
        for json in [
            r#"{"cniVersion": "1.1.0", "cni.dev/attachments": [], "cni.dev/valid-attachments": []}"#,
            r#"{"traffic": {"enableEgress": true, "interceptionMode": "PodLevel"}}"#,
            r#"{"sidecar": {"logLevel": "error", "localDNSProxy": {}, "resources": {}}}"#,
        ] {
            assert_eq!(warnings(json), [""; 0], "{json}");
        }
    }

    #[test]
    fn however_many_fields_there_are_the_warnings_are_few() {
        let fields: Vec<String> = (0..10_000).map(|index| format!("\"x{index}\": 0")).collect();
        let found = warnings(&format!("{{{}}}", fields.join(",")));
        assert_eq!(found.len(), super::WARNINGS_MAX + 1);
        assert_eq!(found.last().map(String::as_str), Some("9984 more unknown fields are ignored"));
    }
}
