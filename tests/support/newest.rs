//! Debian's newest nft and iptables, beside those that this machine has.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::host;

/// The path of one of them. They lie where `OSM_CNI_NEWEST` says, or where
/// `scripts/newest-nft.sh` fetched them.
///
/// # Panics
/// Where they can't be had, with the reason.
pub(crate) fn program(name: &str) -> String {
    static PROGRAMS: OnceLock<PathBuf> = OnceLock::new();
    let programs = PROGRAMS.get_or_init(|| {
        if let Some(path) = std::env::var_os("OSM_CNI_NEWEST") {
            return path.into();
        }
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/newest-nft.sh");
        let path = host::try_run(&[script, concat!(env!("CARGO_TARGET_TMPDIR"), "/newest-nft")]);
        let path = path.unwrap_or_else(|error| panic!("this test needs the newest nft: {error}"));
        Path::new(path.trim()).to_owned()
    });
    programs.join(name).display().to_string()
}
