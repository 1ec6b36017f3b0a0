//! What a runtime asks for: environment and standard input become a checked
//! [`Call`]. CNI specification 1.1.0, section 2.
//!
//! Pure.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use serde_json::error::Category;
use serde_json::value::RawValue;

use crate::config::{CAPABILITY, LogSettings, RawConf};
use crate::pod::Annotations;
use crate::sanitize;

/// The versions of the CNI specification that we speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names say it")]
pub enum SpecVersion {
    V0_3_0,
    V0_3_1,
    V0_4_0,
    V1_0_0,
    V1_1_0,
}

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
    Add(Attachment<'a>, &'a RawValue),
    /// Are the rules of an attachment in place?
    Check(Attachment<'a>, Option<&'a RawValue>),
    /// Remove the rules of an attachment.
    Del(Attachment<'a>),
    /// Remove what belongs to no attachment.
    Gc(RawConf<'a>),
    /// Could an ADD work?
    Status(RawConf<'a>),
    /// Which versions are spoken?
    Version,
}

/// One container's interface, and all that came with it.
#[derive(Debug)]
pub struct Attachment<'a> {
    /// `CNI_CONTAINERID`
    pub container: String,
    /// `CNI_IFNAME`
    pub interface: String,
    /// `CNI_NETNS`; only DEL may come without one.
    pub netns: Option<PathBuf>,
    /// `CNI_ARGS`
    pub args: BTreeMap<String, String>,
    /// The network configuration.
    pub conf: RawConf<'a>,
    /// The pod's annotations.
    pub annotations: Annotations<'a>,
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

/// What is wrong with an environment variable.
#[derive(Debug, PartialEq, Eq)]
pub struct EnvProblem {
    variable: &'static str,
    /// The value, none if missing, and what it should be.
    invalid: Option<(String, &'static str)>,
}

impl fmt::Display for EnvProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.invalid {
            None => write!(f, "{} is missing", self.variable),
            Some((value, expected)) => write!(f, "{} \"{value}\" is not {expected}", self.variable),
        }
    }
}

/// A network configuration as it came.
#[derive(Debug)]
struct Conf<'a> {
    version: SpecVersion,
    fields: BTreeMap<String, &'a RawValue>,
}

/// The verb by name, with the first version that has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Add,
    Check,
    Del,
    Gc,
    Status,
    Version,
}

const VERBS: [(&str, Verb); 6] = [
    ("ADD", Verb::Add),
    ("CHECK", Verb::Check),
    ("DEL", Verb::Del),
    ("GC", Verb::Gc),
    ("STATUS", Verb::Status),
    ("VERSION", Verb::Version),
];

/// Reads a call. `env` looks a variable up.
///
/// # Errors
/// See [`RequestError`]; the environment is judged first, as libcni's own
/// plugins do.
pub fn parse<'a>(
    env: &impl Fn(&str) -> Option<OsString>,
    stdin: &'a [u8],
) -> Result<Call<'a>, RequestError> {
    let mut vars = Env { env, problems: Vec::new() };
    let verb = vars.verb();
    if verb == Some(Verb::Version) {
        let version = version_of(stdin).and_then(|text| SpecVersion::parse(&text));
        return Ok(Call {
            version: version.unwrap_or(SpecVersion::V1_1_0),
            request: Request::Version,
        });
    }
    let required = |verb| matches!(verb, Some(Verb::Add | Verb::Check | Verb::Del) | None);
    let place = required(verb).then(|| vars.place(verb == Some(Verb::Del)));
    let (Some(verb), true) = (verb, vars.problems.is_empty()) else {
        return Err(RequestError::Environment(vars.problems));
    };
    let conf = Conf::parse(stdin)?;
    conf.must_have(verb)?;
    let version = conf.version;
    let request = match (verb, place) {
        (Verb::Version, _) => Request::Version,
        (Verb::Gc, _) => Request::Gc(conf.raw()),
        (Verb::Status, _) | (_, None) => Request::Status(conf.raw()),
        (Verb::Del, Some(place)) => Request::Del(place.attach(conf, Annotations::NotPassed)),
        (Verb::Add, Some(place)) => {
            let result = conf.prev_result().ok_or(RequestError::NoPrevResult)?;
            let annotations = conf.annotations()?;
            Request::Add(place.attach(conf, annotations), result)
        }
        (Verb::Check, Some(place)) => {
            let (result, annotations) = (conf.prev_result(), conf.annotations()?);
            Request::Check(place.attach(conf, annotations), result)
        }
    };
    Ok(Call { version, request })
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

