//! `make bench`: how long osm-cni takes beside the floors under it and the
//! tools that it replaces. Everything in one run, by turns, so that whatever
//! else the machine does is shared by all. README.md in this directory says
//! what the figures mean.
//!
//! Runs programs, makes network namespaces and nodes with containerd; writes `results.md` and
//! `results.svg` beside itself.
#![allow(clippy::disallowed_methods, reason = "measures programs from outside")]

mod cases;
mod connect;
mod crowd;
mod installer;
mod plot;
mod process;
mod report;
mod sandbox;
mod space;
mod statistics;
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use cases::{Case, DOCUMENT, EMPTY, Files, MINIMAL, RESTORE};
use report::{Report, Row};
use space::Spaces;

/// Rounds with the same copies of the programs. One before them does not count:
/// files get into memory, modules loaded.
const ROUNDS_PER_COPY: usize = 10;

fn main() -> io::Result<()> {
    let rounds = std::env::args().nth(1).and_then(|rounds| rounds.parse().ok()).unwrap_or(200);
    let path = |name: &str| {
        std::env::var_os(name).map(PathBuf::from).ok_or_else(|| {
            io::Error::other(format!("{name} is not set: run this through `make bench`"))
        })
    };
    let (binary, floors) = (path("OSM_CNI_BIN")?, path("OSM_CNI_FLOORS")?);
    let directory = tempfile::tempdir()?;
    let files = Files::new(directory.path(), &binary, &floors)?;
    let cases = files.cases()?;
    // The kernel patches itself when the first namespace gets rules for nat and
    // when the last loses them, for a millisecond. A node always has some.
    let other = Spaces::new(1);
    let add = cases.iter().find(|case| case.name == DOCUMENT).ok_or(io::ErrorKind::NotFound)?;
    add.program.run(&other.path(0))?;
    let rows = processes(&files, &cases, rounds)?;
    let cold = cold(&files, &cases)?;
    let crowds = crowds(&cases)?;
    eprintln!("connections");
    let pods = connect::run(&files)?;
    let runtimes = sandbox::run();
    eprintln!("the installer, {} events of each kind", installer::ROUNDS);
    let reactions = installer::run(&binary)?;
    let binary = fs::metadata(&files.binary)?.len();
    let image = report::image_size(binary);
    let machine = machine()?;
    let report = Report { rows, cold, crowds, pods, runtimes, reactions, binary, image, machine };
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::write(here.join("results.md"), report.to_string())?;
    fs::write(here.join("results.svg"), plot::svg(&report))?;
    print!("{report}");
    Ok(())
}

/// Each case once per round, in namespaces made before it. What comes first
/// finds everything cold, and everybody finds what the one before left in the
/// caches: so the order is another one in each round.
fn processes(files: &Files, cases: &[Case], rounds: usize) -> io::Result<Vec<Row>> {
    let mut rows: Vec<Row> = cases
        .iter()
        .map(|case| Row { name: case.name, walls: Vec::new(), cpus: Vec::new(), memory: 0 })
        .collect();
    let launcher = files.helper("launch");
    let (mut order, later): (Vec<usize>, Vec<usize>) =
        (0..cases.len()).partition(|index| cases[*index].after.is_none());
    let mut random = fastrand::Rng::with_seed(1);
    for round in 0..rounds + rounds.div_ceil(ROUNDS_PER_COPY) {
        let warm_up = round % (ROUNDS_PER_COPY + 1) == 0;
        if warm_up {
            let done = round / (ROUNDS_PER_COPY + 1) * ROUNDS_PER_COPY;
            eprintln!("whole processes, round {done} of {rounds}");
            files.copy_programs()?;
        }
        let spaces = Spaces::new(cases.len());
        let mut place = BTreeMap::new();
        random.shuffle(&mut order);
        for &index in order.iter().chain(&later) {
            let (case, row) = (&cases[index], &mut rows[index]);
            let own = case.after.and_then(|name| place.get(name).copied()).unwrap_or(index);
            place.insert(case.name, own);
            let netns = spaces.path(own);
            if warm_up {
                let peak = case.program.peak_memory(&launcher, &netns)?;
                row.memory = row.memory.max(peak);
                continue;
            }
            let sample = case.program.run(&netns)?;
            row.walls.push(sample.wall);
            row.cpus.push(sample.cpu);
        }
    }
    for row in &mut rows {
        row.walls.sort();
        row.cpus.sort();
    }
    Ok(rows)
}

/// Runs with the program's file out of memory, as the first ADD of a node after
/// its start, or after a time without pods.
fn cold(files: &Files, cases: &[Case]) -> io::Result<Vec<Row>> {
    const RUNS: usize = 60;
    let cases: Vec<_> =
        cases.iter().filter(|case| [EMPTY, MINIMAL, DOCUMENT].contains(&case.name)).collect();
    let mut rows: Vec<Row> = cases
        .iter()
        .map(|case| Row { name: case.name, walls: Vec::new(), cpus: Vec::new(), memory: 0 })
        .collect();
    eprintln!("programs that are not in the page cache, {RUNS} runs of each");
    files.copy_programs()?;
    let mut random = fastrand::Rng::with_seed(1);
    let mut order: Vec<usize> = (0..cases.len()).collect();
    for _ in 0..RUNS {
        let spaces = Spaces::new(cases.len());
        random.shuffle(&mut order);
        for &index in &order {
            let sample = cases[index].program.run_cold(&spaces.path(index))?;
            rows[index].walls.push(sample.wall);
            rows[index].cpus.push(sample.cpu);
        }
    }
    for row in &mut rows {
        row.walls.sort();
        row.cpus.sort();
    }
    Ok(rows)
}

fn crowds(cases: &[Case]) -> io::Result<Vec<crowd::Crowd>> {
    let mut crowds = Vec::new();
    for at_a_time in [1, 8, 64] {
        for case in cases.iter().filter(|case| [DOCUMENT, RESTORE].contains(&case.name)) {
            eprintln!("{} pods, {at_a_time} at a time: {}", crowd::PODS, case.name);
            crowds.push(crowd::run(case.name, &case.program, at_a_time)?);
        }
    }
    Ok(crowds)
}

/// Kernel, processors, and what else the machine was doing.
fn machine() -> io::Result<String> {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let load = fs::read_to_string("/proc/loadavg")?;
    let cpus = std::thread::available_parallelism()?;
    let load: Vec<&str> = load.split(' ').take(3).collect();
    let kernel = kernel.trim();
    Ok(format!(
        "Linux {kernel}, {cpus} processors; load at the end (1, 5, 15 minutes): {}.",
        load.join(", ")
    ))
}
