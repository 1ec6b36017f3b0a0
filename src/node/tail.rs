//! Passes the plugin's log on to standard output, line by line, and to the
//! metrics. Reads the log file; writes nothing but standard output.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::libc::{O_CLOEXEC, O_NOFOLLOW, O_NONBLOCK};

use super::metrics::Metrics;

/// How often the file is looked at.
const PERIOD: Duration = Duration::from_millis(250);
/// A line longer than this many bytes is passed on in parts.
const LONGEST_LINE: usize = 64 << 10;

/// The file that is being followed; another thread reads it.
#[derive(Debug, Clone)]
pub struct Following(Arc<Mutex<Option<PathBuf>>>);

impl Following {
    /// Follows another file from now on, or none.
    pub fn follow(&self, path: Option<PathBuf>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = path;
    }

    fn path(&self) -> Option<PathBuf> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Starts the thread that passes the log on. It ends with the process.
#[must_use]
pub fn start(path: Option<PathBuf>, metrics: Arc<Metrics>) -> Following {
    let following = Following(Arc::new(Mutex::new(path)));
    let handle = following.clone();
    std::thread::spawn(move || {
        let mut tail = Tail::new(handle.path());
        loop {
            if handle.path() != tail.path {
                tail = Tail::new(handle.path());
            }
            let mut out = io::stdout().lock();
            // Whoever reads our output may be gone; the metrics go on.
            tail.read(|line| {
                metrics.line(line);
                let _ = writeln!(out, "{line}");
            });
            let _ = out.flush();
            drop(out);
            std::thread::sleep(PERIOD);
        }
    });
    following
}

/// A reader of a growing file that survives its rotation and truncation.
#[derive(Debug)]
pub struct Tail {
    path: Option<PathBuf>,
    open: Option<(File, u64)>,
    rest: Vec<u8>,
}

impl Tail {
    /// Follows a file from its end as it is now; what comes later under the
    /// same name is read from its start.
    #[must_use]
    pub fn new(path: Option<PathBuf>) -> Self {
        let open = path.as_deref().and_then(|path| {
            let mut file = open(path)?;
            let end = file.seek(SeekFrom::End(0)).ok()?;
            Some((file, end))
        });
        Tail { path, open, rest: Vec::new() }
    }

    /// Hands over each line that is complete by now.
    pub fn read(&mut self, mut line: impl FnMut(&str)) {
        let Some(path) = self.path.clone() else { return };
        self.drain(&mut line);
        let id = |meta: &std::fs::Metadata| (meta.dev(), meta.ino());
        let named = std::fs::symlink_metadata(&path).ok().map(|meta| id(&meta));
        let held =
            self.open.as_ref().and_then(|(file, _)| file.metadata().ok()).map(|meta| id(&meta));
        if named.is_some() && named != held {
            // Rotated: what was still written to the old file comes first.
            self.drain(&mut line);
            self.open = open(&path).map(|file| (file, 0));
            self.drain(&mut line);
        }
    }

    fn drain(&mut self, line: &mut impl FnMut(&str)) {
        let Some((file, position)) = &mut self.open else { return };
        if file.metadata().is_ok_and(|meta| meta.len() < *position) {
            // Truncated: begin again.
            *position = 0;
            self.rest.clear();
            if file.rewind().is_err() {
                return;
            }
        }
        let mut buffer = [0; 16 << 10];
        while let Ok(count @ 1..) = file.read(&mut buffer) {
            *position += count as u64;
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
    }
}

/// Opens a regular file; the log's directory is root's, but a link in it or a
/// pipe is still nothing to wait for.
fn open(path: &Path) -> Option<File> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
        .open(path)
        .ok()?;
    file.metadata().ok()?.is_file().then_some(file)
}
