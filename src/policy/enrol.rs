//! Whether a pod has a sidecar, and which mesh it belongs to.
//!
//! Pure: what the node's disk knows of a pod comes in as a function.

use super::{Enrolment, PolicyError, Reason, SidecarUnknown};
use crate::config::{Mesh, PodExclusions, Selection};
use crate::error_chain::ErrorChain;
use crate::kubelet::{KubeletError, VolumeQuery, Volumes};
use crate::pod::{Injection, PodFacts, Uid};

/// Whether a pod is in a mesh.
pub(super) enum Outcome<'s> {
    /// It is in this one.
    Enrolled { mesh: &'s Mesh, because: Enrolment },
    /// It is in none.
    NotEnrolled(Reason),
}

/// A mesh, and what the pod's annotations say about it.
#[derive(Clone, Copy)]
struct Candidate<'s> {
    mesh: &'s Mesh,
    injection: Option<Injection>,
}

impl Candidate<'_> {
    /// Whether the pod takes itself out of this mesh, and may.
    fn is_out(&self) -> bool {
        self.is_disabled() && self.mesh.pod_exclusions == PodExclusions::Honor
    }

    fn is_disabled(&self) -> bool {
        self.injection == Some(Injection::Disabled)
    }
}

/// The sidecar volumes that were found.
enum Sidecar {
    /// These of the volumes looked for are mounted.
    Seen(Vec<String>),
    /// The volumes are not known; the reason, if the operator should know it.
    Unseen(Option<SidecarUnknown>),
}

pub(super) fn enrol<'s>(
    selection: &'s Selection,
    pod: &PodFacts,
    volumes: impl FnOnce(&VolumeQuery<'_>) -> Result<Volumes, KubeletError>,
    warnings: &mut Vec<String>,
) -> Result<Outcome<'s>, PolicyError> {
    let mut candidates = Vec::with_capacity(selection.meshes.len());
    for mesh in &selection.meshes {
        let injection = pod.annotations.injection(&mesh.annotation_prefix)?;
        candidates.push(Candidate { mesh, injection });
    }
    if candidates.iter().all(Candidate::is_out) {
        return disabled(selection, &candidates, pod, volumes, warnings);
    }
    match sidecar(selection, pod, volumes)? {
        Sidecar::Seen(mounted) => by_volume(selection, &candidates, pod, &mounted),
        Sidecar::Unseen(why) => {
            warnings.extend(why.as_ref().map(ToString::to_string));
            by_annotation(&candidates, pod, why)
        }
    }
}

/// The pod's annotations take it out of every mesh that is served. It may still have
/// the sidecar of another mesh, whose annotations are not read.
fn disabled<'s>(
    selection: &'s Selection,
    candidates: &[Candidate<'s>],
    pod: &PodFacts,
    volumes: impl FnOnce(&VolumeQuery<'_>) -> Result<Volumes, KubeletError>,
    warnings: &mut Vec<String>,
) -> Result<Outcome<'s>, PolicyError> {
    if selection.other_volumes.is_empty() {
        return Ok(Outcome::NotEnrolled(Reason::Disabled));
    }
    match sidecar(selection, pod, volumes) {
        Ok(Sidecar::Seen(mounted)) => by_volume(selection, candidates, pod, &mounted),
        Ok(Sidecar::Unseen(_)) => Ok(Outcome::NotEnrolled(Reason::Disabled)),
        Err(error) => {
            warnings.push(format!(
                "whether this pod has the sidecar of another mesh is not known: {}",
                ErrorChain(&error)
            ));
            Ok(Outcome::NotEnrolled(Reason::Disabled))
        }
    }
}

