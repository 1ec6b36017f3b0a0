//! What is wrong with a call that is not well-formed.
//!
//! Pure.

use super::environment::EnvProblem;
use super::version::SpecVersion;

/// A call that is not well-formed.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// One or more environment variables.
    #[error("environment: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    Environment(Vec<EnvProblem>),
    /// Standard input is not what the specification says.
    #[error("standard input is not a network configuration: {0}")]
    Input(String),
    /// A version that we do not speak.
    #[error("cniVersion {0} is not supported")]
    Version(String),
    /// A verb that the configuration's version does not have.
    #[error("{verb} needs cniVersion {needs} or newer, but the configuration says {has}")]
    VerbTooNew {
        /// The verb.
        verb: &'static str,
        /// The first version that has it.
        needs: SpecVersion,
        /// The configuration's.
        has: SpecVersion,
    },
    /// We only follow other plugins.
    #[error("no prevResult: osm-cni must stand after another plugin in the list")]
    NoPrevResult,
}