/// Where a call that could not be read is logged: where the configuration says;
/// without one nobody knows where, and stderr must do.
pub fn log_of(stdin: &[u8]) -> LogSettings {
    match serde_json::from_slice::<BTreeMap<String, &RawValue>>(stdin) {
        Ok(fields) => RawConf::new(fields).log(),
        Err(_) => LogSettings { file: None, ..LogSettings::default() },
    }
}

/// The environment, and what is wrong with it.
struct Env<'e, F> {
    env: &'e F,
    problems: Vec<EnvProblem>,
}

/// Which attachment a call is about.
struct Place {
    container: String,
    interface: String,
    netns: Option<PathBuf>,
    args: BTreeMap<String, String>,
}

impl<F: Fn(&str) -> Option<OsString>> Env<'_, F> {
    fn get(&self, variable: &str) -> Option<OsString> {
        (self.env)(variable).filter(|value| !value.is_empty())
    }

    fn invalid(&mut self, variable: &'static str, value: &str, expected: &'static str) {
        self.problems
            .push(EnvProblem { variable, invalid: Some((sanitize::value(value), expected)) });
    }

    /// A variable that must be there and fit.
    fn required(
        &mut self,
        variable: &'static str,
        expected: &'static str,
        fits: impl Fn(&str) -> bool,
    ) -> String {
        match self.get(variable).map(|value| value.to_string_lossy().into_owned()) {
            None => self.problems.push(EnvProblem { variable, invalid: None }),
            Some(value) if fits(&value) => return value,
            Some(value) => self.invalid(variable, &value, expected),
        }
        String::new()
    }

    fn verb(&mut self) -> Option<Verb> {
        let known = |text: &str| VERBS.iter().find(|(name, _)| *name == text);
        const EXPECTED: &str = "ADD, CHECK, DEL, GC, STATUS or VERSION";
        let text = self.required("CNI_COMMAND", EXPECTED, |text| known(text).is_some());
        known(&text).map(|(_, verb)| *verb)
    }

    /// Container id and interface have the forms of the specification; libcni
    /// refuses others as well. A DEL may come without a namespace, and odd
    /// arguments must not keep a pod from being removed.
    fn place(&mut self, is_del: bool) -> Place {
        let container = self.required("CNI_CONTAINERID", "a container id", |id| {
            id.starts_with(|c: char| c.is_ascii_alphanumeric())
                && id.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'.' | b'-'))
        });
        let interface =
            self.required("CNI_IFNAME", "an interface name (1-15 characters)", |name| {
                let odd = |c: char| c == '/' || c == ':' || c.is_whitespace() || c.is_control();
                name.len() <= 15 && name != "." && name != ".." && !name.contains(odd)
            });
        let netns = self.get("CNI_NETNS").map(PathBuf::from);
        if !is_del && netns.is_none() {
            self.problems.push(EnvProblem { variable: "CNI_NETNS", invalid: None });
        }
        let args = if is_del { BTreeMap::new() } else { self.args() };
        Place { container, interface, netns, args }
    }

    /// `CNI_ARGS`: `KEY=VALUE` pairs between semicolons.
    fn args(&mut self) -> BTreeMap<String, String> {
        let text = self.get("CNI_ARGS").unwrap_or_default().to_string_lossy().into_owned();
        let pairs = text.split(';').filter(|pair| !pair.is_empty());
        let pairs: Option<BTreeMap<String, String>> = pairs
            .map(|pair| pair.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned())))
            .collect();
        pairs.unwrap_or_else(|| {
            self.invalid("CNI_ARGS", &text, "a list of KEY=VALUE pairs with ; between");
            BTreeMap::new()
        })
    }
}

