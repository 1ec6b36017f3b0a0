//! What is in a configuration directory: its files, each parsed once, which of
//! them hold our entry, and which one is the network that pods get. Pure.

use super::broken::{Broken, Runtimes};
use super::conflist::{Kind, Network};
use super::content::{Content, Mark, Seen};
use super::error::Obstacle;
use super::go_json;
use super::name::{CONF_NAME, FileName, Role};

/// A file as it was read.
#[derive(Debug)]
pub(crate) struct RawFile {
    pub(crate) name: FileName,
    /// What it holds, or why it cannot be read.
    pub(crate) content: Result<Content, String>,
    /// The texts in the folder of the network's name, where they count.
    pub(crate) folder: Vec<String>,
}

/// A file of the directory, parsed.
#[derive(Debug, Clone)]
pub(crate) struct ConfFile {
    pub(crate) name: FileName,
    pub(crate) role: Role,
    pub(crate) mode: u32,
    pub(crate) seen: Seen,
    /// Our mark, if it is byte for byte what this program wrote, whatever its
    /// name is now.
    pub(crate) mark: Option<Mark>,
    pub(crate) network: Result<Network, Broken>,
    /// Whether there is nothing in it.
    pub(crate) is_empty: bool,
}

/// How our entry came into a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ours {
    /// The whole file is our own list.
    List,
    /// The file belongs to an agent, and our entry was inserted.
    Inserted,
}

/// The directory's files that concern us, by name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Snapshot {
    files: Vec<ConfFile>,
}

/// What this program knows of its own list.
#[derive(Debug, Clone)]
pub(crate) struct OwnList {
    /// The name that it has.
    pub(crate) name: FileName,
    /// The network that this process last wrote under that name.
    pub(crate) written: Option<Network>,
}

impl Snapshot {
    /// Parses the files. Their order does not matter.
    pub(crate) fn new(files: Vec<RawFile>) -> Self {
        let mut files: Vec<_> = files.into_iter().filter_map(ConfFile::parse).collect();
        files.sort_by(|a, b| a.name.cmp(&b.name));
        Self { files }
    }

    pub(crate) fn files(&self) -> &[ConfFile] {
        &self.files
    }

    pub(crate) fn get(&self, name: &FileName) -> Option<&ConfFile> {
        let index = self.files.binary_search_by(|file| file.name.cmp(name)).ok()?;
        self.files.get(index)
    }

    /// The network in a file, if the file is there and holds one.
    pub(crate) fn network(&self, name: &FileName) -> Option<&Network> {
        self.get(name)?.network.as_ref().ok()
    }

    /// The files that runtimes read, in their order.
    pub(crate) fn configurations(&self) -> impl Iterator<Item = &ConfFile> {
        self.files.iter().filter(|file| file.role == Role::Configuration)
    }

    /// The files that are ours or hold our entry, in order.
    pub(crate) fn ours(&self, own: &OwnList) -> impl Iterator<Item = (&ConfFile, Ours)> {
        self.configurations().filter_map(|file| Some((file, self.is_ours(file, own)?)))
    }

    /// Whether and how a file is ours. A file under the name of our own list
    /// that can be read and does not hold our entry is an agent's. So is a file
    /// under another name with other plugins beside our entry, unless it is what
    /// this program wrote, and was renamed since.
    pub(crate) fn is_ours(&self, file: &ConfFile, own: &OwnList) -> Option<Ours> {
        let is_named = file.name == own.name;
        let network = match &file.network {
            Ok(network) => network,
            Err(broken) => return (is_named && !broken.is_json).then_some(Ours::List),
        };
        if !network.has_ours() {
            // Somebody took our entry out of the list that we wrote.
            let written = own.written.as_ref().filter(|_| is_named);
            let is_left = written.is_some_and(|written| written.same_but_ours(network));
            return is_left.then_some(Ours::List);
        }
        if network.is_ours_alone() {
            return Some(Ours::List);
        }
        let is_list = match file.mark {
            Some(Mark::Own) => true,
            // The single plugin that this list was made from is still there: the
            // list was not finished, or is no longer needed.
            Some(Mark::Made) if self.has_single(&file.name) => true,
            _ => {
                let was_inserted = !self.originals(&file.name).is_empty();
                (is_named || file.name == *CONF_NAME) && !was_inserted
            }
        };
        Some(if is_list { Ours::List } else { Ours::Inserted })
    }

