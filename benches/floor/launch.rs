//! Runs a program and reports the peak of its memory: `launch PROGRAM [ARG]…`
//! prints KiB. Small itself, because Linux counts into a process's peak what
//! its parent had in memory when it was started.
#![allow(clippy::disallowed_methods, reason = "it exists to start a program")]

use std::env::args_os;
use std::io;
use std::process::{Command, Stdio};

use nix::sys::resource::{UsageWho, getrusage};

fn main() -> io::Result<()> {
    let mut args = args_os().skip(1);
    let program = args.next().ok_or(io::ErrorKind::InvalidInput)?;
    let status = Command::new(program).args(args).stdout(Stdio::null()).status()?;
    if !status.success() {
        return Err(io::Error::other(status.to_string()));
    }
    println!("{}", getrusage(UsageWho::RUSAGE_CHILDREN)?.max_rss());
    Ok(())
}
