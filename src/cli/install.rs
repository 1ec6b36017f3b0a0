//! `osm-cni install`: its options, and the report in words.

use std::ffi::OsString;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;

use lexopt::prelude::*;

use super::CliError;
use crate::node::install::{self, Options};
use crate::node::{Mode, NodeError, reconcile};

const HELP: &str = "\
Puts the plugin's binary and its entry in the CNI configuration of this node,
and keeps both there: watches the directories, repairs what others change,
follows the settings, and passes the plugin's log on to standard output.
SIGTERM ends it and removes nothing; see osm-cni uninstall.

Usage: osm-cni install [OPTION]...

  --bin-dir DIR     where the runtime looks for plugins (/opt/cni/bin)
  --conf-dir DIR    where it looks for network configurations (/etc/cni/net.d)
  --config FILE     the settings: a settings object, a conflist with our entry,
                    or a MeshConfig as kubectl prints it in JSON (all defaults)
  --mode MODE       own: a list of our own, a copy of the primary's with our
                    entry, which sorts before it (default)
                    insert: our entry at the end of the primary's own file; the
                    way for Multus
  --conf-name NAME  our own list's file name (00-osm-cni.conflist)
  --metrics ADDR    serve http://ADDR/metrics for Prometheus, and /readyz
  --once            do it once and end
  --check           change nothing; exit 1 unless all is in place and current
  -h, --help        print this

The primary is the first file by name that the runtime reads. Where it cannot be
used, nothing is written and the file is named: another one is never taken in its
place. Under CRI-O a list whose binary is missing or fails VERSION is skipped,
and the next one in the directory takes over, without redirection: --check fails
then.

Example:
  osm-cni install --config /etc/osm-cni/config.json --metrics 127.0.0.1:9472
";

#[derive(Clone, Copy)]
enum Action {
    Stay,
    Once,
    Check,
}

/// Runs the command with what follows its name.
pub(super) fn run(args: &mut lexopt::Parser, out: &mut dyn Write) -> Result<(), CliError> {
    let mut options = Options::default();
    let mut action = None;
    while let Some(arg) = args.next()? {
        match arg {
            Short('h') | Long("help") => return Ok(out.write_all(HELP.as_bytes())?),
            Long("bin-dir") => options.bin_dir = directory("--bin-dir", args.value()?)?,
            Long("conf-dir") => options.conf_dir = directory("--conf-dir", args.value()?)?,
            Long("config") => options.sources.config = Some(directory("--config", args.value()?)?),
            Long("mode") => options.mode = mode(&args.value()?)?,
            Long("conf-name") => options.conf_name = conf_name(args.value()?)?,
            Long("metrics") => options.metrics = Some(address(&args.value()?.string()?)?),
            Long(name @ ("once" | "check")) => {
                let wanted = if name == "once" { Action::Once } else { Action::Check };
                if action.replace(wanted).is_some() {
                    return Err(CliError::Usage("--once and --check: one of them, once".into()));
                }
            }
            other => return Err(other.unexpected().into()),
        }
    }
    let report = match action.unwrap_or(Action::Stay) {
        Action::Stay => return reconcile::run(&options).map_err(failed),
        Action::Once => install::once(&options).map_err(failed)?,
        Action::Check => install::check(&options).map_err(failed)?,
    };
    for warning in &report.warnings {
        let _ = writeln!(std::io::stderr(), "osm-cni: settings: {warning}");
    }
    Ok(writeln!(out, "{report}")?)
}

pub(super) fn failed(error: NodeError) -> CliError {
    CliError::Failed(crate::sanitize::message(&error.to_string(), 2000))
}

pub(super) fn directory(option: &str, value: OsString) -> Result<PathBuf, CliError> {
    if value.is_empty() {
        return Err(CliError::Usage(format!("{option} is empty: a path is needed")));
    }
    Ok(PathBuf::from(value))
}

fn mode(value: &OsString) -> Result<Mode, CliError> {
    match value.to_str() {
        Some("own") => Ok(Mode::Own),
        Some("insert") => Ok(Mode::Insert),
        _ => Err(CliError::Usage(format!("--mode {}: own or insert", value.display()))),
    }
}

/// An address to listen on; `:9090` means all addresses. Names are not looked
/// up: a static C library cannot.
fn address(text: &str) -> Result<SocketAddr, CliError> {
    let full = if text.starts_with(':') { format!("[::]{text}") } else { text.to_owned() };
    full.parse()
        .map_err(|_| CliError::Usage(format!("--metrics {text}: IP:PORT or :PORT is needed")))
}

/// A plain file name that runtimes read as a list.
pub(super) fn conf_name(value: OsString) -> Result<String, CliError> {
    let name = value.string()?;
    if name.contains('/') || !name.ends_with(".conflist") || name == ".conflist" {
        let line = format!("--conf-name {name}: a file name that ends in .conflist, without a /");
        return Err(CliError::Usage(line));
    }
    Ok(name)
}
