//! The lines of `install` and `uninstall` while they run. Each problem is reported
//! once, on one line. A slow reader of the output delays nothing.
//!
//! I/O: writes standard output and standard error, each from a thread of its
//! own, so that a reader that does not read stops nothing.

use std::collections::BTreeSet;
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::time::{Duration, Instant};

use log::Level;

use crate::config::{LogFormat, LogSettings};
use crate::journal::CommandLog;

/// How many lines wait for a slow reader; more are lost.
const QUEUE: usize = 1024;
/// How many different problems are reported without a pause.
const PROBLEMS: usize = 32;
/// The pause between further problems.
const PAUSE: Duration = Duration::from_secs(10);

enum Message {
    Line(String),
    Flush(Sender<()>),
}

/// The two standard streams, and the format of the program's own lines on them.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    out: SyncSender<Message>,
    err: SyncSender<Message>,
    /// The format of the option; without it, that of the settings in force holds.
    asked: Option<LogFormat>,
    is_json: Arc<AtomicBool>,
}

impl Output {
    pub(crate) fn start(asked: Option<LogFormat>) -> Self {
        let output = Output {
            out: stream(std::io::stdout().as_fd()),
            err: stream(std::io::stderr().as_fd()),
            asked,
            is_json: Arc::default(),
        };
        output.follow(LogFormat::Text);
        output
    }

    /// The format that the settings name, unless another one was asked for.
    pub(crate) fn follow(&self, format: LogFormat) {
        let format = self.asked.unwrap_or(format);
        self.is_json.store(format == LogFormat::Json, Ordering::Relaxed);
    }

    /// A line on standard output, which must be safe to print.
    pub(crate) fn line(&self, line: String) {
        let _ = self.out.try_send(Message::Line(line));
    }

    fn log(&self, command: &'static str, level: Level, message: &str) {
        let is_json = self.is_json.load(Ordering::Relaxed);
        let format = if is_json { LogFormat::Json } else { LogFormat::Text };
        let stream = if level == Level::Info { &self.out } else { &self.err };
        CommandLog::new(command, Queue(stream.clone()), format).line(level, message);
    }

    /// Waits until all lines are written, at most so long.
    pub(crate) fn flush(&self, at_most: Duration) {
        for stream in [&self.out, &self.err] {
            let (done, wait) = channel();
            if stream.try_send(Message::Flush(done)).is_ok() {
                let _ = wait.recv_timeout(at_most);
            }
        }
    }
}

fn stream(to: BorrowedFd<'_>) -> SyncSender<Message> {
    let (sender, receiver) = sync_channel(QUEUE);
    // Not through std's streams, whose locks a blocked write would hold.
    if let Ok(to) = to.try_clone_to_owned() {
        std::thread::spawn(move || write_lines(&receiver, &mut File::from(to)));
    }
    sender
}

fn write_lines(lines: &Receiver<Message>, to: &mut File) {
    for message in lines {
        match message {
            // The reader may be gone.
            Message::Line(line) => drop(to.write_all(format!("{line}\n").as_bytes())),
            Message::Flush(done) => drop(done.send(())),
        }
    }
}

/// Where lines wait to be written.
struct Queue(SyncSender<Message>);

impl Write for Queue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line).trim_end().to_owned();
        let _ = self.0.try_send(Message::Line(text));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reports what a command does and finds, without repeating itself.
#[derive(Debug)]
pub(crate) struct Reporter {
    output: Output,
    /// The name of the command, which is part of each line.
    command: &'static str,
    said: String,
    problems: BTreeSet<u64>,
    last_problem: Option<Instant>,
}

impl Reporter {
    pub(crate) fn new(output: Output, command: &'static str) -> Self {
        Reporter {
            output,
            command,
            said: String::new(),
            problems: BTreeSet::new(),
            last_problem: None,
        }
    }

    /// Writes in the format of these settings from now on.
    pub(crate) fn follow(&self, log: &LogSettings) {
        self.output.follow(log.format);
    }

    /// A line on standard output, unless it is the last one again.
    pub(crate) fn info(&mut self, line: &str) {
        if self.said != line {
            line.clone_into(&mut self.said);
            self.problems.clear();
            self.output.log(self.command, Level::Info, line);
        }
    }

    /// An error on standard error, unless it was said since the last good news.
    pub(crate) fn problem(&mut self, line: &str) {
        self.complain(Level::Error, line);
    }

    /// The same for what is odd and does no harm.
    pub(crate) fn warning(&mut self, line: &str) {
        self.complain(Level::Warn, line);
    }

    fn complain(&mut self, level: Level, line: &str) {
        let mut hash = DefaultHasher::new();
        line.hash(&mut hash);
        let is_full = self.problems.len() >= PROBLEMS;
        let is_paused = self.last_problem.is_some_and(|then| then.elapsed() < PAUSE);
        if self.problems.contains(&hash.finish()) || (is_full && is_paused) {
            return;
        }
        if !is_full {
            self.problems.insert(hash.finish());
        }
        self.last_problem = Some(Instant::now());
        self.said.clear();
        self.output.log(self.command, level, line);
    }
}
