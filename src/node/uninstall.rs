//! `uninstall`: takes our entry out of the node's configuration, and with
//! `--stay` removes it again whenever another program restores it.
//!
//! I/O: none of its own; through `files.rs`, `binary.rs` and `watch.rs`.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::backoff::Pace;
use super::binary::Binary;
use super::error::NodeError;
use super::files;
use super::name::FileName;
use super::report::{Output, Reporter};
use super::snapshot::OwnList;
use super::step::Step;
use super::watch::{News, Watch};
use super::withdraw;
use crate::config::LogFormat;

/// How often the directory is looked at without news.
const TIMER: Duration = Duration::from_secs(10);
/// How long the last lines may take at the end.
const LAST_LINES: Duration = Duration::from_millis(200);

/// The options of `uninstall`.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) bin_dir: PathBuf,
    pub(crate) conf_dir: PathBuf,
    /// The name of our own list.
    pub(crate) conf_name: String,
    pub(crate) remove_binary: bool,
    /// The format of the lines while it stays.
    pub(crate) log_format: Option<LogFormat>,
}

/// Takes our entry out, and the binary away if asked to. Returns what was
/// done, a line each.
///
/// # Errors
/// The first file that could not be changed, or that this cannot be the
/// directory: it holds nothing of ours, and no network configuration.
pub(crate) fn once(options: &Options) -> Result<Vec<String>, NodeError> {
    files::clean_up(&options.conf_dir)?;
    let (mut done, has_configurations) = files::try_again(|| withdraw_entry(options))?;
    if done.is_empty() && !has_configurations {
        return Err(NodeError::NothingHere(options.conf_dir.clone()));
    }
    if options.remove_binary {
        let binary = Binary::new(&options.bin_dir);
        if binary.remove()? {
            done.push(format!("removed {}", binary.path().display()));
        }
    }
    Ok(done)
}

/// Runs until SIGTERM, and removes our entry again if another program restores it.
///
/// # Errors
/// The kernel gives no signal descriptor.
pub(crate) fn stay(options: &Options) -> Result<(), NodeError> {
    let watch = Watch::new()?;
    let output = Output::start(options.log_format);
    let mut reporter = Reporter::new(output.clone(), "uninstall");
    let mut pace = Pace::new(Instant::now());
    loop {
        watch.add(&options.conf_dir);
        match withdraw_entry(options) {
            Ok((done, _)) if !done.is_empty() => {
                let done = done.join(", ");
                reporter.info(&format!("our entry had come back ({done}): end osm-cni install"));
            }
            Ok(_) => {}
            Err(error) => reporter.problem(&error.to_string()),
        }
        if watch.wait(TIMER) == News::End {
            output.flush(LAST_LINES);
            return Ok(());
        }
        std::thread::sleep(pace.next(Instant::now()));
    }
}

/// What was done, and whether the directory holds any network configuration.
fn withdraw_entry(options: &Options) -> Result<(Vec<String>, bool), NodeError> {
    let own = OwnList { name: FileName::from(options.conf_name.as_str()), written: None };
    let snapshot = files::snapshot(&options.conf_dir)?;
    let steps = withdraw::all(&snapshot, &own);
    files::apply(&options.conf_dir, &steps)?;
    let has_configurations = snapshot.configurations().next().is_some();
    Ok((steps.iter().map(Step::to_string).collect(), has_configurations))
}
