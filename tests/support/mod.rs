//! What several subjects of the tests share. `host` is the door to the machine
//! (programs, files, namespaces); everything else goes through it.

pub(crate) mod containerd;
pub(crate) mod cri;
pub(crate) mod envoy;
pub(crate) mod host;
pub(crate) mod image;
pub(crate) mod netns;
pub(crate) mod pod;
pub(crate) mod rundir;
pub(crate) mod world;

use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The plugin under test: the one cargo built for these tests, or the one that
/// `OSM_CNI_BIN` names.
pub(crate) fn binary() -> PathBuf {
    std::env::var_os("OSM_CNI_BIN")
        .map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_osm-cni")), PathBuf::from)
}

/// Asks `probe` again and again until it has an answer; panics with what it
/// said last when `limit` is over. The limit is there to end a broken test,
/// not to measure.
pub(crate) fn wait_for<T>(
    what: &str,
    limit: Duration,
    mut probe: impl FnMut() -> Result<T, String>,
) -> T {
    let start = Instant::now();
    loop {
        match probe() {
            Ok(value) => return value,
            Err(last) if start.elapsed() > limit => {
                panic!("{what}: not after {limit:?}; last: {last}")
            }
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}
