//! One whole process, measured from outside: from before it is started until
//! it has been waited for.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use osm_cni::netns::Netns;

/// A program, and what it is given.
#[derive(Clone)]
pub(crate) struct Program {
    /// Path or name, and arguments.
    pub(crate) command: Vec<OsString>,
    /// Its whole environment but `PATH`.
    pub(crate) env: Vec<(&'static str, String)>,
    /// A file for standard input.
    pub(crate) stdin: PathBuf,
    /// Whether it has to be started inside the namespace, as tools of the node
    /// have; we enter it before the clock runs. A program that enters by itself gets
    /// `CNI_NETNS`.
    pub(crate) inside: bool,
}

/// What one process took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// Time on the clock.
    pub(crate) wall: Duration,
    /// Time on a processor, in user and kernel mode.
    pub(crate) cpu: Duration,
}

impl Program {
    /// Runs it for this namespace.
    ///
    /// # Errors
    /// Also where the program fails.
    pub(crate) fn run(&self, netns: &Path) -> io::Result<Sample> {
        if !self.inside {
            return self.run_here(netns);
        }
        let space = Netns::open(netns).map_err(io::Error::other)?;
        space.run(|| self.run_here(netns)).map_err(io::Error::other)?
    }

    /// Runs it with its file dropped from the page cache.
    ///
    /// # Errors
    /// Also if the kernel kept the file in memory, as it does on a tmpfs.
    pub(crate) fn run_cold(&self, netns: &Path) -> io::Result<Sample> {
        let file = File::open(&self.command[0])?;
        posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?;
        drop(file);
        let before = getrusage(UsageWho::RUSAGE_CHILDREN)?.major_page_faults();
        let sample = self.run(netns)?;
        if getrusage(UsageWho::RUSAGE_CHILDREN)?.major_page_faults() == before {
            return Err(io::Error::other(format!(
                "{:?} was read from memory: set TMPDIR to a directory on a disk",
                self.command[0]
            )));
        }
        Ok(sample)
    }

    /// The peak of its memory in KiB, with the small launcher as its parent.
    pub(crate) fn peak_memory(&self, launcher: &Path, netns: &Path) -> io::Result<u64> {
        let mut launched = self.clone();
        launched.command.insert(0, launcher.into());
        let measure = || {
            let output = launched.prepared(netns)?.stdout(Stdio::piped()).output()?;
            let text = String::from_utf8_lossy(&output.stdout);
            text.trim().parse().map_err(|_| failed(&launched.command, &output.stderr))
        };
        if !self.inside {
            return measure();
        }
        let space = Netns::open(netns).map_err(io::Error::other)?;
        space.run(measure).map_err(io::Error::other)?
    }

    fn run_here(&self, netns: &Path) -> io::Result<Sample> {
        let mut command = self.prepared(netns)?;
        command.stdout(Stdio::null());
        let before = cpu_of_children()?;
        let started = Instant::now();
        let status = command.spawn()?.wait()?;
        let wall = started.elapsed();
        let cpu = cpu_of_children()?.saturating_sub(before);
        if status.success() {
            Ok(Sample { wall, cpu })
        } else {
            Err(failed(&self.command, status.to_string().as_bytes()))
        }
    }

    fn prepared(&self, netns: &Path) -> io::Result<Command> {
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]).env_clear();
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("CNI_NETNS", netns);
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command.stdin(File::open(&self.stdin)?);
        Ok(command)
    }
}

/// Of all children that have been waited for. Where several run at once, only
/// the clock's time means anything.
fn cpu_of_children() -> io::Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Ok(Duration::from_micros(micros as u64))
}

fn failed(command: &[OsString], why: &[u8]) -> io::Error {
    let why = String::from_utf8_lossy(why);
    io::Error::other(format!("{:?} failed: {}", command, why.trim()))
}
