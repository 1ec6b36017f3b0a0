//! Standard output without a buffer. `std`'s buffer keeps bytes that could not be
//! written and tries them again later. A call must know at once whether its answer was
//! written, since its exit status depends on it.
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
