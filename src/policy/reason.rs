//! Why a pod is redirected or left alone, as a word for logs and metrics and
//! as a sentence for people.
//!
//! Pure.

use std::fmt;
use std::path::PathBuf;

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
    /// Neither annotation nor namespace selects it.
    NotEnrolled,
    /// The same, where it could not be seen whether there is a sidecar.
    NotEnrolledUnseen(SidecarUnknown),
}

/// Why the pod's volumes could not be looked up though they should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SidecarUnknown {
    /// The runtime passed no uid.
    NoUid,
    /// The runtime passed a uid that is no file name.
    InvalidUid,
    /// The kubelet keeps no pods there.
    NoPodsDirectory(PathBuf),
    /// The kubelet keeps pods there, and not this one.
    NoPodDirectory(PathBuf),
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

impl Reason {
    /// A word for logs and metrics.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Reason::NotKubernetes => "not-kubernetes",
            Reason::ExcludedNamespace(_) => "excluded-namespace",
            Reason::Disabled => "disabled",
            Reason::NoSidecarVolume { .. } => "no-sidecar",
            Reason::NotEnrolled => "not-enrolled",
            Reason::NotEnrolledUnseen(SidecarUnknown::NoUid | SidecarUnknown::InvalidUid) => {
                "no-pod-uid"
            }
            Reason::NotEnrolledUnseen(SidecarUnknown::NoPodsDirectory(_)) => "no-kubelet-dir",
            Reason::NotEnrolledUnseen(SidecarUnknown::NoPodDirectory(_)) => "no-pod-dir",
        }
    }
}

impl Enrolment {
    /// A word for logs and metrics.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Enrolment::SidecarVolume(_) => "sidecar-volume",
            Enrolment::Annotation => "annotation",
            Enrolment::MeshNamespace(_) => "mesh-namespace",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NOT_ENROLLED: &str = "neither annotation sidecar-injection nor meshNamespaces selects this pod for redirection";
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
            Reason::NotEnrolled => f.write_str(NOT_ENROLLED),
            Reason::NotEnrolledUnseen(why) => write!(f, "{NOT_ENROLLED}, and {why}"),
        }
    }
}

impl fmt::Display for SidecarUnknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("whether the pod has a sidecar is not known: ")?;
        match self {
            SidecarUnknown::NoUid => f.write_str(
                "the runtime passed no K8S_POD_UID (containerd >= 1.5.3 and CRI-O pass it)",
            ),
            SidecarUnknown::InvalidUid => f.write_str("K8S_POD_UID is not a pod's uid"),
            SidecarUnknown::NoPodsDirectory(path) | SidecarUnknown::NoPodDirectory(path) => {
                write!(f, "{} is missing (setting kubeletDir)", path.display())
            }
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
