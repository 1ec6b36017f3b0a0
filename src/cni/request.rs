//! A runtime's request: environment and standard input become a checked
//! [`Call`]. CNI specification 1.1.0, section 2.
//!
//! Pure.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use serde_json::error::Category;
use serde_json::value::RawValue;

use super::environment::{EnvProblem, Environment, Variables, Verb};
use super::version::SpecVersion;
use crate::config::{CAPABILITY, LogSettings, Settings};
use crate::pod::{Annotations, Malformed, PodAddresses, PodFacts};
use crate::ruleset::Owner;
use crate::sanitize;

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

/// One container's interface, and all that came with it.
#[derive(Debug)]
pub struct Attachment {
    /// `CNI_CONTAINERID`
    pub(crate) container: String,
    /// `CNI_IFNAME`
    pub(crate) interface: String,
    /// `CNI_NETNS`
    pub(crate) netns: PathBuf,
    /// `NAMESPACE/NAME` of the pod, for the log.
    pub(crate) pod_name: Option<String>,
    /// The settings.
    pub settings: Settings,
    /// What is known of the pod.
    pub pod: PodFacts,
}

/// An attachment that is to be removed. A removal never fails, so anything may
/// be missing.
#[derive(Debug)]
pub struct Removal {
    /// `CNI_CONTAINERID`
    pub(crate) container: Option<String>,
    /// `CNI_IFNAME`
    pub(crate) interface: Option<String>,
    /// `CNI_NETNS`
    pub(crate) netns: Option<PathBuf>,
    /// `NAMESPACE/NAME` of the pod, for the log.
    pub(crate) pod_name: Option<String>,
    /// The settings, where they can be read.
    pub(crate) settings: Settings,
    /// What is wrong with the call, one sentence each.
    pub(crate) warnings: Vec<String>,
}

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

/// A network configuration as it came.
#[derive(Debug)]
struct Configuration<'a> {
    version: SpecVersion,
    fields: BTreeMap<String, &'a RawValue>,
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
            Request::Add(configuration.attachment(variables), result)
        }
        Verb::Check => Request::Check(configuration.attachment(variables)),
        Verb::Gc => Request::Gc(Settings::parse(configuration.fields)),
        Verb::Status | Verb::Del | Verb::Version => {
            Request::Status(Settings::parse(configuration.fields))
        }
    };
    Ok(Call { version, request })
}

/// A DEL: as much of it as can be read. One that failed would keep the pod from
/// ever being removed. Only one that names no attachment at all is no call.
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

/// The `cniVersion` on standard input, if there is one: an answer carries it
/// even where the rest could not be read.
pub fn version_of(stdin: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct OnlyVersion {
        cni_version: Option<String>,
    }
    serde_json::from_slice::<OnlyVersion>(stdin).ok()?.cni_version
}

/// The log of a call that could not be parsed: the one that the configuration
/// names, or only stderr without a configuration.
pub(crate) fn log_of(stdin: &[u8]) -> LogSettings {
    match serde_json::from_slice::<BTreeMap<String, &RawValue>>(stdin) {
        Ok(fields) => Settings::parse(fields).log,
        Err(_) => LogSettings { file: None, ..LogSettings::default() },
    }
}

/// The pod's name in the log.
fn pod_name(args: &BTreeMap<String, String>) -> Option<String> {
    let (namespace, name) = (args.get("K8S_POD_NAMESPACE")?, args.get("K8S_POD_NAME")?);
    Some(format!("{namespace}/{name}"))
}

impl<'a> Configuration<'a> {
    fn parse(stdin: &'a [u8]) -> Result<Self, RequestError> {
        let text =
            std::str::from_utf8(stdin).map_err(|source| RequestError::Input(source.to_string()))?;
        let fields: BTreeMap<String, &'a RawValue> = serde_json::from_str(text).map_err(
            // where the kind is wrong, serde quotes all of the value
            |source| match source.classify() {
                Category::Data => {
                    RequestError::Input(format!("{} is not an object", sanitize::value(text)))
                }
                _ => RequestError::Input(source.to_string()),
            },
        )?;
        // Without a version the specification's first is meant.
        let version = match fields.get("cniVersion") {
            None => "0.1.0".to_owned(),
            Some(raw) => serde_json::from_str(raw.get()).map_err(|_| {
                let value = sanitize::value(raw.get());
                RequestError::Input(format!("cniVersion: {value} is not a string"))
            })?,
        };
        let known = SpecVersion::parse(&version);
        let version = known.ok_or_else(|| RequestError::Version(sanitize::value(&version)))?;
        Ok(Configuration { version, fields })
    }

    fn must_have(&self, verb: Verb) -> Result<(), RequestError> {
        let needs = match verb {
            Verb::Check => SpecVersion::V0_4_0,
            Verb::Gc | Verb::Status => SpecVersion::V1_1_0,
            Verb::Add | Verb::Del | Verb::Version => return Ok(()),
        };
        if self.version < needs {
            let verb = verb.as_str();
            return Err(RequestError::VerbTooNew { verb, needs, has: self.version });
        }
        Ok(())
    }

    fn prev_result(&self) -> Option<&'a RawValue> {
        self.fields.get("prevResult").copied().filter(|raw| raw.get().starts_with('{'))
    }

    /// The annotations. Where they have not their form the pod may still be one
    /// that is left alone.
    fn annotations(&self) -> Annotations {
        type Object<'a> = Option<BTreeMap<String, &'a RawValue>>;
        let malformed = |path: &str, raw: &RawValue| {
            let value = sanitize::value(raw.get());
            Annotations::Malformed(Malformed { path: path.to_owned(), value })
        };
        let Some(runtime) = self.fields.get("runtimeConfig") else {
            return Annotations::NotPassed;
        };
        let Ok(fields) = serde_json::from_str::<Object<'_>>(runtime.get()) else {
            return malformed("runtimeConfig", runtime);
        };
        let Some(raw) = fields.unwrap_or_default().remove(CAPABILITY) else {
            return Annotations::NotPassed;
        };
        match serde_json::from_str::<Object<'_>>(raw.get()) {
            Ok(all) => Annotations::passed(all.unwrap_or_default()),
            Err(_) => malformed(&format!("runtimeConfig.\"{CAPABILITY}\""), raw),
        }
    }

    fn attachment(self, variables: Variables) -> Attachment {
        let Variables { container, interface, netns, args } = variables;
        // They are there: the environment was in order.
        let interface = interface.unwrap_or_default();
        let addresses = self.prev_result().map(|it| PodAddresses::of_result(it, &interface));
        Attachment {
            container: container.unwrap_or_default(),
            netns: netns.unwrap_or_default(),
            pod_name: pod_name(&args),
            pod: PodFacts::new(&args, self.annotations(), addresses.unwrap_or_default()),
            settings: Settings::parse(self.fields),
            interface,
        }
    }
}

impl Attachment {
    /// Whom the rules belong to.
    pub fn owner(&self) -> Owner {
        Owner::new(&self.container, &self.interface)
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
