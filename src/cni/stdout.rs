//! Standard output without a buffer. That of `std` keeps what could not be
//! written, to try it again later. A call has no later: whether its answer was
//! written decides its exit status.
//!
//! I/O: writes to descriptor 1.

use std::io::{self, Write};

use nix::unistd;

/// Descriptor 1, each write one system call.
#[derive(Debug)]
pub(crate) struct Stdout;

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(unistd::write(io::stdout(), bytes)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
