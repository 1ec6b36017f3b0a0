//! Face 2, the operator's command line: one file per verb. Results go to
//! stdout, errors to stderr; exit codes are 0 done, 1 failed, 2 wrong usage.

mod cache;
mod connection;
mod describe;
mod explain;
mod inspect;
mod install;
mod installed;
mod json;
mod mermaid;
mod options;
mod paint;
mod pod_options;
mod render;
mod uninstall;
mod validate;
mod view;

use std::ffi::OsString;
use std::io::{self, Write};

use lexopt::prelude::*;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// Wrong usage: exit code 2.
    #[error("{0}")]
    Usage(String),
    /// It could not be done: exit code 1.
    #[error("{0}")]
    Failed(String),
    /// It could not be done, and a contract says with which exit code.
    #[error("{message}")]
    Exit {
        /// The exit code.
        code: u8,
        /// Why.
        message: String,
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

const HELP: &str = "\
osm-cni sets a sidecar mesh's traffic redirection from the node.

Usage: osm-cni COMMAND [OPTION]...

On a node:
  install     put the plugin into the node's CNI configuration and keep it there
  uninstall   take it out again

About pods:
  inspect     the rules that a pod has, where each comes from, and its counters
  render      the rules that a pod would get
  explain     the way that one connection takes, and why
  validate    in a pod: is outbound traffic captured?

osm-cni COMMAND --help says more. With CNI_COMMAND in the environment osm-cni is
the CNI plugin that a container runtime calls.

  -h, --help     print this
  -V, --version  print the version
";

/// Runs one command and returns the exit status; `args` begin with the
/// program's name.
pub fn run(args: impl IntoIterator<Item = OsString>) -> u8 {
    let mut args = lexopt::Parser::from_iter(args);
    // Not locked: `install` passes the plugin's log on from another thread.
    let mut out = io::stdout();
    let result = dispatch(&mut args, &mut out);
    // Nobody does it at the process's end, so also where a command failed.
    let flushed = out.flush();
    let result = result.and_then(|()| Ok(flushed?));
    let (code, message) = match result {
        Ok(()) => return 0,
        // Whoever read us has read enough.
        Err(CliError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            return 0;
        }
        Err(CliError::Usage(message)) => (2, format!("{message}\ntry: osm-cni --help")),
        Err(CliError::Exit { code, message }) => (code, message),
        Err(error) => (1, error.to_string()),
    };
    // Nobody is left to tell if stderr is closed, too.
    let _ = writeln!(io::stderr(), "osm-cni: {message}");
    code
}

/// Tells the operator what is odd but does no harm.
fn warn(warnings: &[String]) {
    for warning in warnings {
        // Nobody is left to tell if stderr is closed.
        let _ = writeln!(io::stderr(), "osm-cni: {warning}");
    }
}

fn dispatch(args: &mut lexopt::Parser, out: &mut dyn Write) -> Result<(), CliError> {
    match args.next()? {
        Some(Short('h') | Long("help")) => Ok(out.write_all(HELP.as_bytes())?),
        Some(Short('V') | Long("version")) => {
            Ok(writeln!(out, "osm-cni {}", env!("CARGO_PKG_VERSION"))?)
        }
        Some(Value(verb)) if verb == "inspect" => inspect::run(args, out),
        Some(Value(verb)) if verb == "render" => render::run(args, out),
        Some(Value(verb)) if verb == "explain" => explain::run(args, out),
        Some(Value(verb)) if verb == "validate" => validate::run(args, out),
        Some(Value(verb)) if verb == "install" => install::run(args, out),
        Some(Value(verb)) if verb == "uninstall" => uninstall::run(args, out),
        Some(Value(verb)) => Err(CliError::Usage(format!("there is no command {verb:?}"))),
        Some(other) => Err(other.unexpected().into()),
        None => Err(CliError::Usage("a command is needed".to_owned())),
    }
}
