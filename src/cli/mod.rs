//! The operator's command line: one file per verb. Results go to standard
//! output, errors to standard error.
//!
//! I/O: the standard streams.

mod arguments;
mod audit;
mod completion;
mod conditions;
mod connection;
mod describe;
mod explain;
mod facts;
mod help;
mod inspect;
mod install;
mod installed;
mod json;
mod man;
mod mermaid;
mod options;
mod outcome;
mod paint;
mod period;
mod pod_options;
mod render;
mod table_text;
mod tables;
mod uninstall;
mod validate;
mod verb;
mod wait;
mod wrap;

use std::ffi::OsString;
use std::io::{self, Stdout, Write};

use lexopt::prelude::*;

use crate::near::nearest;
use crate::sanitize;
use help::Section;
use verb::Verb;

/// The longest line on standard error.
const MESSAGE_MAX: usize = 4000;

/// All verbs, by the place where they are run.
static SECTIONS: &[Section] = &[
    Section { title: "On a node", verbs: &[&install::VERB, &uninstall::VERB, &audit::VERB] },
    Section { title: "About pods", verbs: &[&inspect::VERB, &render::VERB, &explain::VERB] },
    Section { title: "In a pod", verbs: &[&validate::VERB, &wait::VERB] },
    Section { title: "For this system", verbs: &[&completion::VERB, &man::VERB] },
];

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// Wrong usage: exit code 2.
    #[error("{0}")]
    Usage(String),
    /// It could not be done: exit code 1.
    #[error("{0}")]
    Failed(String),
    /// It could not be done, and the log says why.
    #[error("it is in the log")]
    Reported,
    /// It could not be done, and a contract says with which exit code.
    #[error("{message}")]
    Exit {
        /// The exit code.
        code: u8,
        /// Why.
        message: String,
        /// What helps, a line each.
        hints: Vec<String>,
    },
    /// The output could not be written.
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
}

impl From<lexopt::Error> for CliError {
    fn from(error: lexopt::Error) -> Self {
        CliError::Usage(error.to_string())
    }
}

/// Runs one command and returns the exit status: 0 done, 1 failed, 2 wrong
/// usage, or the verb's own. `args` begin with the program's name.
pub fn run(args: impl IntoIterator<Item = OsString>) -> u8 {
    let mut args = lexopt::Parser::from_iter(args);
    // Not locked: `install` passes the plugin's log on from another thread.
    let mut out = io::stdout();
    let mut verb = None;
    let result = dispatch(&mut args, &mut verb, &mut out);
    // The process's end does not flush, so also where a command failed.
    let flushed = out.flush();
    let (code, lines) = match result.and_then(|()| Ok(flushed?)) {
        Ok(()) => return 0,
        // The reader closed the pipe.
        Err(CliError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => return 0,
        Err(CliError::Usage(message)) => {
            let verb = verb.map(|verb| format!("{} ", verb.name)).unwrap_or_default();
            (2, vec![message, format!("try: osm-cni {verb}--help")])
        }
        Err(CliError::Reported) => return 1,
        Err(CliError::Exit { code, message, hints }) => (code, [vec![message], hints].concat()),
        Err(error) => (1, vec![error.to_string()]),
    };
    for (index, line) in lines.iter().enumerate() {
        let line = sanitize::message(line, MESSAGE_MAX);
        let name = if index == 0 { "osm-cni: " } else { "" };
        // Standard error may be closed: then nothing can be reported.
        let _ = writeln!(io::stderr(), "{name}{line}");
    }
    code
}

/// Reads a file of libcni's cache as `inspect` does: the pod's namespace and
/// name, if it is an attachment that names one. For the fuzz target.
pub fn attachment_of_cache(text: &str) -> Option<(String, String)> {
    let cached = crate::node::cache::Cached::parse(text)?;
    let (namespace, name) = cached.pod()?;
    Some((namespace.to_owned(), name.to_owned()))
}

/// Reports what is odd but does no harm.
fn warn(warnings: &[String]) {
    for warning in warnings {
        let warning = sanitize::message(warning, MESSAGE_MAX);
        // Standard error may be closed: then nothing can be reported.
        let _ = writeln!(io::stderr(), "osm-cni: {warning}");
    }
}

/// Runs the verb, which is also returned.
fn dispatch(
    args: &mut lexopt::Parser,
    chosen: &mut Option<&'static Verb>,
    out: &mut Stdout,
) -> Result<(), CliError> {
    let name = match args.next()? {
        Some(Short('h') | Long("help")) => return Ok(help::program(SECTIONS, out)?),
        Some(Short('V') | Long("version")) => return version(out),
        Some(Value(name)) => name.to_string_lossy().into_owned(),
        Some(other) => return Err(other.unexpected().into()),
        None => return Err(CliError::Usage("a command is needed".to_owned())),
    };
    match name.as_str() {
        "version" => version(out),
        "help" => match args.next()? {
            None | Some(Short('h') | Long("help")) => Ok(help::program(SECTIONS, out)?),
            Some(Value(name)) => Ok(help::verb(find(&name.to_string_lossy())?, out)?),
            Some(other) => Err(other.unexpected().into()),
        },
        name => {
            let verb = find(name)?;
            *chosen = Some(verb);
            let options: Vec<_> = verb.options().copied().collect();
            match arguments::parse(&options, verb.operand.as_ref(), args)? {
                None => Ok(help::verb(verb, out)?),
                Some(given) => (verb.run)(&given, out),
            }
        }
    }
}

fn version(out: &mut Stdout) -> Result<(), CliError> {
    Ok(writeln!(out, "osm-cni {}", env!("CARGO_PKG_VERSION"))?)
}

fn find(name: &str) -> Result<&'static Verb, CliError> {
    let mut verbs = SECTIONS.iter().flat_map(|section| section.verbs);
    verbs.clone().find(|verb| verb.name == name).copied().ok_or_else(|| {
        let names = verbs.by_ref().map(|verb| verb.name).chain(["help", "version"]);
        let hint = nearest(name, names).map(|near| format!(", did you mean {near}?"));
        let name = sanitize::value(name);
        CliError::Usage(format!("there is no command {name:?}{}", hint.unwrap_or_default()))
    })
}
