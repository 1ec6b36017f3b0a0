//! The CNI version of a list, as runtimes choose it. Pure.

use std::fmt;

use super::broken::{Broken, Runtimes};
use super::go_json::{Fields, text_field};
use crate::cni::version::SpecVersion;
use crate::sanitize;

/// A CNI version: major, minor, patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Version([u64; 3]);

/// The version that a list has, as two generations of runtimes read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Versions {
    /// With CNI 1.1: the highest of `cniVersion` and `cniVersions` that it knows.
    pub(super) newest: Version,
    /// Before CNI 1.1, which does not know `cniVersions`.
    pub(super) before_1_1: Version,
    /// The `cniVersion` with which the older ones can call our entry, and with
    /// which the newer ones use the same version as without it.
    pub(super) remedy: Version,
}

impl Version {
    /// That of a list that names none.
    const NONE: Self = Version([0, 1, 0]);

    /// As libcni reads it: one to three numbers.
    fn parse(text: &str) -> Option<Self> {
        let mut version = [0; 3];
        let mut parts = text.split('.');
        for number in &mut version {
            match parts.next() {
                Some(part) if !part.starts_with('+') => *number = part.parse().ok()?,
                Some(_) => return None,
                None => break,
            }
        }
        parts.next().is_none().then_some(Version(version))
    }
}

/// The CNI versions that the plugin answers, oldest first.
pub(super) fn supported() -> [Version; 5] {
    SpecVersion::ALL.map(Version::from)
}

impl From<SpecVersion> for Version {
    fn from(version: SpecVersion) -> Self {
        Version::parse(version.as_str()).unwrap_or_default()
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Version([major, minor, patch]) = self;
        write!(f, "{major}.{minor}.{patch}")
    }
}

/// The versions of a list. Without any it is 0.1.0. A `cniVersion` of `null` is an error.
pub(super) fn versions(fields: &Fields<'_>) -> Result<Versions, Broken> {
    let listed: Vec<String> = match fields.get("cniVersions") {
        None => Vec::new(),
        Some(raw) => serde_json::from_str(raw.get())
            .map_err(|_| Broken::new("its cniVersions are not a list", Runtimes::Depends))?,
    };
    if fields.get("cniVersion").is_some_and(|raw| raw.get() == "null") {
        return Err(Broken::refused("cniVersion is null, which is not a string"));
    }
    let single = text_field(fields, "cniVersion")?;
    let parse = |text: &str, field: &str, runtimes| match text {
        "" => Ok(Version::NONE),
        _ => Version::parse(text).ok_or_else(|| {
            let text = sanitize::value(text);
            Broken::new(format!("{field} {text} is not a version"), runtimes)
        }),
    };
    let is_listed = fields.contains_key("cniVersions");
    let depends = if is_listed { Runtimes::Depends } else { Runtimes::Take };
    let before_1_1 = parse(single.as_deref().unwrap_or_default(), "cniVersion", depends)?;
    let mut all = vec![before_1_1];
    for text in &listed {
        all.push(parse(text, "cniVersions", Runtimes::Depends)?);
    }
    let [.., before_newest, newest] = supported();
    let known = all.iter().filter(|version| **version <= newest).max();
    let is_remedy = |version: &&Version| supported().contains(version) && **version < newest;
    Ok(Versions {
        newest: known.copied().unwrap_or(before_1_1),
        before_1_1,
        remedy: all.iter().filter(is_remedy).max().copied().unwrap_or(before_newest),
    })
}
