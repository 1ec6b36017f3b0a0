//! `osm-cni uninstall`: its options, and what was done, a line each.

use std::io::Write;
use std::path::PathBuf;

use lexopt::prelude::*;

use super::CliError;
use super::install::{conf_name, directory, failed};
use crate::node::install;
use crate::node::uninstall::{self, Options};

const HELP: &str = "\
Takes our entry out of this node's CNI configuration; every other byte is as
before. End osm-cni install first, or it puts the entry back. The binary stays,
since runtimes call it for pods that were made with it, until --remove-binary.

Usage: osm-cni uninstall [OPTION]...

  --bin-dir DIR     where the runtime looks for plugins (/opt/cni/bin)
  --conf-dir DIR    where it looks for network configurations (/etc/cni/net.d)
  --conf-name NAME  our own list's file name (00-osm-cni.conflist)
  --remove-binary   remove the plugin's binary, too
  --stay            stay until SIGTERM, as a DaemonSet's pod has to, and take the
                    entry out again if it comes back
  -h, --help        print this

A directory without any network configuration is a wrong one: exit code 1.

Example:
  osm-cni uninstall --conf-dir /etc/cni/net.d
";

/// Runs the command with what follows its name.
pub(super) fn run(args: &mut lexopt::Parser, out: &mut dyn Write) -> Result<(), CliError> {
    let install::Options { bin_dir, conf_dir, conf_name: name, .. } = install::Options::default();
    let mut options = Options { bin_dir, conf_dir, conf_name: name, remove_binary: false };
    let mut stay = false;
    while let Some(arg) = args.next()? {
        let path = |option, args: &mut lexopt::Parser| -> Result<PathBuf, CliError> {
            directory(option, args.value()?)
        };
        match arg {
            Short('h') | Long("help") => return Ok(out.write_all(HELP.as_bytes())?),
            Long("bin-dir") => options.bin_dir = path("--bin-dir", args)?,
            Long("conf-dir") => options.conf_dir = path("--conf-dir", args)?,
            Long("conf-name") => options.conf_name = conf_name(args.value()?)?,
            Long("remove-binary") => options.remove_binary = true,
            Long("stay") => stay = true,
            other => return Err(other.unexpected().into()),
        }
    }
    let done = uninstall::once(&options).map_err(failed)?;
    if done.is_empty() {
        writeln!(out, "nothing of ours in {}", options.conf_dir.display())?;
    }
    done.iter().try_for_each(|line| writeln!(out, "{line}"))?;
    if stay {
        out.flush()?;
        uninstall::stay(&options).map_err(failed)?;
    }
    Ok(())
}
