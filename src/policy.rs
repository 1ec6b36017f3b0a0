//! Which pods are redirected, and how: `(settings, pod) -> Decision`. Exactly
//! those that have a sidecar are: redirection without one refuses every
//! connection, and a sidecar without redirection is a silent way around the
//! mesh.
//!
//! Pure: what the node's disk knows of a pod comes in as a function.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;

use crate::config::{
    ConfigError, Ipv6Mode, Layout, Lists, LocalProxyMode, PodExclusions, Proxy, RawConf, Selection,
    Settings,
};
use crate::pod::{AnnotationError, Annotations, Injection, PodAddresses, PodFacts, PodUid};

/// The redirection that one pod gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Which generation of OSM's chains.
    pub layout: &'static Layout,
    /// The proxy's uid and ports.
    pub proxy: Proxy,
    /// What IPv6 traffic gets.
    pub ipv6: Ipv6Mode,
    /// Where the proxy reaches the application.
    pub local_proxy: LocalProxy,
    /// The mesh's lists.
    pub mesh: Lists,
    /// The pod's own lists.
    pub pod: Lists,
}

/// Where the proxy's connections to the loopback address end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LocalProxy {
    /// At the loopback address.
    Localhost,
    /// At the pod's own address (`localProxyMode: PodIP`), for each family
    /// that the pod has an address of.
    PodIp(PodAddresses),
}

/// What is done with a pod, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Nothing.
    Leave(Reason),
    /// It is redirected.
    Redirect {
        /// How.
        policy: Box<Policy>,
        /// Why.
        because: Enrolment,
        /// What the operator should know, one sentence each.
        warnings: Vec<String>,
    },
}

/// Why a pod is left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// Neither a namespace nor annotations were passed.
    NotKubernetes,
    /// The namespace is in `excludedNamespaces`.
    ExcludedNamespace(String),
    /// The annotation says so.
    Disabled,
    /// The kubelet mounted none of the sidecar's volumes.
    NoSidecarVolume {
        /// The volumes looked for.
        looked_for: Vec<String>,
        /// Whether the annotation says enabled.
        enabled: bool,
    },
    /// Neither annotation nor namespace asks for it.
    NotEnrolled,
}

/// Why a pod is redirected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Enrolment {
    /// The kubelet mounted this volume of the sidecar's.
    SidecarVolume(String),
    /// The annotation says enabled.
    Annotation,
    /// The namespace is in `meshNamespaces`.
    MeshNamespace(String),
}

/// What the node's disk knows of a pod's volumes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Volumes {
    /// The kubelet has no directory for the pod, or there is no kubelet.
    Unknown,
    /// Of the volumes looked for, these are mounted. Where the first of them is,
    /// the others may be left out.
    Mounted(Vec<String>),
}

/// Why no decision, or no policy, could be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// A field of the settings is wrong.
    #[error(transparent)]
    Settings(#[from] ConfigError),
    /// An annotation is wrong.
    #[error(transparent)]
    Annotation(#[from] AnnotationError),
    /// A pod of the mesh whose own lists cannot be known.
    #[error("this pod is in the mesh ({0}), but the runtime passed no pod annotations")]
    AnnotationsNotPassed(Enrolment),
    /// PodIP without an address to use.
    #[error(
        "sidecar.localProxyMode is PodIP, but prevResult has no {0} address of this pod's interface"
    )]
    NoPodAddress(&'static str),
}

/// Decides about a pod. `volumes` looks these volumes up below a kubelet's
/// directory; it is called only where the answer matters.
///
/// # Errors
/// Settings, an annotation or the runtime at fault: see [`PolicyError`].
/// A pod outside the mesh never meets one for a list's sake.
pub fn decide(
    conf: &RawConf<'_>,
    pod: &PodFacts<'_>,
    volumes: impl FnOnce(&Path, &PodUid, &[String]) -> Volumes,
) -> Result<Decision, PolicyError> {
    if pod.namespace.is_none() && pod.annotations.is_empty() {
        return Ok(Decision::Leave(Reason::NotKubernetes));
    }
    if let Some(namespace) = &pod.namespace
        && conf.excluded_namespaces().contains(namespace)
    {
        return Ok(Decision::Leave(Reason::ExcludedNamespace(namespace.clone())));
    }
    let selection = conf.selection()?;
    match enrol(&selection, pod, volumes)? {
        Err(reason) => Ok(Decision::Leave(reason)),
        Ok(because) => redirect(&selection, conf.check()?, pod, because),
    }
}

/// Is there a sidecar? The outer error is somebody's fault, the inner one the
/// reason to leave the pod alone.
fn enrol(
    selection: &Selection,
    pod: &PodFacts<'_>,
    volumes: impl FnOnce(&Path, &PodUid, &[String]) -> Volumes,
) -> Result<Result<Enrolment, Reason>, AnnotationError> {
    let injection = pod.annotations.injection(&selection.annotation_prefix)?;
    let disabled = injection == Some(Injection::Disabled);
    if disabled && selection.pod_exclusions == PodExclusions::Honor {
        return Ok(Err(Reason::Disabled));
    }
    let volumes = match &pod.uid {
        Some(uid) if !selection.sidecar_volumes.is_empty() => {
            volumes(&selection.kubelet_dir, uid, &selection.sidecar_volumes)
        }
        _ => Volumes::Unknown,
    };
    Ok(match volumes {
        Volumes::Mounted(mounted) => {
            let found = selection.sidecar_volumes.iter().find(|name| mounted.contains(name));
            found.cloned().map(Enrolment::SidecarVolume).ok_or_else(|| Reason::NoSidecarVolume {
                looked_for: selection.sidecar_volumes.clone(),
                enabled: injection == Some(Injection::Enabled),
            })
        }
        Volumes::Unknown => match (injection, mesh_namespace(selection, pod)) {
            (Some(Injection::Enabled), _) => Ok(Enrolment::Annotation),
            (None, Some(namespace)) => Ok(Enrolment::MeshNamespace(namespace)),
            // Reached with `podExclusions: ignore` only: the namespace decides.
            (Some(Injection::Disabled), Some(namespace)) => Ok(Enrolment::MeshNamespace(namespace)),
            (Some(Injection::Disabled), None) => Err(Reason::Disabled),
            (None, None) => Err(Reason::NotEnrolled),
        },
    })
}

