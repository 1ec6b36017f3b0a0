//! The door to the node's files: reads a configuration directory, does the
//! planned steps, puts the binary in place and watches for changes. No other
//! file of this room changes anything on disk.
//!
//! Each change is a temporary file in the same directory, brought to disk and
//! then renamed, and the directory brought to disk after it. The temporary
//! names end in nothing that a runtime looks at; runtimes do not notice a
//! rename from another directory, so it has to be the same one.
#![expect(
    clippy::disallowed_methods,
    reason = "this is the one room that replaces and removes the node's files"
)]

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::libc::{O_CLOEXEC, O_NOFOLLOW, O_NONBLOCK};

use super::conflist::Kind;
use super::error::NodeError;
use super::plan::{CILIUM, ORIGINAL, Step};
use super::snapshot::{ConfFile, Snapshot};

/// The end of each temporary file's name.
const TEMPORARY: &str = ".osm-cni-tmp";
/// More than any network configuration has; a file beyond it is not read.
const MAX_TEXT: u64 = 1 << 20;

type Result<T> = std::result::Result<T, NodeError>;

/// Reads the files of a configuration directory that matter to us.
///
/// # Errors
/// The directory cannot be read. A single file that cannot is part of the
/// answer.
pub fn snapshot(dir: &Path) -> Result<Snapshot> {
    let fail = |error| NodeError::io("read the directory", dir, error);
    let mut files = Vec::new();
    for item in fs::read_dir(dir).map_err(fail)? {
        let item = item.map_err(fail)?;
        let Ok(name) = item.file_name().into_string() else {
            continue;
        };
        let known = Kind::of(&name).is_some() || name.ends_with(ORIGINAL) || name.ends_with(CILIUM);
        let is_dir = item.file_type().is_ok_and(|kind| kind.is_dir());
        if !known || is_dir {
            continue;
        }
        if let Some(file) = conf_file(&item.path(), name) {
            files.push(file);
        }
    }
    Ok(Snapshot::new(files))
}

/// One file; `None` when it went away after it was listed.
fn conf_file(path: &Path, name: String) -> Option<ConfFile> {
    let (text, mode) = match read_text(path) {
        Ok((text, mode)) => (Ok(text), mode),
        Err(_) if fs::symlink_metadata(path).is_err() => return None,
        Err(error) => (Err(error.to_string()), 0),
    };
    Some(ConfFile { name, text, mode })
}

/// A file's text and permission bits. Links are followed, as runtimes do; what
/// is no regular file is not waited for.
fn read_text(path: &Path) -> io::Result<(String, u32)> {
    let file = OpenOptions::new().read(true).custom_flags(O_NONBLOCK | O_CLOEXEC).open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(io::Error::other("is no regular file"));
    }
    let mut text = String::new();
    file.take(MAX_TEXT + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_TEXT {
        return Err(io::Error::other("is larger than 1 MiB"));
    }
    Ok((text, meta.permissions().mode() & 0o7777))
}

/// The text of a settings file.
///
/// # Errors
/// It cannot be read.
pub fn settings_text(path: &Path) -> Result<String> {
    match read_text(path) {
        Ok((text, _)) => Ok(text),
        Err(error) => Err(NodeError::io("read the settings", path, error)),
    }
}

/// When a file was last changed.
#[must_use]
pub fn changed_at(path: &Path) -> Option<std::time::SystemTime> {
    fs::metadata(path).and_then(|meta| meta.modified()).ok()
}

/// Does the planned steps in their order.
///
/// # Errors
/// The first step that failed; what was done before it is a valid state.
pub fn apply(dir: &Path, steps: &[Step]) -> Result<()> {
    for step in steps {
        match step {
            Step::Write { name, text, mode, expect, keep } => {
                let keep = keep.as_ref().map(|copy| dir.join(copy));
                write_text(&dir.join(name), text, *mode, expect.as_deref(), keep.as_deref())?;
            }
            Step::Rename { from, to } => rename(&dir.join(from), &dir.join(to))?,
            Step::Remove { name } => remove(&dir.join(name))?,
            Step::SetMode { name, mode } => {
                let path = dir.join(name);
                fs::set_permissions(&path, Permissions::from_mode(*mode))
                    .map_err(|error| NodeError::io("set the mode of", &path, error))?;
            }
        }
        sync_dir(dir)?;
    }
    Ok(())
}

fn write_text(
    path: &Path,
    text: &str,
    mode: u32,
    expect: Option<&str>,
    copy: Option<&Path>,
) -> Result<()> {
    let temporary = Temporary::make(path, mode, |file| file.write_all(text.as_bytes()))?;
    if let Some(copy) = copy {
        keep(path, copy)?;
    }
    // The owner may have written while we did; its word is the last one.
    if expect.is_some_and(|text| !matches!(read_text(path), Ok((now, _)) if now == text)) {
        copy.map_or(Ok(()), remove)?;
        return Err(NodeError::Changed(path.to_owned()));
    }
    if expect.is_some() {
        temporary.give_to_owner_of(path);
    }
    temporary.put(path)
}

