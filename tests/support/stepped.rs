//! One call of the plugin, held at each system call so
//! that something can happen just then. For what strace has no words for.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::process::Child;

use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::plugin::{Answer, Call};

/// A call that is held by this thread; it ends with the test.
pub(crate) struct Stepped {
    child: Option<Child>,
    pid: Pid,
    inside: bool,
}

/// A system call that is about to be made.
#[derive(Debug)]
pub(crate) struct SystemCall {
    /// As `libc::SYS_…`.
    pub(crate) number: i64,
    pub(crate) arguments: [u64; 6],
}

impl Stepped {
    /// Starts it, gives it its input, and holds it as it is about to read that.
    pub(crate) fn start(call: &Call) -> Self {
        let mut child = call.spawn();
        let pid = Pid::from_raw(child.id().cast_signed());
        let options = Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_EXITKILL;
        ptrace::seize(pid, options).expect("it is ours");
        ptrace::interrupt(pid).expect("it can be held");
        call.feed(&mut child);
        let mut stepped = Stepped { child: Some(child), pid, inside: false };
        let status = stepped.wait();
        assert!(matches!(status, WaitStatus::PtraceEvent(..)), "{status:?}");
        // It was held somewhere in its start-up, or waiting for input already.
        while let Some(call) = stepped.step() {
            if call.number == libc::SYS_read && call.arguments[0] == 0 {
                return stepped;
            }
        }
        panic!("it read no input")
    }

    /// Lets it go to its next system call; none where that ends it.
    pub(crate) fn step(&mut self) -> Option<SystemCall> {
        loop {
            ptrace::syscall(self.pid, None).expect("it is held");
            let status = self.wait();
            assert!(matches!(status, WaitStatus::PtraceSyscall(_)), "{status:?}");
            self.inside = !self.inside;
            if self.inside {
                let call = self.system_call();
                return (call.number != libc::SYS_exit_group).then_some(call);
            }
        }
    }

    /// Writes into its memory.
    pub(crate) fn poke(&self, address: u64, bytes: &[u8]) {
        let memory = File::options().write(true).open(format!("/proc/{}/mem", self.pid));
        memory.and_then(|memory| memory.write_all_at(bytes, address)).expect("its memory");
    }

    /// Lets it go, and waits for its end.
    pub(crate) fn release(mut self) -> Answer {
        ptrace::detach(self.pid, None).expect("it is held");
        Answer::of(self.child.take().expect("once only"))
    }

    fn wait(&self) -> WaitStatus {
        waitpid(self.pid, Some(WaitPidFlag::__WALL)).expect("it is ours")
    }

    /// The kernel's words for a thread that is held: number and arguments.
    fn system_call(&self) -> SystemCall {
        let text = std::fs::read_to_string(format!("/proc/{}/syscall", self.pid));
        let text = text.expect("the kernel tells");
        let mut words = text.split_whitespace();
        let number = words.next().and_then(|word| word.parse().ok()).expect("a number");
        let hex = |word: &str| u64::from_str_radix(word.trim_start_matches("0x"), 16);
        let arguments = std::array::from_fn(|_| {
            words.next().and_then(|word| hex(word).ok()).expect("six arguments")
        });
        SystemCall { number, arguments }
    }
}

impl Drop for Stepped {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
