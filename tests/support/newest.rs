//! Debian's newest nft and iptables, beside those that this machine has.
//! I/O: runs `scripts/newest-nft.sh`, which fetches them.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::host;

/// The path of one of the programs, from the directory that `OSM_CNI_NEWEST`
/// names or that `scripts/newest-nft.sh` prints.
///
/// # Panics
/// If they cannot be fetched, with the reason.
pub(crate) fn program(name: &str) -> String {
    static PROGRAMS: OnceLock<PathBuf> = OnceLock::new();
    let programs = PROGRAMS.get_or_init(|| {
        if let Some(path) = std::env::var_os("OSM_CNI_NEWEST") {
            return path.into();
        }
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/newest-nft.sh");
        let path = host::try_run(&[script]);
        let path = path.unwrap_or_else(|error| panic!("this test needs the newest nft: {error}"));
        Path::new(path.trim()).to_owned()
    });
    programs.join(name).display().to_string()
}
