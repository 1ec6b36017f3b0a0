//! The start of this program's process, in place of the one that Rust's
//! run-time makes. That one reads `/proc/self/maps` to find the stack's guard
//! page and sets up a stack for a message about its overflow: a tenth of a
//! pod's call, for a message.
//!
//! A door: changes the process's signal mask and its standard descriptors.

use std::fs::File;
use std::mem;

use nix::sys::signal::{SigSet, Signal};
use rustix::io::fcntl_getfd;
use rustix::stdio;

/// Where nothing is read and everything written is lost.
const NOWHERE: &str = "/dev/null";

/// For the first thread, before anything is opened.
pub fn begin() {
    // Whoever stops reading is an error to be told, not this process's end.
    let mut broken_pipe = SigSet::empty();
    broken_pipe.add(Signal::SIGPIPE);
    let _ = broken_pipe.thread_block();
    // A file in the place of a closed standard descriptor would get what is
    // meant for that. The lowest free number is taken, so in their order.
    for descriptor in [stdio::stdin(), stdio::stdout(), stdio::stderr()] {
        if fcntl_getfd(descriptor).is_err() {
            let nowhere = File::options().read(true).write(true).open(NOWHERE);
            mem::forget(nowhere);
        }
    }
}
