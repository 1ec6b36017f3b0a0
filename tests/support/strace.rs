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
        let mut entries: Vec<Entry> = Vec::new();
        for line in text.lines() {
            let Some((thread, call)) = line.split_once(' ') else { continue };
            let call = call.trim_start();
            // the second half of a call during which another thread had its turn
            if call.starts_with("<... ") {
                let first = entries.iter_mut().rfind(|entry| entry.thread == thread);
                first.into_iter().for_each(|entry| entry.line.push_str(call));
                continue;
            }
            let Some((name, _)) = call.split_once('(') else { continue };
            if !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
                let [thread, name, line] = [thread, name, call].map(str::to_owned);
                entries.push(Entry { thread, name, line });
            }
        }
        Trace(entries)
    }

    /// The names, each once.
    pub(crate) fn names(&self) -> BTreeSet<&str> {
        self.0.iter().map(|entry| entry.name.as_str()).collect()
    }

    /// All calls of this name, with arguments and results.
    pub(crate) fn lines<'t>(&'t self, name: &'t str) -> impl Iterator<Item = &'t str> {
        self.0.iter().filter(move |entry| entry.name == name).map(|entry| entry.line.as_str())
    }

    /// All calls of this name, each with the last of `earlier` that its own
    /// thread made before.
    pub(crate) fn with_last<'t>(
        &'t self,
        name: &'t str,
        earlier: &'t str,
    ) -> impl Iterator<Item = (&'t str, Option<&'t str>)> {
        let calls = self.0.iter().enumerate().filter(move |(_, entry)| entry.name == name);
        calls.map(move |(at, entry)| {
            let mut before = self.0[..at].iter().rev();
            let last = before.find(|last| last.thread == entry.thread && last.name == earlier);
            (entry.line.as_str(), last.map(|last| last.line.as_str()))
        })
    }

    /// Whether an injection took effect.
    pub(crate) fn was_injected(&self) -> bool {
        self.0.iter().any(|entry| entry.line.contains("(INJECTED"))
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
