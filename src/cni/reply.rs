//! The answers to a runtime: prevResult as it came, the versions, or an
//! error with its code. CNI specification 1.1.0, section 5.
//!
//! Pure.

use std::borrow::Cow;

use cni_plugin::reply::{ErrorReply, VersionReply};
use serde_json::value::RawValue;

use super::CniError;
use super::request_error::RequestError;
use super::version::SpecVersion;
use crate::error_chain::ErrorChain;
use crate::netns::NetnsError;
use crate::nft::NftError;
use crate::plugin::PluginError;
use crate::policy::PolicyError;
use crate::sanitize;

/// The answer to an ADD: the previous result, unchanged down to its whitespace. One
/// without a version of its own gets the configuration's.
pub fn pass_on(result: &RawValue, version: SpecVersion) -> String {
    #[derive(serde::Deserialize)]
    struct OnlyVersion {
        #[serde(rename = "cniVersion")]
        version: Option<serde::de::IgnoredAny>,
    }
    let text = result.get();
    let has_version =
        serde_json::from_str(text).is_ok_and(|OnlyVersion { version }| version.is_some());
    match text.strip_prefix('{') {
        Some(rest) if !has_version => {
            let comma = if rest.trim_start().starts_with('}') { "" } else { "," };
            format!("{{\"cniVersion\":\"{version}\"{comma}{rest}")
        }
        _ => text.to_owned(),
    }
}

/// The answer to a VERSION.
pub(crate) fn versions(version: SpecVersion) -> String {
    let parsed = |version: SpecVersion| version.as_str().parse().ok();
    let supported: Vec<_> = SpecVersion::ALL.into_iter().filter_map(parsed).collect();
    // One of our own version strings, which are all well-formed.
    let Some(cni_version) = parsed(version) else { return String::new() };
    to_json(&VersionReply { cni_version, supported_versions: supported })
}

/// No message is longer, in characters. The longest of ours that is of use
/// names a path.
const MESSAGE_MAX: usize = 1000;

/// No version that means anything is longer, in bytes.
const VERSION_MAX: usize = 64;

/// The answer to a call that failed. `version` is what the configuration says,
/// whether we speak it or not. Whatever the message quotes, it is one line and
/// of bounded length.
pub fn failure(error: &CniError, version: Option<&str>) -> String {
    let version = version.filter(|text| text.len() <= VERSION_MAX);
    let version = version.and_then(|text| text.parse().ok());
    let newest = || SpecVersion::NEWEST.as_str().parse().ok();
    let Some(cni_version) = version.or_else(newest) else { return String::new() };
    let (code, remedy) = code_and_remedy(error);
    to_json(&ErrorReply {
        cni_version,
        code,
        msg: &sanitize::message(&ErrorChain(error).to_string(), MESSAGE_MAX),
        details: remedy.into_owned(),
    })
}

/// The error's code in the contract. 1–99 are the specification's, the others ours.
pub(crate) fn code(error: &CniError) -> i32 {
    code_and_remedy(error).0
}

/// The code, and what can be done about the error: the `details` of an answer.
fn code_and_remedy(error: &CniError) -> (i32, Cow<'static, str>) {
    match error {
        CniError::Request(error) => of_request(error),
        CniError::Plugin(PluginError::Policy(error)) => of_policy(error),
        CniError::Plugin(PluginError::Netns(error)) => {
            let (code, remedy) = of_netns(error);
            (code, remedy.into())
        }
        CniError::Plugin(PluginError::Nft(error)) => {
            let (code, remedy) = of_nft(error);
            (code, remedy.into())
        }
        CniError::Plugin(PluginError::Different(_)) => (
            103,
            "the rules in the pod or the settings were changed since it started; recreate the pod"
                .into(),
        ),
        CniError::Stdin(_) => {
            (5, "the runtime must pass the network configuration on standard input".into())
        }
        CniError::Internal { .. } => {
            (199, "this is a bug in osm-cni; please report it with this message".into())
        }
    }
}

fn of_request(error: &RequestError) -> (i32, Cow<'static, str>) {
    let (code, remedy) = match error {
        RequestError::Version(_) => {
            return (1, format!("supported are {}", SpecVersion::list()).into());
        }
        RequestError::VerbTooNew { .. } => (
            1,
            "set a newer cniVersion in the configuration list, or let the runtime not send this verb",
        ),
        RequestError::Environment(_) => (
            4,
            "a container runtime sets these variables; by hand, use osm-cni without CNI_COMMAND",
        ),
        RequestError::Input(_) => {
            (6, "the runtime passes one plugin's configuration as a JSON object on standard input")
        }
        RequestError::NoPrevResult => (
            7,
            "put the osm-cni entry at the end of the \"plugins\" of a configuration list; osm-cni install does so",
        ),
    };
    (code, remedy.into())
}