    /// Whether the single plugin that this list was made of is there. Once its
    /// original is kept, a single plugin with another ending is another network.
    fn has_single(&self, list: &FileName) -> bool {
        let singles = || list.bases().into_iter().filter(|base| base != list);
        let is_kept = |single: &FileName| self.get(&single.original()).is_some();
        let any_kept = singles().any(|single| is_kept(&single));
        singles().any(|single| self.get(&single).is_some() && (!any_kept || is_kept(&single)))
    }

    /// The network that pods get: the first file that runtimes read and that is
    /// not our own list.
    pub(crate) fn primary(&self, own: &OwnList) -> Result<(&ConfFile, &Network), Obstacle> {
        let is_primary = |file: &&ConfFile| self.is_ours(file, own) != Some(Ours::List);
        let Some(file) = self.configurations().find(is_primary) else {
            let stale = self.ours(own).any(|(file, _)| file.name == own.name);
            return Err(Obstacle::NoPrimary { stale: stale.then(|| own.name.clone()) });
        };
        let unusable = |reason: String, runtimes| Obstacle::Unusable {
            name: file.name.clone(),
            reason,
            runtimes,
        };
        let network = match &file.network {
            Ok(network) => network,
            Err(broken) => return Err(unusable(broken.to_string(), broken.runtimes)),
        };
        if network.is_too_old() {
            let reason = format!(
                "its cniVersion is {}, and plugins can be chained from 0.3.0 on",
                network.version()
            );
            return Err(unusable(reason, Runtimes::Take));
        }
        if network.is_loopback_only() {
            return Err(unusable("it has no plugin but loopback".into(), Runtimes::Take));
        }
        if network.is_broken_beside() {
            let folder = crate::sanitize::value(network.name());
            let reason = format!("a plugin in the folder {folder} cannot be read");
            return Err(unusable(reason, Runtimes::Depends));
        }
        Ok((file, network))
    }

    /// The kept originals that a list may have been made of: the names they had.
    pub(crate) fn originals(&self, name: &FileName) -> Vec<FileName> {
        let mut bases = name.bases();
        bases.retain(|base| self.get(&base.original()).is_some());
        bases
    }

    /// Whether a list is exactly what we make of this network.
    pub(crate) fn is_made_of(list: &Network, base: Option<&Network>) -> bool {
        let made = || Some(base?.with_entry(&list.entry()?));
        made().is_some_and(|made| made == list.text())
    }
}

impl ConfFile {
    fn parse(file: RawFile) -> Option<Self> {
        let RawFile { name, content: file_content, folder } = file;
        let (role, kind) = name.role()?;
        let content = file_content.as_ref();
        let seen = content.map_or(Seen::UNREADABLE, |content| Seen::of(&content.bytes));
        let is_empty = content.is_ok_and(|content| content.bytes.is_empty());
        let mark = content.ok().and_then(|content| content.mark);
        let mode = content.map_or(0, |content| content.mode);
        let parse = |text: String| match kind {
            Kind::List => Network::of_list(text, &folder),
            Kind::Single => Network::parse(kind, &text),
        };
        let network = match file_content.map(|content| String::from_utf8(content.bytes)) {
            Err(reason) => Err(Broken::not_json(format!("cannot be read: {reason}"))),
            Ok(Ok(text)) => parse(text),
            // Go replaces what is not UTF-8. Our entry could not be added to the
            // text without changing its other bytes.
            Ok(Err(error)) if go_json::is_json(error.as_bytes()) => {
                let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
                parse(text).and(Err(Broken::new("is not UTF-8", Runtimes::Take)))
            }
            Ok(Err(_)) => Err(Broken::not_json("is neither UTF-8 nor JSON")),
        };
        Some(ConfFile { name, role, mode, seen, mark, network, is_empty })
    }
}

#[cfg(test)]
pub(super) mod tests;
