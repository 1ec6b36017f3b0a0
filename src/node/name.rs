//! The names of files in a configuration directory: which of them runtimes
//! read, as what, and which names this program gives to files. Pure.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use crate::sanitize;

/// The name of our own list, unless the operator chooses another. It sorts
/// before the usual names of primary configurations.
pub(crate) const CONF_NAME: &str = "00-osm-cni.conflist";
/// The suffix of a primary's file that `insert` replaced.
pub(crate) const ORIGINAL: &str = ".osm-cni-orig";
/// The suffix of a file that is being compared.
pub(crate) const DISPLACED: &str = ".osm-cni-old";
/// The suffix that Cilium gives to files beside its own.
pub(crate) const CILIUM: &str = ".cilium_bak";

/// What a file of the configuration directory holds, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `*.conflist`: a list of plugins.
    List,
    /// `*.conf` and `*.json`: a single plugin.
    Single,
}

/// What a file of the configuration directory is for, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Runtimes read it.
    Configuration,
    /// The original of a file that `insert` replaced.
    Original,
    /// A file that Cilium renamed.
    Backup,
}

/// A file name, without the directory. Names are ordered by their bytes, as
/// runtimes order them, and need not be UTF-8.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FileName(Vec<u8>);

impl FileName {
    pub(crate) fn new(name: &OsStr) -> Self {
        FileName(name.as_bytes().to_owned())
    }

    /// What the name says of the file; `None` for files that do not concern us.
    pub(crate) fn role(&self) -> Option<(Role, Kind)> {
        let suffixes = [(ORIGINAL, Role::Original), (CILIUM, Role::Backup)];
        for (suffix, role) in suffixes {
            if let Some(base) = self.without_suffix(suffix) {
                return base.kind().map(|kind| (role, kind));
            }
        }
        self.kind().map(|kind| (Role::Configuration, kind))
    }

    /// The kind by the last extension, which runtimes go by as well.
    fn kind(&self) -> Option<Kind> {
        let dot = self.0.iter().rposition(|&byte| byte == b'.')?;
        match &self.0[dot + 1..] {
            b"conflist" => Some(Kind::List),
            b"conf" | b"json" => Some(Kind::Single),
            _ => None,
        }
    }

    pub(crate) fn with_suffix(&self, suffix: &str) -> Self {
        FileName([&self.0, suffix.as_bytes()].concat())
    }

    pub(crate) fn without_suffix(&self, suffix: &str) -> Option<Self> {
        self.0.strip_suffix(suffix.as_bytes()).map(|base| FileName(base.to_owned()))
    }

    /// The name that a file had before it was moved aside to be compared, which
    /// is now between a dot and a random number.
    pub(crate) fn of_displaced(&self) -> Option<Self> {
        let parts = self.0.strip_suffix(DISPLACED.as_bytes())?.strip_prefix(b".")?;
        let end = parts.iter().rposition(|&byte| byte == b'.')?;
        (parts.len() - end == 17).then(|| FileName(parts[..end].to_owned()))
    }

    /// The name under which the original of this file is kept.
    pub(crate) fn original(&self) -> Self {
        self.with_suffix(ORIGINAL)
    }

    /// The name of the list that this file's configuration becomes.
    pub(crate) fn list(&self) -> Self {
        let stem = self.without_suffix(".conf").or_else(|| self.without_suffix(".json"));
        stem.map_or_else(|| self.clone(), |stem| stem.with_suffix(".conflist"))
    }

    /// The names of the files that this list may have been made of.
    pub(crate) fn bases(&self) -> Vec<Self> {
        let mut bases = vec![self.clone()];
        if let Some(stem) = self.without_suffix(".conflist") {
            bases.extend([stem.with_suffix(".conf"), stem.with_suffix(".json")]);
        }
        bases
    }

    pub(crate) fn in_dir(&self, dir: &Path) -> std::path::PathBuf {
        dir.join(OsString::from_vec(self.0.clone()))
    }
}

impl From<&str> for FileName {
    fn from(name: &str) -> Self {
        FileName(name.as_bytes().to_owned())
    }
}

impl PartialEq<str> for FileName {
    fn eq(&self, other: &str) -> bool {
        self.0 == other.as_bytes()
    }
}

/// As one word of a log line. Names are untrusted: whoever writes files chooses them.
impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&sanitize::value(&String::from_utf8_lossy(&self.0)))
    }
}

impl fmt::Debug for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_extension_tells_what_a_file_is() {
        let table = [
            ("10-a.conflist", Some((Role::Configuration, Kind::List))),
            (".conflist", Some((Role::Configuration, Kind::List))),
            ("10-a.conf", Some((Role::Configuration, Kind::Single))),
            ("10-a.conflist.json", Some((Role::Configuration, Kind::Single))),
            ("10-a.conf.osm-cni-orig", Some((Role::Original, Kind::Single))),
            ("10-a.conflist.cilium_bak", Some((Role::Backup, Kind::List))),
            ("10-a.bak.osm-cni-orig", None),
            ("10-a.conf~", None),
            ("10-a.CONF", None),
            ("conflist", None),
        ];
        for (name, role) in table {
            assert_eq!(FileName::from(name).role(), role, "{name}");
        }
    }

    #[test]
    fn a_name_that_is_not_utf_8_has_a_role_and_an_order() {
        let odd = FileName::new(OsStr::from_bytes(b"05-\xff.conflist"));
        assert_eq!(odd.role(), Some((Role::Configuration, Kind::List)));
        let (before, after) = (FileName::from("05-a.conf"), FileName::from("10-a.conf"));
        assert!(before < odd && odd < after);
        assert_eq!(odd.to_string(), "05-\u{fffd}.conflist");
    }

    #[test]
    fn a_single_plugins_file_becomes_a_list() {
        for (name, list) in
            [("a.conf", "a.conflist"), ("a.json", "a.conflist"), ("a.conflist", "a.conflist")]
        {
            assert_eq!(FileName::from(name).list(), FileName::from(list));
            assert!(FileName::from(list).bases().contains(&FileName::from(name)));
        }
    }
}
