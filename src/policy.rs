//! Which pods are redirected, and how: `(settings, pod) -> Decision`. Exactly the
//! pods with a sidecar are redirected: without a sidecar every redirected connection
//! is refused, and a sidecar without redirection is bypassed silently.
//!
//! Pure: what the node's disk knows of a pod comes in as a function.

mod enrol;
mod reason;

use crate::config::lists::{are_all_ipv4, are_all_ports};
use crate::config::{
    ConfigError, Ipv6Mode, Layout, Lists, LocalProxyMode, Mesh, PodExclusions, Proxy, Redirection,
    Settings,
};
use crate::kubelet::{KubeletError, VolumeQuery, Volumes};
use crate::pod::{AnnotationError, Annotations, Injection, Malformed, PodAddresses, PodFacts};

pub(crate) use reason::{Enrolment, Reason, SidecarUnknown};

/// The redirection that one pod gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Policy {
    /// The chains.
    pub(crate) layout: &'static Layout,
    /// The proxy's uid and ports.
    pub(crate) proxy: Proxy,
    /// What IPv6 traffic gets.
    pub(crate) ipv6: Ipv6Mode,
    /// Where the proxy reaches the application.
    pub(crate) local_proxy: LocalProxy,
    /// The mesh's lists.
    pub(crate) mesh: Lists,
    /// The pod's own lists.
    pub(crate) pod: Lists,
}

/// Where the proxy's connections to the loopback address end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LocalProxy {
    /// At the loopback address.
    Localhost,
    /// At the pod's own address (`localProxyMode: PodIP`), for each family
    /// that the pod has an address of.
    PodIp(PodAddresses),
}

/// What is done with a pod, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decision {
    /// It is left alone.
    Leave(Reason),
    /// It is redirected.
    Redirect {
        /// How.
        policy: Box<Policy>,
        /// Why.
        because: Enrolment,
        /// The mesh's name in the settings.
        mesh: &'static str,
    },
}

/// Why no decision, or no policy, could be made.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// A field of the settings is wrong.
    #[error(transparent)]
    Settings(#[from] ConfigError),
    /// The runtime passed no map of annotations.
    #[error("standard input is not a network configuration: {0}")]
    Malformed(Malformed),
    /// An annotation is wrong.
    #[error(transparent)]
    Annotation(#[from] AnnotationError),
    /// The pod's volumes cannot be read.
    #[error("cannot find out whether this pod has a sidecar")]
    Kubelet(#[from] KubeletError),
    /// A pod with the sidecar of a mesh that is not served.
    #[error(
        "this pod has the sidecar volume {volume} of mesh {mesh}, which the setting mesh does not name"
    )]
    MeshNotServed {
        /// The volume.
        volume: String,
        /// The mesh.
        mesh: &'static str,
    },
    /// A pod that two meshes claim.
    #[error("this pod is one of two meshes: {}", .0.join(", "))]
    SeveralMeshes(Vec<String>),
    /// A pod of the mesh whose own lists cannot be known.
    #[error("this pod is in the mesh ({0}), but the runtime passed no pod annotations")]
    AnnotationsNotPassed(Enrolment),
    /// PodIP without an address to use.
    #[error(
        "sidecar.localProxyMode is PodIP, but prevResult has no {0} address of this pod's interface"
    )]
    NoPodAddress(&'static str),
}

