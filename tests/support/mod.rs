//! What the tests share: the plugin as a process, namespaces, runtimes, pods.
//! `host` is the door to the machine's programs and files.

pub(crate) mod clock;
pub(crate) mod containerd;
pub(crate) mod cri;
pub(crate) mod envoy;
pub(crate) mod host;
pub(crate) mod image;
pub(crate) mod namespace;
pub(crate) mod netns;
pub(crate) mod newest;
pub(crate) mod plugin;
pub(crate) mod pod;
pub(crate) mod program;
pub(crate) mod rundir;
pub(crate) mod schema;
pub(crate) mod stepped;
pub(crate) mod strace;
pub(crate) mod world;

use std::time::{Duration, Instant};

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
