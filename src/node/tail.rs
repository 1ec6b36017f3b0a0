//! Copies the plugin's log to standard output, line by line, and counts its calls
//! for the metrics.
//!
//! I/O: reads the log file.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::libc::{O_CLOEXEC, O_NOFOLLOW, O_NONBLOCK};

use super::metrics::Metrics;
use super::report::Output;
use crate::sanitize;

/// How often the file is looked at.
const PERIOD: Duration = Duration::from_millis(250);
/// A line longer than this many bytes is passed on in parts.
const LONGEST_LINE: usize = 16 << 10;
/// The length of a line on standard output, in characters.
const LONGEST_SHOWN: usize = 4 << 10;
/// How many older lines are shown at the start.
const PAST_LINES: usize = 100;
/// How many bytes at the end of the file are searched for them.
const PAST_BYTES: u64 = 64 << 10;
/// How many bytes before the position are compared, to see whether the file was
/// rewritten.
const MARK: usize = 64;

/// The file that is being followed; another thread reads it.
#[derive(Debug, Clone)]
pub(crate) struct Following(Arc<Mutex<Option<PathBuf>>>);

impl Following {
    /// Follows another file from now on, or none.
    pub(crate) fn follow(&self, path: Option<PathBuf>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = path;
    }

    fn path(&self) -> Option<PathBuf> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Starts the thread that passes the log on. It ends with the process. The last
/// lines of the past come first, and are not counted again.
pub(crate) fn start(path: Option<PathBuf>, metrics: Arc<Metrics>, output: Output) -> Following {
    let following = Following(Arc::new(Mutex::new(path)));
    let handle = following.clone();
    let show = move |line: &str| output.line(sanitize::message(line, LONGEST_SHOWN));
    std::thread::spawn(move || {
        let mut tail: Option<Tail> = None;
        let mut is_first = true;
        loop {
            let path = handle.path();
            if tail.as_ref().map(|tail| &tail.path) != path.as_ref() {
                tail = path.map(|path| {
                    let (tail, past) = Tail::new(path);
                    past.iter().filter(|_| is_first).for_each(|line| show(line));
                    is_first = false;
                    tail
                });
            }
            if let Some(tail) = &mut tail {
                tail.read(|line| {
                    metrics.line(line);
                    show(line);
                });
            }
            std::thread::sleep(PERIOD);
        }
    });
    following
}

/// A reader of a growing file that survives its rotation and truncation.
#[derive(Debug)]
struct Tail {
    path: PathBuf,
    open: Option<Position>,
    /// The start of a line that has no end yet.
    rest: Vec<u8>,
}

/// How far a file was read.
#[derive(Debug)]
struct Position {
    file: File,
    offset: u64,
    /// The bytes before the offset.
    mark: Vec<u8>,
    /// When the file was last changed, if it was read to its end since.
    modified: Option<(i64, i64)>,
}

impl Tail {
    /// Follows a file from its end as it is now. What comes later under the same
    /// name is read from its start. Returns the last lines as well.
    fn new(path: PathBuf) -> (Self, Vec<String>) {
        let past = open(&path).and_then(|file| past(file).ok());
        let (open, lines) = match past {
            Some((position, lines)) => (Some(position), lines),
            None => (None, Vec::new()),
        };
        (Tail { path, open, rest: Vec::new() }, lines)
    }

    /// Hands over each line that is complete by now.
    fn read(&mut self, mut line: impl FnMut(&str)) {
        self.drain(&mut line);
        let id = |meta: &Metadata| (meta.dev(), meta.ino());
        let named = std::fs::symlink_metadata(&self.path).ok().map(|meta| id(&meta));
        let held = self.open.as_ref().and_then(|open| open.file.metadata().ok());
        if named.is_some() && named != held.map(|meta| id(&meta)) {
            // Rotated: what was still written to the old file comes first.
            self.drain(&mut line);
            self.open = open(&self.path).map(Position::start);
            self.drain(&mut line);
        }
    }

