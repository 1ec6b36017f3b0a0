//! Figures of a sample of times.
//!
//! Pure.

use std::time::Duration;

/// The value below which so many percent of the sorted values lie.
pub(crate) fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let last = sorted.len().saturating_sub(1);
    sorted.get((sorted.len() * percent / 100).min(last)).copied().unwrap_or_default()
}

/// The middle one.
pub(crate) fn median(sorted: &[Duration]) -> Duration {
    percentile(sorted, 50)
}
