//! What was decided about a pod, as all verbs print it.
//!
//! Pure.

use serde_json::{Value, json};

use crate::admit::Decision;

/// A decision, or the error that prevented one.
pub(super) type Outcome = Result<Decision, String>;

/// The fields `decision`, `reason`, `reasonWord` and `mesh` of a document.
pub(super) fn fields(outcome: Option<&Outcome>) -> [(&'static str, Value); 4] {
    let decision = outcome.and_then(|outcome| outcome.as_ref().ok());
    let error = outcome.and_then(|outcome| outcome.as_ref().err());
    let redirect = decision.and_then(Decision::redirect);
    [
        ("decision", json!(decision.map(Decision::word).or(error.map(|_| "error")))),
        ("reason", json!(decision.map(Decision::reason).or(error.cloned()))),
        ("reasonWord", json!(decision.map(Decision::reason_word))),
        ("mesh", json!(redirect.map(|redirect| redirect.mesh))),
    ]
}

/// The decision in a sentence.
pub(super) fn sentence(outcome: &Outcome) -> String {
    match outcome {
        Ok(Decision::Redirect(redirect)) => format!("redirected: {}", redirect.because),
        Ok(Decision::Leave(reason)) => format!("left alone: {reason}"),
        Err(error) => format!("none: {error}"),
    }
}

/// The ruleset that is in force, in words.
pub(super) fn ruleset(name: &str, outcome: Option<&Outcome>) -> String {
    let decision = outcome.and_then(|outcome| outcome.as_ref().ok());
    match decision.and_then(Decision::redirect) {
        Some(redirect) => format!("{name} (mesh {})", redirect.mesh),
        None => name.to_owned(),
    }
}
