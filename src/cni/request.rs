//! A runtime's request: environment and standard input become a checked
//! [`Call`]. CNI specification 1.1.0, section 2.
//!
//! Pure.

use std::collections::BTreeMap;
use std::ffi::OsString;

use serde_json::value::RawValue;

pub use super::configuration::version_of;
use super::configuration::{Configuration, log_of};
use super::environment::{Environment, Variables, Verb};
use super::request_error::RequestError;
use super::version::SpecVersion;
use crate::attachment::{Attachment, Removal};
use crate::config::Settings;
use crate::pod::{PodAddresses, PodFacts};

/// A call that is well-formed.
#[derive(Debug)]
pub struct Call<'a> {
    /// The configuration's version.
    pub version: SpecVersion,
    /// What is to be done.
    pub request: Request<'a>,
}

/// The verbs.
#[derive(Debug)]
pub enum Request<'a> {
    /// Set the rules of an attachment; pass on this result.
    Add(Attachment, &'a RawValue),
    /// Are the rules of an attachment in place?
    Check(Attachment),
    /// Remove the rules of an attachment.
    Del(Removal),
    /// Remove what belongs to no attachment.
    Gc(Settings),
    /// Could an ADD work?
    Status(Settings),
    /// Which versions are spoken?
    Version,
}

/// Reads a call. `env` looks a variable up.
///
/// # Errors
/// See [`RequestError`]; the environment is judged first, as libcni's own
/// plugins do. A DEL has none but for variables that are missing.
pub fn parse<'a>(
    env: &impl Fn(&str) -> Option<OsString>,
    stdin: &'a [u8],
) -> Result<Call<'a>, RequestError> {
    let mut environment = Environment::new(env);
    let verb = environment.verb();
    match verb {
        Some(Verb::Version) => {
            let version = version_of(stdin).and_then(|text| SpecVersion::parse(&text));
            let version = version.unwrap_or(SpecVersion::NEWEST);
            return Ok(Call { version, request: Request::Version });
        }
        Some(Verb::Del) => return removal(environment, stdin),
        _ => {}
    }
    let needs_variables = matches!(verb, Some(Verb::Add | Verb::Check) | None);
    let variables = if needs_variables { environment.variables() } else { Variables::default() };
    let (Some(verb), true) = (verb, environment.problems.is_empty()) else {
        return Err(RequestError::Environment(environment.problems));
    };
    let configuration = Configuration::parse(stdin)?;
    configuration.must_have(verb)?;
    let version = configuration.version;
    let request = match verb {
        Verb::Add => {
            let result = configuration.prev_result().ok_or(RequestError::NoPrevResult)?;
            Request::Add(attachment(configuration, variables), result)
        }
        Verb::Check => Request::Check(attachment(configuration, variables)),
        Verb::Gc => Request::Gc(Settings::parse(configuration.fields)),
        Verb::Status | Verb::Del | Verb::Version => {
            Request::Status(Settings::parse(configuration.fields))
        }
    };
    Ok(Call { version, request })
}

/// A DEL, as far as it can be read. If it failed, the pod could never be removed. It is
/// an error only if it names no attachment at all.
fn removal<'a>(
    mut environment: Environment<'_, impl Fn(&str) -> Option<OsString>>,
    stdin: &'a [u8],
) -> Result<Call<'a>, RequestError> {
    let Variables { container, interface, netns, args } = environment.variables();
    // A namespace that has vanished comes as an empty variable.
    environment.problems.retain(|problem| !problem.is_missing("CNI_NETNS"));
    if environment
        .problems
        .iter()
        .any(|problem| problem.is_missing("CNI_CONTAINERID") || problem.is_missing("CNI_IFNAME"))
    {
        return Err(RequestError::Environment(environment.problems));
    }
    let mut warnings: Vec<String> = environment.problems.iter().map(ToString::to_string).collect();
    let configuration = Configuration::parse(stdin);
    let (version, settings) = match configuration {
        Ok(configuration) => (configuration.version, Settings::parse(configuration.fields)),
        Err(error) => {
            warnings.push(error.to_string());
            let fields: Option<BTreeMap<String, &RawValue>> = serde_json::from_slice(stdin).ok();
            let without = || Settings { log: log_of(stdin), ..Settings::default() };
            let settings = fields.map(Settings::parse).unwrap_or_else(without);
            (SpecVersion::NEWEST, settings)
        }
    };
    let pod_name = pod_name(&args);
    let removal = Removal { container, interface, netns, pod_name, settings, warnings };
    Ok(Call { version, request: Request::Del(removal) })
}

/// The pod's name in the log.
fn pod_name(args: &BTreeMap<String, String>) -> Option<String> {
    let (namespace, name) = (args.get("K8S_POD_NAMESPACE")?, args.get("K8S_POD_NAME")?);
    Some(format!("{namespace}/{name}"))
}

/// The attachment of an ADD or CHECK.
fn attachment(configuration: Configuration<'_>, variables: Variables) -> Attachment {
    let Variables { container, interface, netns, args } = variables;
    // They are there: the environment was in order.
    let interface = interface.unwrap_or_default();
    let addresses = configuration.prev_result().map(|it| PodAddresses::of_result(it, &interface));
    Attachment {
        container: container.unwrap_or_default(),
        netns: netns.unwrap_or_default(),
        pod_name: pod_name(&args),
        pod: PodFacts::new(&args, configuration.annotations(), addresses.unwrap_or_default()),
        settings: Settings::parse(configuration.fields),
        interface,
    }
}

impl Request<'_> {
    /// The verb as the runtime writes it.
    pub(crate) fn verb(&self) -> &'static str {
        let verb = match self {
            Request::Add(..) => Verb::Add,
            Request::Check(_) => Verb::Check,
            Request::Del(_) => Verb::Del,
            Request::Gc(_) => Verb::Gc,
            Request::Status(_) => Verb::Status,
            Request::Version => Verb::Version,
        };
        verb.as_str()
    }

    /// The settings.
    pub(crate) fn settings(&self) -> Option<&Settings> {
        match self {
            Request::Add(Attachment { settings, .. }, _)
            | Request::Check(Attachment { settings, .. })
            | Request::Del(Removal { settings, .. })
            | Request::Gc(settings)
            | Request::Status(settings) => Some(settings),
            Request::Version => None,
        }
    }
}

#[cfg(test)]
mod tests;
