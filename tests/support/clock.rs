//! Another wall clock than the machine's, for one program: Debian's package
//! faketime, loaded before the C library. That takes a program which is loaded
//! dynamically: `program::dynamic`, built from the same sources.
#![allow(clippy::disallowed_methods, reason = "removes what faketime leaves")]

use std::ffi::OsString;
use std::path::Path;

use super::host;

/// Where faketime keeps a file and a semaphore for each process.
const SHARED: &str = "/dev/shm";

/// Removes, when it is dropped, what faketime has left of processes that ended. A
/// plugin with an empty root cannot remove it, and the next process of that number
/// would see the true time.
pub(crate) struct Clocks;

impl Drop for Clocks {
    fn drop(&mut self) {
        sweep();
    }
}

fn sweep() {
    for name in host::names_in(Path::new(SHARED)) {
        let prefixes = ["faketime_shm_", "sem.faketime_sem_"];
        let pid = prefixes.iter().find_map(|prefix| name.strip_prefix(prefix));
        let is_over = |pid: &str| !Path::new("/proc").join(pid).exists();
        if pid.is_some_and(is_over) {
            // Another test may have removed it.
            let _ = std::fs::remove_file(Path::new(SHARED).join(&name));
        }
    }
}

/// Variables for a program whose wall clock shows this, in faketime's words:
/// `2039-07-01 00:00:00` stands still, `@2039-07-01 00:00:00` goes on from
/// there, `… x1000` a thousand times as fast, `… i60` a minute at each look.
///
/// The monotonic clock stays true, as when somebody sets the node's clock.
pub(crate) fn showing(time: &str) -> Vec<(&'static str, OsString)> {
    let mut env = common();
    env.push(("FAKETIME", time.into()));
    env
}

/// The same for a clock that is set by writing to this file, again at each look.
pub(crate) fn set_by(file: &Path) -> Vec<(&'static str, OsString)> {
    let mut env = common();
    env.push(("FAKETIME_TIMESTAMP_FILE", file.into()));
    env.push(("FAKETIME_NO_CACHE", "1".into()));
    env
}

fn common() -> Vec<(&'static str, OsString)> {
    sweep();
    let lib = Path::new("/usr/lib");
    let places = host::names_in(lib).into_iter().map(|name| lib.join(name));
    let library = places
        .map(|place| place.join("faketime/libfaketimeMT.so.1"))
        .find(|library| library.exists())
        .expect("this test needs the package faketime, which is not installed");
    vec![
        ("LD_PRELOAD", library.into()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
        // what lies on the disk keeps its times
        ("NO_FAKE_STAT", "1".into()),
        ("TZ", "UTC".into()),
    ]
}
