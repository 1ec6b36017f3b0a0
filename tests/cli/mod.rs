//! The operator's command line: the binary as a process, what it prints, and
//! that the kernel agrees.

mod explain;
mod hostile;
mod inspect;
mod manners;
mod meshes;
pub(crate) mod node;
mod render;
mod schemas;
mod validate;
mod wait;

use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::host;
use crate::support::program::under_test;

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    /// The output of a command that went well and had nothing to complain of.
    #[track_caller]
    pub(crate) fn ok(&self) -> &str {
        assert_eq!((self.status, self.stderr.as_str()), (Some(0), ""), "{self:?}");
        &self.stdout
    }

    /// The same as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(self.ok()).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The message of a command that failed with this exit code, and printed
    /// nothing else.
    #[track_caller]
    pub(crate) fn failed(&self, status: i32) -> &str {
        assert_eq!((self.status, self.stdout.as_str()), (Some(status), ""), "{self:?}");
        &self.stderr
    }
}

/// Runs `osm-cni` with these arguments.
pub(crate) fn osm_cni(arguments: &[&str]) -> Run {
    finish(host::command(under_test()).args(arguments))
}

/// Runs `osm-cni` with a line of arguments, split at whitespace.
pub(crate) fn osm_cni_line(line: &str) -> Run {
    osm_cni(&line.split_whitespace().collect::<Vec<_>>())
}

/// Runs a command to its end. Nothing of our own environment comes along.
pub(crate) fn finish(command: &mut Command) -> Run {
    for name in ["CNI_COMMAND", "NO_COLOR", "TERM"] {
        command.env_remove(name);
    }
    let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output();
    let output = output.unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    Run {
        status: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

/// Settings in a file.
pub(crate) fn settings(text: impl ToString) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    host::write(file.path(), text.to_string());
    file
}

/// A path as an argument.
pub(crate) fn argument(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}
