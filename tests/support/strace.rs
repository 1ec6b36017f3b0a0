//! System calls of the plugin, watched and tampered with by strace.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::Path;

use super::host;
use super::plugin::{Answer, Call};

const STRACE: &str = "/usr/bin/strace";

/// The system calls of one run, in order.
#[derive(Debug)]
pub(crate) struct Trace(Vec<Entry>);

#[derive(Debug)]
struct Entry {
    thread: String,
    name: String,
    line: String,
}

/// One system call of a run: the n-th of this name in its thread, from 1, as
/// strace counts for its injections.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) name: String,
    pub(crate) nth: usize,
}

/// Runs the call and writes all its system calls down.
pub(crate) fn trace(call: &Call) -> (Answer, Trace) {
    watched(call, &[])
}

/// Runs the call with this injection, like `sendto:error=ENOBUFS:when=1`. The
/// trace says whether the place was reached at all.
pub(crate) fn inject(call: &Call, injection: &str) -> (Answer, Trace) {
    let name = injection.split(':').next().unwrap_or_default();
    watched(call, &["-e", &format!("trace={name}"), "-e", &format!("inject={injection}")])
}

fn watched(call: &Call, options: &[&str]) -> (Answer, Trace) {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    let answer = call.clone().under(command(file.path(), options)).run();
    let text = std::fs::read_to_string(file.path()).expect("strace's output is text");
    (answer, Trace::read(&text))
}

/// strace, with these options, writing to this file.
pub(crate) fn command(output: &Path, options: &[&str]) -> Vec<OsString> {
    host::require(&["strace"]);
    let mut words: Vec<OsString> = [STRACE, "-f", "-qq", "-o"].map(Into::into).to_vec();
    words.push(output.into());
    words.extend(options.iter().map(Into::into));
    words
}

impl Trace {
    fn read(text: &str) -> Self {
        let entries = text.lines().filter_map(|line| {
            let (thread, call) = line.split_once(' ')?;
            let (name, _) = call.trim_start().split_once('(')?;
            let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            (is_name && !name.is_empty()).then(|| Entry {
                thread: thread.to_owned(),
                name: name.to_owned(),
                line: call.trim_start().to_owned(),
            })
        });
        Trace(entries.collect())
    }

    /// The names, each once.
    pub(crate) fn names(&self) -> BTreeSet<&str> {
        self.0.iter().map(|entry| entry.name.as_str()).collect()
    }

    /// All calls of this name, with arguments and results.
    pub(crate) fn lines<'t>(&'t self, name: &'t str) -> impl Iterator<Item = &'t str> {
        self.0.iter().filter(move |entry| entry.name == name).map(|entry| entry.line.as_str())
    }

    /// Whether an injection took effect.
    pub(crate) fn was_injected(&self) -> bool {
        self.0.iter().any(|entry| entry.line.contains("(INJECTED)"))
    }

    /// Every place of a run once, in alphabetical order. The call that starts
    /// the program is strace's own.
    pub(crate) fn places(&self) -> BTreeSet<Place> {
        let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        let calls = self.0.iter().filter(|entry| entry.name != "execve");
        let places = calls.map(|entry| {
            let count = counts.entry((&entry.thread, &entry.name)).or_default();
            *count += 1;
            Place { name: entry.name.clone(), nth: *count }
        });
        places.collect()
    }
}
