//! What a runtime is answered: prevResult as it came, the versions, or an
//! error with its code. CNI specification 1.1.0, section 5.
//!
//! Pure.

use cni_plugin::reply::{ErrorReply, VersionReply};
use semver::Version;
use serde_json::value::RawValue;

use super::CniError;
use super::request::{RequestError, SpecVersion};
use crate::error_chain::ErrorChain;
use crate::netns::NetnsError;
use crate::nft::NftError;
use crate::plugin::PluginError;
use crate::policy::PolicyError;
use crate::sanitize;

/// The answer to an ADD: the previous result, unchanged down to its blanks. One
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
pub fn versions(version: SpecVersion) -> String {
    to_json(&VersionReply {
        cni_version: semver(version.as_str()),
        supported_versions: SpecVersion::ALL.map(|version| semver(version.as_str())).to_vec(),
    })
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
    let newest = SpecVersion::V1_1_0.as_str();
    to_json(&ErrorReply {
        cni_version: version
            .filter(|text| text.len() <= VERSION_MAX)
            .and_then(|text| Version::parse(text).ok())
            .unwrap_or_else(|| semver(newest)),
        code: code(error),
        msg: &sanitize::message(&ErrorChain(error).to_string(), MESSAGE_MAX),
        details: remedy(error),
    })
}

/// The error codes of the contract. 1–99 are the specification's, the others
/// ours.
pub fn code(error: &CniError) -> i32 {
    match error {
        CniError::Request(error) => match error {
            RequestError::Version(_) | RequestError::VerbTooNew { .. } => 1,
            RequestError::Environment(_) => 4,
            RequestError::Input(_) => 6,
            RequestError::NoPrevResult => 7,
        },
        CniError::Plugin(error) => match error {
            PluginError::Policy(error) => match error {
                PolicyError::Settings(_) | PolicyError::NoPodAddress(_) => 7,
                PolicyError::Annotation(_) => 100,
                PolicyError::AnnotationsNotPassed(_) => 104,
            },
            PluginError::Netns(error) => match error {
                NetnsError::Open { .. }
                | NetnsError::Undecided { .. }
                | NetnsError::Enter { .. } => 5,
                NetnsError::NotANamespace { .. }
                | NetnsError::OfAnotherKind { .. }
                | NetnsError::OurOwn { .. } => 101,
            },
            PluginError::Nft(error) => match error {
                NftError::Socket { .. } | NftError::NoAnswer { .. } => 5,
                NftError::Refused(_)
                | NftError::Unsupported { .. }
                | NftError::Unreadable { .. }
                | NftError::Changing
                | NftError::Malformed { .. } => 102,
            },
            PluginError::Different(_) => 103,
            PluginError::NotReady(_) => 50,
        },
        CniError::Stdin(_) => 5,
        CniError::Internal { .. } => 199,
    }
}

/// What can be done about it: the `details` of an answer.
fn remedy(error: &CniError) -> String {
    let text = match error {
        CniError::Request(RequestError::Version(_)) => {
            "supported are 0.3.0, 0.3.1, 0.4.0, 1.0.0 and 1.1.0"
        }
        CniError::Request(RequestError::VerbTooNew { .. }) => {
            "set a newer cniVersion in the configuration list, or let the runtime not send this verb"
        }
        CniError::Request(RequestError::Environment(_)) => {
            "a container runtime sets these variables; by hand, use osm-cni without CNI_COMMAND"
        }
        CniError::Request(RequestError::Input(_)) => {
            "the runtime passes one plugin's configuration as a JSON object on standard input"
        }
        CniError::Request(RequestError::NoPrevResult) => {
            "put the osm-cni entry at the end of the \"plugins\" of a configuration list; osm-cni install does so"
        }
        CniError::Plugin(PluginError::Policy(PolicyError::Settings(_))) => {
            "correct this field in the settings (the ConfigMap that osm-cni install reads) or in the osm-cni entry of the node's CNI configuration"
        }
        CniError::Plugin(PluginError::Policy(PolicyError::NoPodAddress(_))) => {
            "set sidecar.localProxyMode to Localhost, or let the plugins before osm-cni report the pod's address"
        }
        CniError::Plugin(PluginError::Policy(PolicyError::Annotation(_))) => {
            "correct the annotation and create the pod anew"
        }
        CniError::Plugin(PluginError::Policy(PolicyError::AnnotationsNotPassed(_))) => {
            "containerd >= 1.5 or CRI-O >= 1.29 is needed, and \"capabilities\": {\"io.kubernetes.cri.pod-annotations\": true} in the osm-cni entry; or set podExclusions to ignore"
        }
        CniError::Plugin(PluginError::Netns(NetnsError::OurOwn { .. })) => {
            "rules are set in a pod's own network namespace only, never in the node's"
        }
        CniError::Plugin(PluginError::Netns(NetnsError::Undecided { .. })) => {
            "osm-cni needs /proc and its links to namespaces (/proc/self/ns/net)"
        }
        CniError::Plugin(PluginError::Netns(NetnsError::Enter { source, .. }))
            if source.kind() == std::io::ErrorKind::PermissionDenied =>
        {
            "osm-cni needs CAP_SYS_ADMIN in the node's user namespace to enter a pod's network namespace"
        }
        CniError::Plugin(PluginError::Netns(_)) => {
            "CNI_NETNS must be the path of a pod's network namespace that is still there"
        }
        CniError::Plugin(PluginError::Nft(NftError::Socket { .. })) => {
            "osm-cni needs CAP_NET_ADMIN and CAP_SYS_ADMIN on the node and a kernel with nf_tables (CONFIG_NF_TABLES)"
        }
        CniError::Plugin(PluginError::Nft(error)) if error.is_refused_permission() => {
            "nothing was changed; osm-cni needs CAP_NET_ADMIN in the pod's network namespace"
        }
        CniError::Plugin(PluginError::Nft(_)) => {
            "nothing was changed; is nf_tables with nat, redirect and conntrack available to this kernel (modules nf_tables, nft_chain_nat, nft_redir)?"
        }
        CniError::Plugin(PluginError::Different(_)) => {
            "somebody changed the rules in the pod, or the settings changed since it started; recreate the pod"
        }
        CniError::Plugin(PluginError::NotReady(_)) => {
            "load the kernel module nf_tables, and let osm-cni run with CAP_NET_ADMIN"
        }
        CniError::Stdin(_) => "the runtime must pass the network configuration on standard input",
        CniError::Internal { .. } => "this is a bug in osm-cni; please report it with this message",
    };
    text.to_owned()
}

fn to_json(reply: &impl serde::Serialize) -> String {
    serde_json::to_string(reply).unwrap_or_default()
}

/// One of our own version strings, which are all well-formed.
fn semver(text: &str) -> Version {
    Version::parse(text).unwrap_or_else(|_| Version::new(1, 1, 0))
}
