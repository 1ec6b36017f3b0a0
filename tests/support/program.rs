//! The program under test, in the forms that the tests need. Cargo builds those
//! that are not there yet.
#![allow(clippy::disallowed_methods, reason = "tests run cargo")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The program under test: the one that `OSM_CNI_BIN` names, else the one that
/// cargo built for the tests.
pub(crate) fn under_test() -> PathBuf {
    named().unwrap_or_else(|| env!("CARGO_BIN_EXE_osm-cni").into())
}

/// The release build: the one that `OSM_CNI_BIN` names, else it is built now.
pub(crate) fn release() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let build = || {
        run(Command::new(root().join("scripts/build.sh")).arg("--quiet"));
        root().join("target/release/osm-cni")
    };
    named().unwrap_or_else(|| BUILT.get_or_init(build).clone())
}

/// A build that is linked dynamically, for tests that preload a library.
pub(crate) fn dynamic() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let build = || {
        let target = root().join("target/dynamic");
        let mut cargo = Command::new(env!("CARGO"));
        cargo
            .args(["build", "--quiet", "--locked", "--bin", "osm-cni", "--target-dir"])
            .arg(&target)
            // This variable replaces the flags of .cargo/config.toml.
            .env("RUSTFLAGS", "-C target-feature=-crt-static");
        run(&mut cargo);
        let triple = env!("CARGO_BIN_EXE_osm-cni")
            .rsplit('/')
            .nth(2)
            .expect("cargo's path TARGET/PROFILE/osm-cni");
        target.join(triple).join("debug/osm-cni")
    };
    BUILT.get_or_init(build).clone()
}

fn named() -> Option<PathBuf> {
    std::env::var_os("OSM_CNI_BIN").map(PathBuf::from)
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn run(command: &mut Command) {
    let status = command.current_dir(root()).status();
    assert!(status.as_ref().is_ok_and(|status| status.success()), "{command:?}: {status:?}");
}
