//! The log: one record per call, and warnings beside it.
//!
//! I/O: makes, rotates and appends to the log file, and writes to stderr.
//! Nothing in here is ever a reason for a failed call.

mod file;
mod lines;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use log::{Level, LevelFilter};
use simplelog::{CombinedLogger, Config, ConfigBuilder, SharedLogger, WriteLogger};

use crate::call_record::CallRecord;
use crate::config::{LogFormat, LogSettings};
use crate::error_chain::ErrorChain;
pub use file::ROTATE_AT;
use lines::Lines;

/// The log's target for the record of a call, which no level holds back.
const CALL: &str = "call";

/// The log's target for everything else that is ours, not the libraries'.
const OURS: &str = "osm_cni";

/// Starts logging for this process: to the file what its level lets through
/// and the record of each call, to stderr from warn up.
pub fn open(settings: &LogSettings) {
    let plain = |builder: &mut ConfigBuilder| {
        builder
            .set_time_format_rfc3339()
            .set_thread_level(LevelFilter::Off)
            .set_target_level(LevelFilter::Off)
            .set_location_level(LevelFilter::Off)
            .build()
    };
    let ours: Config = plain(ConfigBuilder::new().add_filter_allow_str(OURS));
    let calls: Config = plain(ConfigBuilder::new().add_filter_allow_str(CALL));
    let both: Config =
        plain(ConfigBuilder::new().add_filter_allow_str(OURS).add_filter_allow_str(CALL));
    let level = settings.level.min(LevelFilter::Warn);
    let stderr = Lines::new(io::stderr(), LogFormat::Text);
    let mut loggers: Vec<Box<dyn SharedLogger>> = vec![WriteLogger::new(level, both, stderr)];
    let mut failure = None;
    match settings.file.as_deref().map(file::open) {
        Some(Ok(file)) => {
            let file = Arc::new(file);
            let lines = |file| Lines::new(file, settings.format);
            loggers.push(WriteLogger::new(settings.level, ours, lines(Arc::clone(&file))));
            loggers.push(WriteLogger::new(LevelFilter::Info, calls, lines(file)));
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

/// Writes a call's record, with the time that the call took; a failed call's
/// goes to stderr as well. Calls that a runtime repeats are logged at debug
/// level, as long as they succeed.
pub fn write(mut record: CallRecord, took: Duration) {
    record.us = Some(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    let routine = matches!(record.verb.as_str(), "DEL" | "STATUS") && record.code.is_none();
    if routine {
        log::debug!(target: OURS, "{record}");
        return;
    }
    let level = if record.code.is_some() { Level::Error } else { Level::Info };
    log::log!(target: CALL, level, "{record}");
}
