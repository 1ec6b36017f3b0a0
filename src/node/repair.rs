//! Gives a running pod its rules in place, by the same admission and the same
//! transaction as an ADD.
//!
//! I/O: through `plugin`, on a thread that enters the pod's network namespace
//! and ends in it.

use std::io::ErrorKind;

use super::audit::{Finding, State};
use super::pod_rules::Rules;
use crate::error_chain::ErrorChain;
use crate::netns::NetnsError;
use crate::plugin::{self, PluginError};

/// The result of a repair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It has this number of rules now.
    Repaired(usize),
    /// The pod ended meanwhile.
    Gone,
    /// It may have rules of its own init container, which cannot be read.
    Undecided,
    /// Why it has no rules still.
    Failed(String),
}

/// Repairs a pod that goes around the mesh; `None` for any other.
pub(crate) fn pod(finding: &Finding) -> Option<Outcome> {
    if finding.state != State::Around {
        return None;
    }
    // With both, an exclusion holds only where both have it, so ours would send
    // connections to the proxy that the init container's settings spare. A pod
    // that was made with us had both from its start.
    if finding.rules == Rules::IptablesLegacy && !finding.made_with_us {
        return Some(Outcome::Undecided);
    }
    let attachment = &finding.attachment;
    let added = std::thread::scope(|scope| {
        // An ADD enters the namespace for good.
        let thread = scope.spawn(|| plugin::add(attachment));
        thread.join()
    });
    Some(match added {
        Ok(Ok(report)) => match report.rules {
            Some(rules) => Outcome::Repaired(rules),
            None => Outcome::Failed("the plugin leaves it alone".to_owned()),
        },
        Ok(Err(PluginError::Netns(NetnsError::Open { source, .. })))
            if source.kind() == ErrorKind::NotFound =>
        {
            Outcome::Gone
        }
        // The file of an ended namespace is an empty one for a moment.
        Ok(Err(PluginError::Netns(NetnsError::NotANamespace { .. }))) => Outcome::Gone,
        Ok(Err(error)) => Outcome::Failed(ErrorChain(&error).to_string()),
        Err(_) => Outcome::Failed("internal error, see above".to_owned()),
    })
}
