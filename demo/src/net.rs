//! A network namespace that is gone when dropped.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::thread;

use nix::sched::{CloneFlags, setns};

use crate::host::{failed, run};

/// A named network namespace.
pub struct Netns {
    name: String,
}

impl Netns {
    /// Makes one with its loopback device up.
    pub fn new(name: String) -> Result<Self, String> {
        run(&["ip", "netns", "add", &name], "")?;
        let netns = Netns { name };
        netns.ip("link set lo up")?;
        Ok(netns)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn path(&self) -> PathBuf {
        Path::new("/run/netns").join(&self.name)
    }

    /// Runs `ip` inside; the arguments are separated by blanks.
    pub fn ip(&self, arguments: &str) -> Result<String, String> {
        let words = ["ip", "-n", &self.name].into_iter().chain(arguments.split(' '));
        run(&words.collect::<Vec<_>>(), "")
    }

    /// Does `work` inside, on a thread that ends with it.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, String> {
        let file = File::open(self.path()).map_err(failed("cannot open the namespace"))?;
        thread::scope(|scope| {
            let thread = scope.spawn(|| {
                setns(&file, CloneFlags::CLONE_NEWNET).map_err(failed("cannot enter"))?;
                Ok(work())
            });
            thread.join().map_err(|_| "a thread panicked".to_owned())?
        })
    }

    /// Runs a program inside, with this on its standard input.
    pub fn run(&self, words: &[&str], env: &[(&str, &str)], stdin: &str) -> Result<String, String> {
        self.inside(|| crate::host::run_with(words, env, stdin))?
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        if let Err(error) = run(&["ip", "netns", "del", &self.name], "") {
            eprintln!("demo: {error}");
        }
    }
}