fn mesh_namespace(selection: &Selection, pod: &PodFacts<'_>) -> Option<String> {
    let namespace = pod.namespace.as_ref()?;
    let meant = |listed: &String| listed == "*" || listed == namespace;
    selection.mesh_namespaces.iter().any(meant).then(|| namespace.clone())
}

fn redirect(
    selection: &Selection,
    settings: Settings,
    pod: &PodFacts<'_>,
    because: Enrolment,
) -> Result<Decision, PolicyError> {
    let prefix = &selection.annotation_prefix;
    let mut warnings = Vec::new();
    let lists = match selection.pod_exclusions {
        PodExclusions::Ignore => {
            let ignored = pod.annotations.list_keys(prefix);
            warnings.extend(ignored.iter().map(|key| {
                format!("annotation {key} is ignored, since podExclusions is \"ignore\"")
            }));
            if pod.annotations.injection(prefix)? == Some(Injection::Disabled) {
                warnings.push(format!(
                    "annotation {prefix}/sidecar-injection: disabled does not count, since podExclusions is \"ignore\""
                ));
            }
            Lists::default()
        }
        PodExclusions::Honor => match pod.annotations {
            Annotations::NotPassed => return Err(PolicyError::AnnotationsNotPassed(because)),
            Annotations::Passed(_) => pod.annotations.lists(prefix)?,
        },
    };
    let local_proxy = match settings.local_proxy_mode {
        LocalProxyMode::Localhost => LocalProxy::Localhost,
        LocalProxyMode::PodIp => pod_ip(settings.ipv6, pod.addresses.read())?,
    };
    let policy = Box::new(Policy {
        layout: settings.layout,
        proxy: settings.proxy,
        ipv6: settings.ipv6,
        local_proxy,
        mesh: settings.lists,
        pod: lists,
    });
    Ok(Decision::Redirect { policy, because, warnings })
}

/// The addresses that `localProxyMode: PodIP` needs: of any family that is
/// redirected, since a pod may have one of them only.
fn pod_ip(ipv6: Ipv6Mode, addresses: PodAddresses) -> Result<LocalProxy, PolicyError> {
    let PodAddresses { ipv4, ipv6: sixth } = addresses;
    let wanted = match ipv6 {
        Ipv6Mode::Redirect if ipv4.is_none() && sixth.is_none() => Some("IPv4 or IPv6"),
        Ipv6Mode::Bypass | Ipv6Mode::Reject if ipv4.is_none() => Some("IPv4"),
        _ => None,
    };
    match wanted {
        Some(family) => Err(PolicyError::NoPodAddress(family)),
        None => Ok(LocalProxy::PodIp(addresses)),
    }
}

impl Policy {
    /// The pod's IPv4 address, where the proxy reaches the application at it.
    pub fn pod_ipv4(&self) -> Option<Ipv4Addr> {
        match self.local_proxy {
            LocalProxy::Localhost => None,
            LocalProxy::PodIp(addresses) => addresses.ipv4,
        }
    }

    /// The pod's IPv6 address, where the proxy reaches the application at it.
    pub fn pod_ipv6(&self) -> Option<Ipv6Addr> {
        match self.local_proxy {
            LocalProxy::Localhost => None,
            LocalProxy::PodIp(addresses) => addresses.ipv6,
        }
    }
}

impl Reason {
    /// A word for logs and metrics.
    pub fn word(&self) -> &'static str {
        match self {
            Reason::NotKubernetes => "not-kubernetes",
            Reason::ExcludedNamespace(_) => "excluded-namespace",
            Reason::Disabled => "disabled",
            Reason::NoSidecarVolume { .. } => "no-sidecar",
            Reason::NotEnrolled => "not-enrolled",
        }
    }
}

impl Enrolment {
    /// A word for logs and metrics.
    pub fn word(&self) -> &'static str {
        match self {
            Enrolment::SidecarVolume(_) => "sidecar-volume",
            Enrolment::Annotation => "annotation",
            Enrolment::MeshNamespace(_) => "mesh-namespace",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::NotKubernetes => f.write_str("not a Kubernetes pod"),
            Reason::ExcludedNamespace(name) => {
                write!(f, "namespace {name} is in excludedNamespaces")
            }
            Reason::Disabled => f.write_str("annotation sidecar-injection is disabled"),
            Reason::NoSidecarVolume { looked_for, enabled } => {
                f.write_str("no sidecar was injected")?;
                if *enabled {
                    write!(
                        f,
                        " although annotation sidecar-injection is enabled: none of the volumes {} (setting sidecarVolumes) is mounted",
                        looked_for.join(", ")
                    )?;
                }
                Ok(())
            }
            Reason::NotEnrolled => f.write_str(
                "neither annotation sidecar-injection nor meshNamespaces asks for redirection",
            ),
        }
    }
}

impl fmt::Display for Enrolment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Enrolment::SidecarVolume(name) => write!(f, "sidecar volume {name} is mounted"),
            Enrolment::Annotation => f.write_str("annotation sidecar-injection is enabled"),
            Enrolment::MeshNamespace(name) => write!(f, "namespace {name} is in meshNamespaces"),
        }
    }
}
