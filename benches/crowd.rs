//! Many pods start at once: so many processes into so many namespaces, some at
//! a time.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::process::Program;
use crate::space::Spaces;

/// How many pods.
pub(crate) const PODS: usize = 250;

/// One crowd.
pub(crate) struct Crowd {
    /// The program's name.
    pub(crate) name: &'static str,
    /// How many run at a time.
    pub(crate) at_a_time: usize,
    /// From the first start to the last end.
    pub(crate) total: Duration,
    /// The slowest process.
    pub(crate) worst: Duration,
    /// How many failed.
    pub(crate) failed: usize,
}

/// Runs the program once for each of the pods.
pub(crate) fn run(name: &'static str, program: &Program, at_a_time: usize) -> io::Result<Crowd> {
    let spaces = Spaces::new(PODS);
    let paths = spaces.paths();
    let next = AtomicUsize::new(0);
    let started = Instant::now();
    let walls: Vec<Vec<Option<Duration>>> = thread::scope(|scope| {
        let workers: Vec<_> =
            (0..at_a_time).map(|_| scope.spawn(|| work(program, &paths, &next))).collect();
        workers.into_iter().map(|worker| worker.join().unwrap_or_default()).collect()
    });
    let total = started.elapsed();
    let walls: Vec<Option<Duration>> = walls.into_iter().flatten().collect();
    let ended = walls.iter().flatten();
    let worst = ended.clone().max().copied().unwrap_or_default();
    Ok(Crowd { name, at_a_time, total, worst, failed: PODS - ended.count() })
}

fn work(program: &Program, paths: &[PathBuf], next: &AtomicUsize) -> Vec<Option<Duration>> {
    let mine = std::iter::from_fn(|| paths.get(next.fetch_add(1, Ordering::Relaxed)));
    mine.map(|path| program.run(path).ok().map(|sample| sample.wall)).collect()
}
