//! The log: one record per call, and warnings beside it.
//!
//! I/O: creates, rotates and appends to the log file, and writes to stderr. An error of
//! the log never fails a call.

mod file;
mod lines;

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use log::{Level, LevelFilter, Record};
use simplelog::{CombinedLogger, ConfigBuilder, SharedLogger, WriteLogger};

use crate::call_record::CallRecord;
use crate::config::{LogFormat, LogSettings};
use crate::error_chain::ErrorChain;
use crate::sanitize;
pub use file::ROTATE_AT;
use lines::Lines;

/// The log's target for the record of a call, which is written at every level.
const CALL: &str = "call";

/// The log's target for everything else that is ours, not the libraries'.
const OURS: &str = "osm_cni";

/// Starts logging for this process: to the file what its level lets through
/// and the record of each call, to stderr from warn up.
pub(crate) fn open(settings: &LogSettings) {
    let level = settings.level.min(LevelFilter::Warn);
    let text = LogFormat::Text;
    let mut loggers: Vec<Box<dyn SharedLogger>> =
        vec![logger(level, &[OURS, CALL], io::stderr(), text)];
    let mut failure = None;
    match settings.file.as_deref().map(file::open) {
        Some(Ok(file)) => {
            let file = Arc::new(file);
            loggers.push(logger(settings.level, &[OURS], Arc::clone(&file), settings.format));
            loggers.push(logger(LevelFilter::Info, &[CALL], file, settings.format));
        }
        Some(Err(error)) => failure = Some(error),
        None => {}
    }
    // Only the first call of a process counts; tests make several.
    let _ = CombinedLogger::init(loggers);
    if let Some(error) = failure {
        log::warn!("the log is not written: {}", ErrorChain(&error));
    }
}

/// Writes lines of these targets: time, level, then pairs.
fn logger(
    level: LevelFilter,
    targets: &[&'static str],
    to: impl Write + Send + 'static,
    format: LogFormat,
) -> Box<dyn SharedLogger> {
    let mut config = ConfigBuilder::new();
    config
        .set_time_format_rfc3339()
        .set_thread_level(LevelFilter::Off)
        .set_target_level(LevelFilter::Off)
        .set_location_level(LevelFilter::Off);
    for target in targets {
        config.add_filter_allow_str(target);
    }
    WriteLogger::new(level, config.build(), Lines::new(to, format))
}

/// The lines of a command that stays, in the format of the plugin's log.
pub(crate) struct CommandLog {
    command: &'static str,
    logger: Box<dyn SharedLogger>,
}

impl CommandLog {
    /// Writes each line at once.
    pub(crate) fn new(
        command: &'static str,
        to: impl Write + Send + 'static,
        format: LogFormat,
    ) -> Self {
        CommandLog { command, logger: logger(LevelFilter::Info, &[OURS], to, format) }
    }

    /// Writes a line.
    pub(crate) fn line(&self, level: Level, message: &str) {
        let (verb, message) = (self.command, sanitize::log_message(message));
        let record = |args| Record::builder().target(OURS).level(level).args(args).build();
        self.logger.log(&record(format_args!("verb={verb} msg={message}")));
    }
}

/// Writes a call's record, with the time that the call took; a failed call's
/// goes to stderr as well. Calls that a runtime repeats are logged at debug
/// level, as long as they succeed.
pub(crate) fn write(mut record: CallRecord, took: Duration) {
    record.us = Some(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    let routine = matches!(record.verb.as_str(), "DEL" | "STATUS") && record.code.is_none();
    if routine {
        log::debug!(target: OURS, "{record}");
        return;
    }
    let level = if record.code.is_some() { Level::Error } else { Level::Info };
    log::log!(target: CALL, level, "{record}");
}
