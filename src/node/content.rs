//! The content of a file, and a digest that shows whether it has changed.
//!
//! I/O: reads regular files, in a bounded way whatever others write there, and
//! puts our mark on a list of ours.

use std::fs::{File, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use nix::libc::{O_CLOEXEC, O_NONBLOCK};
use rustix::fs::{XattrFlags, fgetxattr, fsetxattr};

/// A larger file is no network configuration (in bytes). A list with 10,000
/// ranges has 400 KiB.
pub(crate) const MAX_TEXT: u64 = 2 << 20;
/// The extended attribute that holds our mark and the digest of the bytes. It
/// follows the file when that is renamed, and stays behind when the file is
/// copied or rewritten.
const MARK: &str = "user.osm-cni";

/// A digest of a file's bytes when it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen(Option<u64>);

/// A file as it was read.
#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) bytes: Vec<u8>,
    /// The permission bits.
    pub(crate) mode: u32,
    /// Our mark, if it is byte for byte what this program wrote.
    pub(crate) mark: Option<Mark>,
}

/// The kinds of files that this program writes as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    /// Our own list: a copy of the primary's with our entry.
    Own,
    /// The list that a single plugin became when our entry was inserted.
    Made,
}

impl Seen {
    /// The digest of these bytes.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Seen(Some(digest(bytes)))
    }

    /// The file could not be read.
    pub(crate) const UNREADABLE: Self = Seen(None);
}

/// The digest of a file's bytes now.
pub(crate) fn seen(path: &Path) -> Seen {
    read(path, MAX_TEXT).map_or(Seen::UNREADABLE, |content| Seen::of(&content.bytes))
}

/// Reads a file. Links are followed, as runtimes do. The reader does not wait
/// for what is no regular file.
pub(crate) fn read(path: &Path, most: u64) -> io::Result<Content> {
    let file = OpenOptions::new().read(true).custom_flags(O_NONBLOCK | O_CLOEXEC).open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(io::Error::other("is no regular file"));
    }
    if meta.len() > most {
        return Err(io::Error::other("it and the files before it are larger than 2 MiB or 4 MiB"));
    }
    let mut bytes = Vec::new();
    (&file).take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::Error::other("it grows while it is read"));
    }
    let mut value = [0; 32];
    let length = fgetxattr(&file, MARK, &mut value).unwrap_or_default();
    let is = |mark: &Mark| mark.value(&bytes).as_bytes() == &value[..length];
    let mark = [Mark::Own, Mark::Made].into_iter().find(is);
    Ok(Content { bytes, mode: meta.permissions().mode() & 0o7777, mark })
}

/// The text of a settings file.
///
/// # Errors
/// It cannot be read, or is not UTF-8.
pub(crate) fn text(path: &Path) -> io::Result<String> {
    let bytes = read(path, MAX_TEXT)?.bytes;
    String::from_utf8(bytes).map_err(|_| io::Error::other("is not UTF-8"))
}

impl Mark {
    /// Marks a file that holds these bytes. A file system without extended
    /// attributes has no marks: there our list is recognised only by its name.
    pub(crate) fn put(self, file: &File, bytes: &[u8]) {
        let _ = fsetxattr(file, MARK, self.value(bytes).as_bytes(), XattrFlags::empty());
    }

    fn value(self, bytes: &[u8]) -> String {
        let word = match self {
            Mark::Own => "own",
            Mark::Made => "made",
        };
        format!("{word} {:016x}", digest(bytes))
    }
}

fn digest(bytes: &[u8]) -> u64 {
    let mut hash = DefaultHasher::new();
    bytes.hash(&mut hash);
    hash.finish()
}
