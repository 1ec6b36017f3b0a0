//! The environment variables of a call (CNI specification 1.1.0, section 2):
//! they become checked types, or all that is wrong with them is named at once.
//!
//! Pure: a function looks the variables up.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use crate::sanitize;

/// What is wrong with an environment variable.
#[derive(Debug, PartialEq, Eq)]
pub struct EnvProblem {
    variable: &'static str,
    /// The value, none if missing, and what it should be.
    invalid: Option<(String, &'static str)>,
}

impl EnvProblem {
    /// Whether it is that this variable is missing.
    pub(super) fn is_missing(&self, variable: &str) -> bool {
        self.variable == variable && self.invalid.is_none()
    }
}

impl fmt::Display for EnvProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.invalid {
            None => write!(f, "{} is missing", self.variable),
            Some((value, expected)) => write!(f, "{} \"{value}\" is not {expected}", self.variable),
        }
    }
}

/// The verb.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
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

impl Verb {
    pub(super) fn as_str(self) -> &'static str {
        VERBS.iter().find(|(_, verb)| *verb == self).map_or("", |(name, _)| name)
    }
}

/// The environment, and what is wrong with it.
pub(super) struct Environment<'e, F> {
    variable: &'e F,
    pub(super) problems: Vec<EnvProblem>,
}

/// The variables that name an attachment. One that is wrong is empty.
#[derive(Debug, Default)]
pub(super) struct Variables {
    pub(super) container: Option<String>,
    pub(super) interface: Option<String>,
    pub(super) netns: Option<PathBuf>,
    pub(super) args: BTreeMap<String, String>,
}

impl<'e, F: Fn(&str) -> Option<OsString>> Environment<'e, F> {
    pub(super) fn new(variable: &'e F) -> Self {
        Environment { variable, problems: Vec::new() }
    }

    fn get(&self, variable: &str) -> Option<OsString> {
        (self.variable)(variable).filter(|value| !value.is_empty())
    }

    fn invalid(&mut self, variable: &'static str, value: &str, expected: &'static str) {
        let invalid = Some((sanitize::value(value), expected));
        self.problems.push(EnvProblem { variable, invalid });
    }

    /// A variable that must be there and fit.
    fn required(
        &mut self,
        variable: &'static str,
        expected: &'static str,
        fits: impl Fn(&str) -> bool,
    ) -> Option<String> {
        match self.get(variable).map(|value| value.to_string_lossy().into_owned()) {
            None => self.problems.push(EnvProblem { variable, invalid: None }),
            Some(value) if fits(&value) => return Some(value),
            Some(value) => self.invalid(variable, &value, expected),
        }
        None
    }

    pub(super) fn verb(&mut self) -> Option<Verb> {
        let known = |text: &str| VERBS.iter().find(|(name, _)| *name == text);
        const EXPECTED: &str = "ADD, CHECK, DEL, GC, STATUS or VERSION";
        let text = self.required("CNI_COMMAND", EXPECTED, |text| known(text).is_some())?;
        known(&text).map(|(_, verb)| *verb)
    }

    /// Container id and interface have the forms of the specification; libcni
    /// refuses others as well.
    pub(super) fn variables(&mut self) -> Variables {
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
        if netns.is_none() {
            self.problems.push(EnvProblem { variable: "CNI_NETNS", invalid: None });
        }
        Variables { container, interface, netns, args: self.args() }
    }

    /// `CNI_ARGS`: `KEY=VALUE` pairs between semicolons.
    fn args(&mut self) -> BTreeMap<String, String> {
        let text = self.get("CNI_ARGS").unwrap_or_default().to_string_lossy().into_owned();
        let mut args = BTreeMap::new();
        let mut all = true;
        for pair in text.split(';').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some((key, value)) => drop(args.insert(key.to_owned(), value.to_owned())),
                None => all = false,
            }
        }
        if !all {
            self.invalid("CNI_ARGS", &text, "a list of KEY=VALUE pairs with ; between");
        }
        args
    }
}