    fn drain(&mut self, line: &mut impl FnMut(&str)) {
        let Some(open) = &mut self.open else { return };
        if open.is_truncated() {
            self.rest.clear();
            open.rewind();
        }
        let mut buffer = [0; 16 << 10];
        while let Ok(count @ 1..) = open.file.read_at(&mut buffer, open.offset) {
            open.advance(&buffer[..count]);
            self.rest.extend_from_slice(&buffer[..count]);
            while let Some(end) = self.rest.iter().position(|&byte| byte == b'\n') {
                line(&String::from_utf8_lossy(&self.rest[..end]));
                self.rest.drain(..=end);
            }
            if self.rest.len() > LONGEST_LINE {
                line(&String::from_utf8_lossy(&self.rest));
                self.rest.clear();
            }
        }
        open.remember_time();
    }
}

impl Position {
    fn start(file: File) -> Self {
        Position { file, offset: 0, mark: Vec::new(), modified: None }
    }

    fn rewind(&mut self) {
        (self.offset, self.modified) = (0, None);
        self.mark.clear();
    }

    fn advance(&mut self, bytes: &[u8]) {
        self.offset += bytes.len() as u64;
        self.mark.extend_from_slice(bytes);
        self.mark.drain(..self.mark.len().saturating_sub(MARK));
    }

    /// Whether the file was rewritten: it is shorter, it has other bytes
    /// before our position, or it changed without growing.
    fn is_truncated(&self) -> bool {
        let Ok(meta) = self.file.metadata() else { return false };
        if meta.len() < self.offset {
            return true;
        }
        if meta.len() == self.offset && self.modified == Some(modified(&meta)) {
            return false;
        }
        let mut now = vec![0; self.mark.len()];
        let from = self.offset - self.mark.len() as u64;
        let same = self.file.read_exact_at(&mut now, from).is_ok() && now == self.mark;
        !same || (meta.len() == self.offset && self.modified.is_some())
    }

    fn remember_time(&mut self) {
        let meta = self.file.metadata().ok();
        let meta = meta.filter(|meta| meta.len() == self.offset);
        self.modified = meta.map(|meta| modified(&meta));
    }
}

fn modified(meta: &Metadata) -> (i64, i64) {
    (meta.mtime(), meta.mtime_nsec())
}

/// The last complete lines of a file, and the position behind them.
fn past(mut file: File) -> io::Result<(Position, Vec<String>)> {
    let end = file.seek(SeekFrom::End(0))?;
    let from = end.saturating_sub(PAST_BYTES);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    (&mut file).take(end - from).read_to_end(&mut bytes)?;
    let complete = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |last| last + 1);
    let text = String::from_utf8_lossy(&bytes[..complete]).into_owned();
    // The first line may be the end of a longer one.
    let lines = text.lines().skip(usize::from(from > 0));
    let mut lines: Vec<String> = lines.map(str::to_owned).collect();
    lines.drain(..lines.len().saturating_sub(PAST_LINES));
    let mut position = Position::start(file);
    position.offset = from;
    position.advance(&bytes[..complete]);
    Ok((position, lines))
}

/// Opens a regular file. A link or a pipe under the log's name is not followed
/// and not waited for.
fn open(path: &Path) -> Option<File> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
        .open(path)
        .ok()?;
    file.metadata().ok()?.is_file().then_some(file)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the test writes a log")]
mod tests {
    use super::*;

    fn lines(tail: &mut Tail) -> Vec<String> {
        let mut lines = Vec::new();
        tail.read(|line| lines.push(line.to_owned()));
        lines
    }

    #[test]
    fn a_file_that_is_truncated_and_grows_to_the_same_length_is_read_again() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("log");
        std::fs::write(&path, "one\n").expect("write");
        let (mut tail, past) = Tail::new(path.clone());
        assert_eq!((past, lines(&mut tail)), (vec!["one".to_owned()], vec![]));
        for text in ["two\n", "three\nfour\n", "x\n"] {
            std::fs::write(&path, text).expect("write");
            assert_eq!(lines(&mut tail), text.lines().collect::<Vec<_>>(), "{text:?}");
            assert_eq!(lines(&mut tail), Vec::<String>::new());
        }
    }

    #[test]
    fn the_past_is_the_last_hundred_complete_lines() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("log");
        let text: String = (0..5000).map(|number| format!("line {number:0>20}\n")).collect();
        std::fs::write(&path, format!("{text}rest")).expect("write");
        let (mut tail, past) = Tail::new(path.clone());
        assert_eq!(past.len(), PAST_LINES);
        assert_eq!(past.last().map(String::as_str), Some("line 00000000000000004999"));
        std::fs::write(&path, format!("{text}rest of it\n")).expect("write");
        assert_eq!(lines(&mut tail), ["rest of it"]);
    }
}
