//! What is in a configuration directory: its files' names, texts and modes, and
//! which of them is the network that pods get. Pure.

use super::conflist::{Broken, Kind, Network};
use super::error::Obstacle;
use super::plan::original;

/// One file of the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfFile {
    /// Its name, without the directory.
    pub name: String,
    /// Its text, or why it cannot be read.
    pub text: Result<String, String>,
    /// Its permission bits.
    pub mode: u32,
}

/// The directory's files that matter here.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    files: Vec<ConfFile>,
}

impl Snapshot {
    /// The files, in any order.
    #[must_use]
    pub fn new(mut files: Vec<ConfFile>) -> Self {
        files.sort_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));
        Self { files }
    }

    /// All files, by name.
    #[must_use]
    pub fn files(&self) -> &[ConfFile] {
        &self.files
    }

    /// A file by its name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&ConfFile> {
        self.files.iter().find(|file| file.name == name)
    }

    /// A file's text, if it is there and readable.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.text.as_deref().ok()
    }

    pub(super) fn network(&self, name: &str) -> Option<Network> {
        Network::parse(Kind::of(name)?, self.text(name)?).ok()
    }

    /// The files that runtimes look at, in their order.
    pub(super) fn configurations(
        &self,
    ) -> impl Iterator<Item = (&ConfFile, Result<Network, Broken>)> {
        self.files.iter().filter_map(|file| {
            let kind = Kind::of(&file.name)?;
            let network = match &file.text {
                Ok(text) => Network::parse(kind, text),
                Err(reason) => Err(Broken::unreadable(reason)),
            };
            Some((file, network))
        })
    }

    /// The files that have an entry of ours.
    pub(super) fn ours(&self) -> impl Iterator<Item = (&ConfFile, Network)> {
        self.configurations()
            .filter_map(|(file, network)| Some((file, network.ok()?)))
            .filter(|(_, network)| network.has_ours())
    }

    /// The first configuration that can be the pods' network and is not ours.
    pub(super) fn primary(&self, conf_name: &str) -> Result<(&ConfFile, Network), Obstacle> {
        for (file, network) in self.configurations() {
            if file.name == conf_name {
                continue;
            }
            let network = network.map_err(|broken| Obstacle::Broken {
                name: file.name.clone(),
                reason: broken.to_string(),
            })?;
            if network.can_be_primary() && !self.is_copy(&file.name, &network) {
                return Ok((file, network));
            }
        }
        let stale = self.get(conf_name).map(|file| file.name.clone());
        Err(Obstacle::NoPrimary { stale })
    }

    /// Whether a file with our entry is an own list under another name: a copy
    /// of a later file, with no original of its own.
    pub(super) fn is_copy(&self, name: &str, network: &Network) -> bool {
        network.has_ours()
            && self.originals(name).is_empty()
            && self.configurations().any(|(other, parsed)| {
                parsed.is_ok_and(|parsed| {
                    other.name != name && !parsed.has_ours() && parsed.same_but_ours(network)
                })
            })
    }

    /// The kept originals that a list may have been made of: the names they had.
    pub(super) fn originals(&self, name: &str) -> Vec<String> {
        let mut bases = vec![name.to_owned()];
        if let Some(stem) = name.strip_suffix(".conflist") {
            bases.push(format!("{stem}.conf"));
            bases.push(format!("{stem}.json"));
        }
        bases.retain(|base| self.get(&original(base)).is_some());
        bases
    }
}