fn of_policy(error: &PolicyError) -> (i32, Cow<'static, str>) {
    let (code, remedy) = match error {
        PolicyError::Settings(_) => (
            7,
            "correct this field in the settings (the ConfigMap that osm-cni install reads) or in the osm-cni entry of the node's CNI configuration",
        ),
        PolicyError::Malformed(_) => {
            (6, "the runtime passes the pod's annotations as a JSON object of strings")
        }
        PolicyError::Annotation(_) => (100, "correct the annotation and recreate the pod"),
        PolicyError::Kubelet(_) => (
            5,
            "osm-cni must be able to read the directory named by the setting kubeletDir; this pod is tried again",
        ),
        PolicyError::MeshNotServed { mesh, .. } => {
            let remedy = format!(
                "set \"mesh\" in the settings to \"{mesh}\", or to a list that has it, so that the pod's annotations are read; or add the volume to sidecarVolumes"
            );
            return (7, remedy.into());
        }
        PolicyError::SeveralMeshes(_) => (
            7,
            "a pod can have the sidecar of one mesh only; correct its injection, or the setting mesh, or sidecarVolumes and meshNamespaces below meshes",
        ),
        PolicyError::AnnotationsNotPassed(_) => (
            104,
            "containerd >= 1.5.3 or CRI-O >= 1.29 is needed, and \"capabilities\": {\"io.kubernetes.cri.pod-annotations\": true} in the osm-cni entry. Multus passes no annotations to its delegates: put the osm-cni entry behind Multus in Multus' own list. Or set podExclusions to ignore",
        ),
        PolicyError::NoPodAddress(_) => (
            7,
            "set sidecar.localProxyMode to Localhost, or let the plugins before osm-cni report the pod's address",
        ),
    };
    (code, remedy.into())
}

fn of_netns(error: &NetnsError) -> (i32, &'static str) {
    const OF_A_POD: &str =
        "CNI_NETNS must be the path of a pod's network namespace that is still there";
    let denied = |source: &std::io::Error| source.kind() == std::io::ErrorKind::PermissionDenied;
    match error {
        NetnsError::OurOwn { .. } => {
            (101, "rules are set in a pod's own network namespace only, never in the node's")
        }
        NetnsError::NotANamespace { .. } | NetnsError::OfAnotherKind { .. } => (101, OF_A_POD),
        NetnsError::Undecided { .. } => {
            (5, "osm-cni needs /proc and its links to namespaces (/proc/self/ns/net)")
        }
        NetnsError::Enter { source, .. } if denied(source) => (
            5,
            "osm-cni needs CAP_SYS_ADMIN in the node's user namespace to enter a pod's network namespace",
        ),
        NetnsError::Open { source, .. } if denied(source) => (
            5,
            "osm-cni needs CAP_SYS_PTRACE to open the namespace of a process; the runtime must start it as root with all capabilities",
        ),
        NetnsError::Open { .. } | NetnsError::Enter { .. } => (5, OF_A_POD),
    }
}

fn of_nft(error: &NftError) -> (i32, &'static str) {
    match error {
        error if error.is_refused_permission() => {
            (102, "nothing was changed; osm-cni needs CAP_NET_ADMIN in the pod's network namespace")
        }
        NftError::Socket { .. } => (
            5,
            "osm-cni needs CAP_NET_ADMIN on the node and a kernel with nf_tables (CONFIG_NF_TABLES)",
        ),
        NftError::NoAnswer { .. } => {
            (5, "the runtime tries again; check the rules with osm-cni inspect if it does not")
        }
        NftError::Refused(_)
        | NftError::Unsupported { .. }
        | NftError::Unreadable { .. }
        | NftError::Changing
        | NftError::Malformed { .. } => (
            102,
            "nothing was changed; is nf_tables with nat, redirect and conntrack available to this kernel (modules nf_tables, nft_chain_nat, nft_redir)?",
        ),
    }
}

fn to_json(reply: &impl serde::Serialize) -> String {
    serde_json::to_string(reply).unwrap_or_default()
}

#[cfg(test)]
mod tests;