/// Decides about a pod, and adds what the operator should know to `warnings`.
/// `volumes` looks a pod's volumes up; it is called only where the answer
/// matters.
///
/// # Errors
/// Settings, an annotation, the runtime or the node's disk at fault. A wrong list
/// is never an error of a pod outside the mesh.
pub(crate) fn decide(
    settings: &Settings,
    pod: &PodFacts,
    volumes: impl FnOnce(&VolumeQuery<'_>) -> Result<Volumes, KubeletError>,
    warnings: &mut Vec<String>,
) -> Result<Decision, PolicyError> {
    if pod.namespace.is_none() && pod.annotations.is_empty() {
        return Ok(Decision::Leave(Reason::NotKubernetes));
    }
    if let Some(namespace) = &pod.namespace
        && settings.excluded_namespaces.contains(namespace)
    {
        return Ok(Decision::Leave(Reason::ExcludedNamespace(namespace.clone())));
    }
    let selection = settings.selection.as_ref().map_err(Clone::clone)?;
    if let Annotations::Malformed(malformed) = &pod.annotations {
        return Err(PolicyError::Malformed(malformed.clone()));
    }
    for mesh in &selection.meshes {
        warnings.extend(pod.annotations.unknown(mesh));
    }
    match enrol::enrol(selection, pod, volumes, warnings)? {
        enrol::Outcome::NotEnrolled(reason) => Ok(Decision::Leave(reason)),
        enrol::Outcome::Enrolled { mesh, because } => {
            let redirection = mesh.redirection.as_ref().map_err(Clone::clone)?;
            let policy = policy(mesh, redirection, pod, &because, warnings)?;
            let mesh = mesh.profile.name;
            Ok(Decision::Redirect { policy: Box::new(policy), because, mesh })
        }
    }
}

fn policy(
    mesh: &Mesh,
    redirection: &Redirection,
    pod: &PodFacts,
    because: &Enrolment,
    warnings: &mut Vec<String>,
) -> Result<Policy, PolicyError> {
    let prefix = &mesh.annotation_prefix;
    let lists = match (mesh.pod_exclusions, &pod.annotations) {
        (PodExclusions::Ignore, annotations) => {
            warnings.extend(ignored(prefix, annotations)?);
            Lists::default()
        }
        (PodExclusions::Honor, Annotations::NotPassed | Annotations::Malformed(_)) => {
            return Err(PolicyError::AnnotationsNotPassed(because.clone()));
        }
        (PodExclusions::Honor, annotations) => annotations.lists(prefix, redirection.ipv6)?,
    };
    warnings.extend(taken_out(&lists));
    warnings.extend(one_family_only(&redirection.lists, &lists, redirection.ipv6));
    let local_proxy = match redirection.local_proxy_mode {
        LocalProxyMode::Localhost => LocalProxy::Localhost,
        LocalProxyMode::PodIp => pod_ip(redirection.ipv6, &pod.addresses)?,
    };
    Ok(Policy {
        layout: redirection.layout,
        proxy: redirection.proxy.clone(),
        ipv6: redirection.ipv6,
        local_proxy,
        mesh: redirection.lists.clone(),
        pod: lists,
    })
}

/// The annotations that have no effect under `podExclusions: ignore`.
fn ignored(prefix: &str, annotations: &Annotations) -> Result<Vec<String>, AnnotationError> {
    let keys = annotations.list_keys(prefix);
    let mut ignored: Vec<String> = keys
        .iter()
        .map(|key| format!("annotation {key} is ignored, since podExclusions is \"ignore\""))
        .collect();
    if annotations.injection(prefix)? == Some(Injection::Disabled) {
        ignored.push(format!(
            "annotation {prefix}/sidecar-injection: disabled does not count, since podExclusions is \"ignore\""
        ));
    }
    Ok(ignored)
}

/// Annotations that take a whole direction out of the mesh.
fn taken_out(pod: &Lists) -> Vec<String> {
    let ranges = are_all_ipv4(&pod.outbound_ranges);
    let mut taken = Vec::new();
    if ranges || are_all_ports(&pod.outbound_ports) {
        taken.push("the pod's annotations take all of its outbound IPv4 traffic out of the mesh");
    }
    if are_all_ports(&pod.inbound_ports) {
        taken.push("the pod's annotations take all of its inbound traffic out of the mesh");
    }
    taken.into_iter().map(str::to_owned).collect()
}

/// The warning that an inclusion list has no range of a family, so that nothing of
/// that family is redirected.
fn one_family_only(mesh: &Lists, pod: &Lists, ipv6: Ipv6Mode) -> Option<String> {
    let ranges = || mesh.included_ranges.iter().chain(&pod.included_ranges);
    let without = match (ranges().any(|it| it.is_ipv4()), ranges().any(|it| it.is_ipv6())) {
        (false, true) => "IPv4",
        (true, false) if ipv6 != Ipv6Mode::Bypass => "IPv6",
        _ => return None,
    };
    Some(format!(
        "outboundIPRangeInclusionList has no {without} range, so no outbound {without} traffic is redirected"
    ))
}

/// The addresses that `localProxyMode: PodIP` needs: of any family that is
/// redirected, since a pod may have one of them only.
fn pod_ip(ipv6: Ipv6Mode, addresses: &PodAddresses) -> Result<LocalProxy, PolicyError> {
    let no_ipv4 = addresses.ipv4().is_none();
    let wanted = match ipv6 {
        Ipv6Mode::Redirect if no_ipv4 && addresses.ipv6().is_none() => Some("IPv4 or IPv6"),
        Ipv6Mode::Bypass | Ipv6Mode::Reject if no_ipv4 => Some("IPv4"),
        _ => None,
    };
    match wanted {
        Some(family) => Err(PolicyError::NoPodAddress(family)),
        None => Ok(LocalProxy::PodIp(addresses.clone())),
    }
}

#[cfg(test)]
mod tests;
