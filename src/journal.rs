//! The log: one line per call, whatever the level, and warnings beside them;
//! written by the plugin, read back by `osm-cni install` for its metrics.
//!
//! A door: makes, rotates and appends to the log file. Nothing in here is ever
//! a reason for a failed call.

use std::error::Error;
use std::fmt;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::mem;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use log::{Level, LevelFilter};
use nix::fcntl::{Flock, FlockArg, OFlag};
use simplelog::{CombinedLogger, Config, ConfigBuilder, SharedLogger, WriteLogger};

use crate::cni::request::Request;
use crate::config::LogSettings;
use crate::error_chain::ErrorChain;
use crate::plugin::Report;
use crate::sanitize::log_value;

/// A log file of this size (in bytes) becomes `FILE.1` at the next call.
pub const ROTATE_AT: u64 = 10 << 20;

/// The log's target for the line per call, which no level holds back.
const CALL: &str = "call";

/// The log's target for everything else that is ours, not the libraries'.
const OURS: &str = "osm_cni";

/// One call, as it stands in the log: `verb=ADD container=… decision=redirect …`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CallLine {
    /// The CNI verb.
    pub verb: String,
    /// `CNI_CONTAINERID`
    pub container: Option<String>,
    /// `CNI_IFNAME`
    pub interface: Option<String>,
    /// `NAMESPACE/NAME`
    pub pod: Option<String>,
    /// `redirect` or `leave`.
    pub decision: Option<String>,
    /// A word for why, see [`crate::policy::Reason::word`].
    pub reason: Option<String>,
    /// The same in words.
    pub detail: Option<String>,
    /// How many rules were set or compared.
    pub rules: Option<u64>,
    /// See [`crate::config::RawConf::digest`].
    pub digest: Option<String>,
    /// How long the call took, in microseconds.
    pub us: Option<u64>,
    /// The error's code.
    pub code: Option<i32>,
    /// The error.
    pub error: Option<String>,
}

/// Starts logging for this process: to the file what its level lets through
/// and the line per call, to stderr from warn up.
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
    let mut loggers: Vec<Box<dyn SharedLogger>> =
        vec![WriteLogger::new(level, both, in_lines(io::stderr()))];
    if let Some(file) = settings.file.as_deref().and_then(|path| open_file(path).ok()) {
        let file = Arc::new(file);
        loggers.push(WriteLogger::new(settings.level, ours, in_lines(Arc::clone(&file))));
        loggers.push(WriteLogger::new(LevelFilter::Info, calls, in_lines(file)));
    }
    // Only the first call of a process counts; tests make several.
    let _ = CombinedLogger::init(loggers);
}

/// Writes a line at once when it ends: many calls append to a file, and none
/// may come into the middle of another's line.
struct Lines<W> {
    line: Vec<u8>,
    to: W,
}

fn in_lines<W: Write>(to: W) -> Lines<W> {
    Lines { line: Vec::new(), to }
}

impl<W: Write> Write for Lines<W> {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(part);
        if part.ends_with(b"\n") {
            self.to.write_all(&mem::take(&mut self.line))?;
        }
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Opens the file for appending; makes it and its directory, and puts a file
/// that has grown too large out of the way.
fn open_file(path: &Path) -> io::Result<File> {
    let open = || {
        OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits())
            .open(path)
    };
    let file = open().or_else(|error| match (error.kind(), path.parent()) {
        (io::ErrorKind::NotFound, Some(directory)) => {
            DirBuilder::new().recursive(true).mode(0o755).create(directory)?;
            open()
        }
        _ => Err(error),
    })?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    if metadata.len() < ROTATE_AT {
        return Ok(file);
    }
    rotate(path, &file);
    open()
}

/// Renames the file to `FILE.1`, unless somebody else has done so already.
fn rotate(path: &Path, file: &File) {
    let Ok(file) = file.try_clone() else { return };
    let Ok(file) = Flock::lock(file, FlockArg::LockExclusiveNonblock) else { return };
    let same = |a: io::Result<u64>, b: io::Result<u64>| matches!((a, b), (Ok(a), Ok(b)) if a == b);
    let inode = |metadata: std::fs::Metadata| metadata.ino();
    if same(file.metadata().map(inode), path.symlink_metadata().map(inode)) {
        let mut old = path.as_os_str().to_owned();
        old.push(".1");
        #[expect(clippy::disallowed_methods, reason = "the log rotates itself")]
        let _ = std::fs::rename(path, old);
    }
}

