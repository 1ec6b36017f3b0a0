//! Waiting for a fact. No I/O of its own.

use std::time::{Duration, Instant};

/// Calls `probe` until it returns Ok. Panics with its last error after `limit`,
/// which only ends a broken test.
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