/// Gives a file a second name, so that its bytes, owner, mode and times can
/// come back; where the file system has no second names, a copy.
fn keep(path: &Path, copy: &Path) -> Result<()> {
    let same = |a: &Path, b: &Path| {
        let (a, b) = (fs::symlink_metadata(a).ok()?, fs::symlink_metadata(b).ok()?);
        Some((a.dev(), a.ino()) == (b.dev(), b.ino()))
    };
    if same(path, copy) == Some(true) {
        return Ok(());
    }
    let temporary = Temporary::name(copy);
    if fs::hard_link(path, &temporary).is_ok() {
        return Temporary(Some(temporary)).put(copy);
    }
    let (text, mode) =
        read_text(path).map_err(|error| NodeError::io("read the original", path, error))?;
    write_text(copy, &text, mode, None, None)
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(|error| NodeError::io("rename", from, error))
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(NodeError::io("remove", path, error))
        }
        _ => Ok(()),
    }
}

/// Removes temporary files that a killed run has left.
///
/// # Errors
/// The directory cannot be read, or a file not removed.
pub fn sweep(dir: &Path) -> Result<()> {
    let fail = |error| NodeError::io("read the directory", dir, error);
    for item in fs::read_dir(dir).map_err(fail)? {
        let item = item.map_err(fail)?;
        let name = item.file_name();
        let name = name.to_string_lossy();
        if name.starts_with('.') && name.ends_with(TEMPORARY) {
            remove(&item.path())?;
        }
    }
    Ok(())
}

/// Brings a directory's names to disk.
fn sync_dir(dir: &Path) -> Result<()> {
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(|error| NodeError::io("sync the directory", dir, error))
}

/// A temporary file that is removed unless it was put in place.
struct Temporary(Option<PathBuf>);

impl Temporary {
    fn name(path: &Path) -> PathBuf {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        path.with_file_name(format!(".{name}.{}{TEMPORARY}", std::process::id()))
    }

    fn make(
        path: &Path,
        mode: u32,
        fill: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> Result<Self> {
        let temporary = Self::name(path);
        let fail = |error| NodeError::io("write", path, error);
        remove(&temporary)?;
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .custom_flags(O_NOFOLLOW | O_CLOEXEC)
            .open(&temporary)
            .map_err(fail)?;
        let kept = Self(Some(temporary));
        fill(&mut file).map_err(fail)?;
        // Not by `mode` above, which the umask cuts.
        file.set_permissions(Permissions::from_mode(mode)).map_err(fail)?;
        file.sync_all().map_err(fail)?;
        Ok(kept)
    }

    /// A foreign owner is kept where we may; without the capability CHOWN the
    /// file becomes ours, and runtimes can read it all the same.
    fn give_to_owner_of(&self, path: &Path) {
        if let (Some(temporary), Ok(old)) = (&self.0, fs::metadata(path)) {
            let _ = std::os::unix::fs::lchown(temporary, Some(old.uid()), Some(old.gid()));
        }
    }

    fn put(mut self, path: &Path) -> Result<()> {
        if let Some(temporary) = &self.0 {
            fs::rename(temporary, path).map_err(|error| NodeError::io("replace", path, error))?;
        }
        self.0 = None;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            let _ = fs::remove_file(path);
        }
    }
}

/// The installed binary, compared with the running program.
#[derive(Debug)]
pub struct Binary {
    path: PathBuf,
    /// What identified the file when it was last found to be the same.
    seen: Option<(u64, u64, i64, i64, u32)>,
}

impl Binary {
    /// The binary in this directory.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        let path = dir.join(super::conflist::OUR_TYPE);
        Self { path, seen: None }
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is wrong with it, if anything.
    ///
    /// # Errors
    /// The running program cannot be read.
    pub fn flaw(&mut self) -> Result<Option<&'static str>> {
        let Ok(meta) = fs::symlink_metadata(&self.path) else {
            self.seen = None;
            return Ok(Some("is missing"));
        };
        if !meta.is_file() {
            return Ok(Some("is no regular file"));
        }
        let id = (meta.dev(), meta.ino(), meta.mtime_nsec(), meta.ctime_nsec(), meta.mode());
        if self.seen == Some(id) {
            return Ok(None);
        }
        if meta.mode() & 0o777 != 0o755 {
            return Ok(Some("has not the mode 0755"));
        }
        let own = own_program()?;
        if !fs::read(&self.path).is_ok_and(|installed| installed == own) {
            return Ok(Some("is not this program"));
        }
        self.seen = Some(id);
        Ok(None)
    }

    /// Puts the running program in its place; answers what was wrong before,
    /// or `None` when nothing had to be written.
    ///
    /// # Errors
    /// The directory is missing or cannot be written.
    pub fn install(&mut self) -> Result<Option<&'static str>> {
        let Some(flaw) = self.flaw()? else {
            return Ok(None);
        };
        let own = own_program()?;
        Temporary::make(&self.path, 0o755, |file| file.write_all(&own))?.put(&self.path)?;
        sync_dir(self.path.parent().unwrap_or(Path::new(".")))?;
        Ok(Some(flaw))
    }

    /// Removes it.
    ///
    /// # Errors
    /// It is there and cannot be removed.
    pub fn remove(&self) -> Result<bool> {
        let there = fs::symlink_metadata(&self.path).is_ok();
        remove(&self.path)?;
        Ok(there)
    }
}

fn own_program() -> Result<Vec<u8>> {
    let path = Path::new("/proc/self/exe");
    fs::read(path).map_err(|error| NodeError::io("read the running program", path, error))
}