fn sidecar(
    selection: &Selection,
    pod: &PodFacts,
    volumes: impl FnOnce(&VolumeQuery<'_>) -> Result<Volumes, KubeletError>,
) -> Result<Sidecar, KubeletError> {
    let looked_for = selection.volumes();
    if looked_for.is_empty() {
        return Ok(Sidecar::Unseen(None));
    }
    let uid = match &pod.uid {
        Uid::Valid(uid) => uid,
        Uid::Missing => return Ok(Sidecar::Unseen(Some(SidecarUnknown::NoUid))),
        Uid::Invalid => return Ok(Sidecar::Unseen(Some(SidecarUnknown::InvalidUid))),
    };
    let query = VolumeQuery { kubelet_dir: &selection.kubelet_dir, uid, names: &looked_for };
    Ok(match volumes(&query)? {
        Volumes::Mounted(mounted) => Sidecar::Seen(mounted),
        Volumes::NoPod => {
            let path = selection.kubelet_dir.join("pods").join(uid.as_str());
            Sidecar::Unseen(Some(SidecarUnknown::NoPodDirectory(path)))
        }
        Volumes::NoPodsDirectory => {
            let path = selection.kubelet_dir.join("pods");
            Sidecar::Unseen(Some(SidecarUnknown::NoPodsDirectory(path)))
        }
    })
}

/// Enrols a pod by the sidecar volumes that are mounted.
fn by_volume<'s>(
    selection: &Selection,
    candidates: &[Candidate<'s>],
    pod: &PodFacts,
    mounted: &[String],
) -> Result<Outcome<'s>, PolicyError> {
    let mut found = Vec::new();
    for candidate in candidates {
        let volume = candidate.mesh.sidecar_volumes.iter().find(|name| mounted.contains(name));
        found.extend(volume.map(|volume| (candidate, volume)));
    }
    let others = selection.other_volumes.iter().find(|other| mounted.contains(&other.volume));
    let all = found.iter().map(|(candidate, volume)| (candidate.mesh.profile.name, *volume));
    let all = all.chain(others.map(|other| (other.profile.name, &other.volume)));
    let all: Vec<String> =
        all.map(|(mesh, volume)| format!("{mesh} (sidecar volume {volume})")).collect();
    if found.is_empty() && others.is_none() {
        // A mesh without sidecar volumes is not recognised by them.
        let unlisted = |candidate: &&Candidate<'_>| candidate.mesh.sidecar_volumes.is_empty();
        let unlisted: Vec<_> = candidates.iter().filter(unlisted).copied().collect();
        if let enrolled @ Outcome::Enrolled { .. } = by_annotation(&unlisted, pod, None)? {
            return Ok(enrolled);
        }
    }
    match (&found[..], others) {
        ([], None) if candidates.iter().any(Candidate::is_disabled) => {
            Ok(Outcome::NotEnrolled(Reason::Disabled))
        }
        ([], None) => Ok(Outcome::NotEnrolled(Reason::NoSidecarVolume {
            looked_for: selection.volumes(),
            enabled: candidates.iter().any(|it| it.injection == Some(Injection::Enabled)),
        })),
        ([], Some(other)) => Err(PolicyError::MeshNotServed {
            volume: other.volume.clone(),
            mesh: other.profile.name,
        }),
        ([(candidate, _)], None) if candidate.is_out() => {
            Ok(Outcome::NotEnrolled(Reason::Disabled))
        }
        ([(candidate, volume)], None) => Ok(Outcome::Enrolled {
            mesh: candidate.mesh,
            because: Enrolment::SidecarVolume((*volume).clone()),
        }),
        _ => Err(PolicyError::SeveralMeshes(all)),
    }
}

/// Enrols a pod by its annotation or its namespace, where volumes are not known.
fn by_annotation<'s>(
    candidates: &[Candidate<'s>],
    pod: &PodFacts,
    why: Option<SidecarUnknown>,
) -> Result<Outcome<'s>, PolicyError> {
    let mut found = Vec::new();
    for candidate in candidates.iter().filter(|candidate| !candidate.is_out()) {
        let because = match candidate.injection {
            Some(Injection::Enabled) => Some(Enrolment::Annotation),
            // With `podExclusions: ignore` the namespace decides.
            Some(Injection::Disabled) | None => {
                namespace_of(candidate.mesh, pod).map(Enrolment::MeshNamespace)
            }
        };
        found.extend(because.map(|because| (candidate.mesh, because)));
    }
    if found.len() > 1 {
        let by_prefix = |(mesh, _): &(&Mesh, _)| pod.annotations.has_any(&mesh.annotation_prefix);
        if found.iter().filter(|it| by_prefix(it)).count() == 1 {
            found.retain(by_prefix);
        }
    }
    if found.len() > 1 {
        let all = found.iter().map(|(mesh, because)| format!("{} ({because})", mesh.profile.name));
        return Err(PolicyError::SeveralMeshes(all.collect()));
    }
    Ok(match found.pop() {
        Some((mesh, because)) => Outcome::Enrolled { mesh, because },
        None if candidates.iter().any(Candidate::is_disabled) => {
            Outcome::NotEnrolled(Reason::Disabled)
        }
        None => Outcome::NotEnrolled(why.map_or(Reason::NotEnrolled, Reason::NotEnrolledUnseen)),
    })
}

fn namespace_of(mesh: &Mesh, pod: &PodFacts) -> Option<String> {
    let namespace = pod.namespace.as_ref()?;
    let meant = |listed: &String| listed == "*" || listed == namespace;
    mesh.namespaces.iter().any(meant).then(|| namespace.clone())
}