impl Place {
    fn attach<'a>(self, conf: Conf<'a>, annotations: Annotations<'a>) -> Attachment<'a> {
        let Place { container, interface, netns, args } = self;
        Attachment { container, interface, netns, args, conf: conf.raw(), annotations }
    }
}

impl<'a> Conf<'a> {
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
                RequestError::Input(format!(
                    "cniVersion: {} is not a string",
                    sanitize::value(raw.get())
                ))
            })?,
        };
        let known = SpecVersion::parse(&version);
        let version = known.ok_or_else(|| RequestError::Version(sanitize::value(&version)))?;
        Ok(Conf { version, fields })
    }

    fn must_have(&self, verb: Verb) -> Result<(), RequestError> {
        let (name, needs) = match verb {
            Verb::Check => ("CHECK", SpecVersion::V0_4_0),
            Verb::Gc => ("GC", SpecVersion::V1_1_0),
            Verb::Status => ("STATUS", SpecVersion::V1_1_0),
            Verb::Add | Verb::Del | Verb::Version => return Ok(()),
        };
        if self.version < needs {
            return Err(RequestError::VerbTooNew { verb: name, needs, has: self.version });
        }
        Ok(())
    }

    fn prev_result(&self) -> Option<&'a RawValue> {
        self.fields.get("prevResult").copied().filter(|raw| raw.get().starts_with('{'))
    }

    fn annotations(&self) -> Result<Annotations<'a>, RequestError> {
        let object = |path: &str, raw: &'a RawValue| {
            serde_json::from_str::<Option<BTreeMap<String, &'a RawValue>>>(raw.get()).map_err(
                |_| {
                    RequestError::Input(format!(
                        "{path}: {} is not an object",
                        sanitize::value(raw.get())
                    ))
                },
            )
        };
        let Some(runtime) = self.fields.get("runtimeConfig") else {
            return Ok(Annotations::NotPassed);
        };
        let runtime = object("runtimeConfig", runtime)?.unwrap_or_default();
        match runtime.get(CAPABILITY) {
            None => Ok(Annotations::NotPassed),
            Some(raw) => {
                let path = format!("runtimeConfig.\"{CAPABILITY}\"");
                Ok(Annotations::passed(object(&path, raw)?.unwrap_or_default()))
            }
        }
    }

    fn raw(self) -> RawConf<'a> {
        RawConf::new(self.fields)
    }
}

impl SpecVersion {
    /// All of them, oldest first.
    pub const ALL: [SpecVersion; 5] = [
        SpecVersion::V0_3_0,
        SpecVersion::V0_3_1,
        SpecVersion::V0_4_0,
        SpecVersion::V1_0_0,
        SpecVersion::V1_1_0,
    ];

    /// As the specification writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            SpecVersion::V0_3_0 => "0.3.0",
            SpecVersion::V0_3_1 => "0.3.1",
            SpecVersion::V0_4_0 => "0.4.0",
            SpecVersion::V1_0_0 => "1.0.0",
            SpecVersion::V1_1_0 => "1.1.0",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.as_str() == text)
    }
}

impl fmt::Display for SpecVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<'a> Request<'a> {
    /// The verb as the runtime writes it.
    pub fn verb(&self) -> &'static str {
        match self {
            Request::Add(..) => "ADD",
            Request::Check(..) => "CHECK",
            Request::Del(_) => "DEL",
            Request::Gc(_) => "GC",
            Request::Status(_) => "STATUS",
            Request::Version => "VERSION",
        }
    }

    /// The attachment that the call is about.
    pub fn attachment(&self) -> Option<&Attachment<'a>> {
        match self {
            Request::Add(attachment, _)
            | Request::Check(attachment, _)
            | Request::Del(attachment) => Some(attachment),
            Request::Gc(_) | Request::Status(_) | Request::Version => None,
        }
    }

    /// The network configuration.
    pub fn conf(&self) -> Option<&RawConf<'a>> {
        match self {
            Request::Gc(conf) | Request::Status(conf) => Some(conf),
            Request::Version => None,
            _ => self.attachment().map(|attachment| &attachment.conf),
        }
    }
}
