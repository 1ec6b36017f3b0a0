//! The one way to a decision about a pod: settings, what is known of the pod
//! and its volumes become a reason to leave it alone, or a ruleset. The plugin,
//! the command line, the installer's repair, the fuzz targets and the tests
//! all call [`admit`].
//!
//! Pure: what the node's disk knows of a pod comes in as a function.

use crate::config::{Layout, Settings};
use crate::kubelet::{KubeletError, VolumeQuery, Volumes};
use crate::pod::PodFacts;
use crate::policy::{self, Enrolment, PolicyError, Reason};
use crate::ruleset::{self, Owner, Ruleset};

/// The decision about a pod, and warnings for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    /// The decision.
    pub decision: Decision,
    /// What the operator should know, one sentence each.
    pub(crate) warnings: Vec<String>,
}

/// The decision about a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It is left alone.
    Leave(Reason),
    /// It gets these rules.
    Redirect(Box<Redirect>),
}

/// A pod that is redirected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// Why.
    pub(crate) because: Enrolment,
    /// The mesh's name in the settings.
    pub(crate) mesh: &'static str,
    /// The chains.
    pub(crate) layout: &'static Layout,
    /// The lists that the pod's annotations have items of, see
    /// [`crate::config::Lists::present`].
    pub(crate) pod_lists: Vec<&'static str>,
    /// The rules.
    pub ruleset: Ruleset,
}

impl Decision {
    /// A word for the log and for programs.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Decision::Leave(_) => "leave",
            Decision::Redirect(_) => "redirect",
        }
    }

    /// Why, as a word for the log and for programs.
    pub(crate) fn reason_word(&self) -> &'static str {
        match self {
            Decision::Leave(reason) => reason.word(),
            Decision::Redirect(redirect) => redirect.because.word(),
        }
    }

    /// Why, as a sentence.
    pub(crate) fn reason(&self) -> String {
        match self {
            Decision::Leave(reason) => reason.to_string(),
            Decision::Redirect(redirect) => redirect.because.to_string(),
        }
    }

    /// What a pod that is redirected gets.
    pub(crate) fn redirect(&self) -> Option<&Redirect> {
        match self {
            Decision::Leave(_) => None,
            Decision::Redirect(redirect) => Some(redirect),
        }
    }
}

/// Decides about a pod. `volumes` looks a pod's volumes up; it is called only
/// where the answer matters. `owner` is the attachment that the rules are for.
///
/// # Errors
/// Settings, an annotation, the runtime or the node's disk at fault: see
/// [`PolicyError`].
pub fn admit(
    settings: &Settings,
    pod: &PodFacts,
    volumes: impl FnOnce(&VolumeQuery<'_>) -> Result<Volumes, KubeletError>,
    owner: Option<&Owner>,
) -> Result<Admission, PolicyError> {
    let mut warnings = Vec::new();
    let decision = match policy::decide(settings, pod, volumes, &mut warnings)? {
        policy::Decision::Leave(reason) => Decision::Leave(reason),
        policy::Decision::Redirect { policy, because, mesh } => {
            Decision::Redirect(Box::new(Redirect {
                because,
                mesh,
                layout: policy.layout,
                pod_lists: policy.pod.present(),
                ruleset: ruleset::build(&policy, owner),
            }))
        }
    };
    Ok(Admission { decision, warnings })
}
