//! The plugin's program in the runtime's plugin directory.
//!
//! I/O: reads the running program, and replaces the installed one through
//! `replace.rs`.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::error::NodeError;
use super::replace::{self, Temporary};
use crate::config::PLUGIN_TYPE;

/// The running program.
const OWN_PROGRAM: &str = "/proc/self/exe";
/// How many bytes are compared at once.
const PIECE: usize = 64 << 10;

/// Metadata that changes when a file does: device, inode, length, times, mode.
type Identity = (u64, u64, u64, (i64, i64), (i64, i64), u32);

/// The installed program, compared with the running one.
#[derive(Debug)]
pub(crate) struct Binary {
    path: PathBuf,
    /// The file when it was last found to be the same.
    seen: Option<Identity>,
}

impl Binary {
    /// The program in this directory.
    pub(crate) fn new(dir: &Path) -> Self {
        Self { path: dir.join(PLUGIN_TYPE), seen: None }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What is wrong with it, if anything.
    ///
    /// # Errors
    /// The running program cannot be read.
    pub(crate) fn flaw(&mut self) -> Result<Option<&'static str>, NodeError> {
        let Ok(meta) = fs::symlink_metadata(&self.path) else {
            self.seen = None;
            return Ok(Some("is missing"));
        };
        if !meta.is_file() {
            return Ok(Some("is no regular file"));
        }
        let identity = identity(&meta);
        if self.seen == Some(identity) {
            return Ok(None);
        }
        if meta.mode() & 0o777 != 0o755 {
            return Ok(Some("has not the mode 0755"));
        }
        if !is_own_program(&self.path)? {
            return Ok(Some("is not this program"));
        }
        self.seen = Some(identity);
        Ok(None)
    }

    /// Puts the running program in its place. Returns what was wrong before,
    /// or `None` if nothing had to be written.
    ///
    /// # Errors
    /// The directory is missing or cannot be written.
    pub(crate) fn install(&mut self) -> Result<Option<&'static str>, NodeError> {
        let Some(flaw) = self.flaw()? else {
            return Ok(None);
        };
        let mut own = own_program()?;
        let copied = |file: &mut File| io::copy(&mut own, file).map(drop);
        Temporary::make(&self.path, 0o755, copied)?.put(&self.path)?;
        replace::sync_dir(self.path.parent().unwrap_or(Path::new(".")))?;
        Ok(Some(flaw))
    }

    /// Removes it, and returns whether it was there.
    ///
    /// # Errors
    /// It is there and cannot be removed.
    pub(crate) fn remove(&self) -> Result<bool, NodeError> {
        let there = fs::symlink_metadata(&self.path).is_ok();
        replace::remove(&self.path)?;
        Ok(there)
    }
}

/// The first of these programs that is not in the directory. A link counts as
/// there: in a container it may lead to a place that is only on the node.
pub(crate) fn missing<'p>(dir: &Path, programs: &'p [String]) -> Option<&'p str> {
    let is_there = |program: &&String| {
        let is_name = !program.contains('/') && !matches!(program.as_str(), "." | "..");
        let meta = fs::symlink_metadata(dir.join(program));
        is_name
            && meta.is_ok_and(|meta| {
                meta.file_type().is_symlink() || (meta.is_file() && meta.mode() & 0o111 != 0)
            })
    };
    programs.iter().find(|program| !is_there(program)).map(String::as_str)
}

fn identity(meta: &fs::Metadata) -> Identity {
    let modified = (meta.mtime(), meta.mtime_nsec());
    let changed = (meta.ctime(), meta.ctime_nsec());
    (meta.dev(), meta.ino(), meta.len(), modified, changed, meta.mode())
}

fn own_program() -> Result<File, NodeError> {
    let path = Path::new(OWN_PROGRAM);
    File::open(path).map_err(|error| NodeError::io("read the running program", path, error))
}

/// Whether a file has the bytes of the running program. Both are read piece by
/// piece: the program is larger than all other memory that this process needs.
fn is_own_program(path: &Path) -> Result<bool, NodeError> {
    let mut own = own_program()?;
    let Ok(mut installed) = File::open(path) else { return Ok(false) };
    let fail = |error| NodeError::io("read the running program", OWN_PROGRAM, error);
    let (mut a, mut b) = (vec![0; PIECE], vec![0; PIECE]);
    loop {
        let length = fill(&mut own, &mut a).map_err(fail)?;
        let Ok(other) = fill(&mut installed, &mut b) else { return Ok(false) };
        if a[..length] != b[..other] {
            return Ok(false);
        }
        if length == 0 {
            return Ok(true);
        }
    }
}

/// Reads until the buffer is full or the file ends.
fn fill(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match file.read(&mut buffer[length..])? {
            0 => break,
            count => length += count,
        }
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn a_file_that_changed_whole_seconds_later_is_another_one() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let at = |seconds| {
            let time = UNIX_EPOCH + Duration::new(seconds, 5);
            file.as_file().set_modified(time).expect("its time is set");
            let (.., modified, _, _) = identity(&file.as_file().metadata().expect("its state"));
            modified
        };
        assert_ne!(at(1_000_000_000), at(1_000_000_001));
    }
}