impl CallLine {
    /// The line of a call that is well-formed; its end is told later.
    pub fn of(request: &Request<'_>) -> Self {
        let attachment = request.attachment();
        let pod = attachment.and_then(|attachment| {
            let namespace = attachment.args.get("K8S_POD_NAMESPACE")?;
            let name = attachment.args.get("K8S_POD_NAME")?;
            Some(format!("{namespace}/{name}"))
        });
        CallLine {
            verb: request.verb().to_owned(),
            container: attachment.map(|attachment| attachment.container.clone()),
            interface: attachment.map(|attachment| attachment.interface.clone()),
            pod,
            digest: request.conf().map(|conf| conf.digest()),
            ..CallLine::default()
        }
    }

    /// The call went well.
    pub fn report(&mut self, report: &Report) {
        self.decision = report.decision.map(str::to_owned);
        self.reason = report.reason.map(str::to_owned);
        self.detail.clone_from(&report.detail);
        self.rules = report.rules.map(|rules| rules as u64);
    }

    /// The call failed.
    pub fn fail(&mut self, code: i32, error: &(dyn Error + 'static)) {
        self.code = Some(code);
        self.error = Some(ErrorChain(error).to_string());
    }

    /// Writes the line, with the time that the call took; a failed call's goes
    /// to stderr as well.
    pub fn write(&mut self, took: Duration) {
        self.us = Some(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        let level = if self.code.is_some() { Level::Error } else { Level::Info };
        let line = self.to_string();
        log::log!(target: CALL, level, "{line}");
    }

    /// Reads a line of the log; none if it is not a call's.
    pub fn parse(line: &str) -> Option<Self> {
        let mut rest = &line[line.find("verb=")?..];
        let mut call = CallLine::default();
        while let Some((key, after)) = rest.split_once('=') {
            let (value, after) = read_value(after)?;
            rest = after.trim_start();
            match key {
                "verb" => call.verb = value,
                "container" => call.container = Some(value),
                "ifname" => call.interface = Some(value),
                "pod" => call.pod = Some(value),
                "decision" => call.decision = Some(value),
                "reason" => call.reason = Some(value),
                "detail" => call.detail = Some(value),
                "rules" => call.rules = Some(value.parse().ok()?),
                "digest" => call.digest = Some(value),
                "us" => call.us = Some(value.parse().ok()?),
                "code" => call.code = Some(value.parse().ok()?),
                "error" => call.error = Some(value),
                // A newer version may say more.
                _ => {}
            }
        }
        (!call.verb.is_empty()).then_some(call)
    }
}

impl fmt::Display for CallLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "verb={}", log_value(&self.verb))?;
        let texts = [
            ("container", &self.container),
            ("ifname", &self.interface),
            ("pod", &self.pod),
            ("decision", &self.decision),
            ("reason", &self.reason),
            ("detail", &self.detail),
            ("digest", &self.digest),
        ];
        for (key, value) in texts {
            if let Some(value) = value {
                write!(f, " {key}={}", log_value(value))?;
            }
        }
        let numbers = [("rules", self.rules), ("us", self.us)];
        for (key, value) in numbers {
            if let Some(value) = value {
                write!(f, " {key}={value}")?;
            }
        }
        if let Some(code) = self.code {
            write!(f, " code={code}")?;
        }
        if let Some(error) = &self.error {
            write!(f, " error={}", log_value(error))?;
        }
        Ok(())
    }
}

/// The value at the start of `text`, and what follows it.
fn read_value(text: &str) -> Option<(String, &str)> {
    if !text.starts_with('"') {
        let end = text.find(' ').unwrap_or(text.len());
        return Some((text[..end].to_owned(), &text[end..]));
    }
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<String>();
    let value = values.next()?.ok()?;
    Some((value, &text[values.byte_offset()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> CallLine {
        CallLine {
            verb: "ADD".to_owned(),
            container: Some("0ec2".to_owned()),
            interface: Some("eth0".to_owned()),
            pod: Some("demo/web".to_owned()),
            decision: Some("redirect".to_owned()),
            reason: Some("annotation".to_owned()),
            detail: Some("annotation sidecar-injection is enabled".to_owned()),
            rules: Some(17),
            digest: Some("0123456789ab".to_owned()),
            us: Some(830),
            code: Some(100),
            error: Some("a \"b\"\n\u{2028}\u{1f600} verb=DEL c".to_owned()),
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let text = format!("2026-01-02T03:04:05Z [INFO] {}", line());
        assert_eq!(CallLine::parse(&text), Some(line()));
    }

    #[test]
    fn no_value_can_end_the_line() {
        let text = line().to_string();
        assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{text}");
    }

    #[test]
    fn a_value_is_cut_before_it_floods_the_log() {
        let mut line = line();
        line.error = Some("x y".repeat(10_000));
        assert!(line.to_string().len() < 2_000);
    }
}
