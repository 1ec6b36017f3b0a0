//! What was decided about a pod, as all verbs print it.
//!
//! Pure.

use std::fmt;

use serde_json::{Value, json};

use crate::admit::Decision;

/// A decision, for readers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is redirected as one of this mesh, and why.
    Redirect {
        /// The mesh's name in the settings.
        mesh: &'static str,
        /// Why.
        because: Because,
    },
    /// It is left alone, and why.
    Leave(Because),
    /// No decision could be made: the error.
    Failed(String),
}

/// Why something was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Because {
    /// In a sentence.
    pub(super) reason: String,
    /// In a word for programs.
    pub(super) word: &'static str,
}

impl From<&Decision> for Outcome {
    fn from(decision: &Decision) -> Self {
        match decision {
            Decision::Redirect(redirect) => {
                let because = &redirect.because;
                Outcome::Redirect {
                    mesh: redirect.mesh,
                    because: Because { reason: because.to_string(), word: because.word() },
                }
            }
            Decision::Leave(reason) => {
                Outcome::Leave(Because { reason: reason.to_string(), word: reason.word() })
            }
        }
    }
}

impl Outcome {
    /// The mesh of a pod that is redirected.
    pub(super) fn mesh(&self) -> Option<&'static str> {
        match self {
            Outcome::Redirect { mesh, .. } => Some(mesh),
            Outcome::Leave(_) | Outcome::Failed(_) => None,
        }
    }

    /// The fields `decision`, `reason`, `reasonWord` and `mesh` of a document.
    pub(super) fn fields(outcome: Option<&Outcome>) -> [(&'static str, Value); 4] {
        let (decision, reason, word) = match outcome {
            Some(Outcome::Redirect { because, .. }) => {
                (Some("redirect"), Some(&because.reason), Some(because.word))
            }
            Some(Outcome::Leave(because)) => {
                (Some("leave"), Some(&because.reason), Some(because.word))
            }
            Some(Outcome::Failed(error)) => (Some("error"), Some(error), None),
            None => (None, None, None),
        };
        [
            ("decision", json!(decision)),
            ("reason", json!(reason)),
            ("reasonWord", json!(word)),
            ("mesh", json!(outcome.and_then(Outcome::mesh))),
        ]
    }
}

/// The ruleset that is in force, in words.
pub(super) fn ruleset(name: &str, mesh: Option<&str>) -> String {
    match mesh {
        Some(mesh) => format!("{name} (mesh {mesh})"),
        None => name.to_owned(),
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Redirect { because, .. } => write!(f, "redirected: {}", because.reason),
            Outcome::Leave(because) => write!(f, "left alone: {}", because.reason),
            Outcome::Failed(error) => write!(f, "none: {error}"),
        }
    }
}
