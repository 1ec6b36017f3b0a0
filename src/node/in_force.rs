//! The settings in force while `install` runs: it follows their files, and keeps the
//! last good ones while the files are wrong.
//!
//! I/O: through `settings.rs` and `report.rs`.

use super::kubelet_dir::Severity;
use super::report::Reporter;
use super::settings::{Sources, Texts, Wanted};
use super::snapshot::{OwnList, Snapshot};

/// The settings in force.
pub(crate) struct InForce<'o> {
    sources: &'o Sources,
    /// The settings, once they are known.
    pub(crate) wanted: Option<Wanted>,
    /// The texts of the files when they were last read.
    texts: Option<Texts>,
    /// What is wrong with the files, whose settings are then not in force.
    pub(crate) refused: Option<String>,
}

impl<'o> InForce<'o> {
    pub(crate) fn new(sources: &'o Sources) -> Self {
        InForce { sources, wanted: None, texts: None, refused: None }
    }

    /// Reads the files of the settings. Wrong settings are reported, and the last good
    /// ones stay in force. Returns whether new ones came into force.
    pub(crate) fn read(
        &mut self,
        snapshot: &Snapshot,
        own: &OwnList,
        reporter: &mut Reporter,
    ) -> bool {
        let texts = self.sources.read();
        if self.texts.as_ref() == Some(&texts) {
            return false;
        }
        match self.sources.check(&texts) {
            Ok(wanted) => {
                reporter.follow(&wanted.settings.log);
                if self.wanted.is_some() {
                    let path = self.sources.config().display();
                    reporter.info(&format!("{path}: new settings, {}", wanted.in_force()));
                }
                for note in &wanted.notes {
                    reporter.info(note);
                }
                for warning in &wanted.settings.warnings {
                    reporter.warning(&format!("settings: {warning}"));
                }
                match wanted.kubelet_problem() {
                    Some((error, Severity::Failure)) => reporter.problem(&error.to_string()),
                    Some((error, Severity::Warning)) => reporter.warning(&error.to_string()),
                    None => {}
                }
                self.wanted = Some(wanted);
                self.refused = None;
            }
            Err(error) => {
                let wanted = self.wanted.take().or_else(|| on_disk(snapshot, own));
                let (wanted, what) = match wanted {
                    Some(wanted) => {
                        let digest = &wanted.digest;
                        let what = format!("the last good settings, {digest}, stay in force");
                        (wanted, what)
                    }
                    None => (
                        Sources::refusal(&texts, &error),
                        "this node has never had good settings, so the pods of the mesh are refused with error 7 until they are mended".to_owned(),
                    ),
                };
                reporter.follow(&wanted.settings.log);
                self.wanted = Some(wanted);
                let refused = format!("{error}; {what}");
                reporter.problem(&refused);
                self.refused = Some(refused);
            }
        }
        self.texts = Some(texts);
        self.refused.is_none()
    }
}

/// The settings of our entry that is in the directory, if they are good.
fn on_disk(snapshot: &Snapshot, own: &OwnList) -> Option<Wanted> {
    snapshot.ours(own).find_map(|(file, _)| {
        let entry = file.network.as_ref().ok()?.entry()?;
        Wanted::of_entry(entry)
    })
}
