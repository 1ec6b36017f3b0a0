//! `osm-cni uninstall`: arguments, and what was done, a line each.

use std::io::Write;
use std::path::PathBuf;

use lexopt::prelude::*;

use super::CliError;
use super::install::{conf_name, directory, failed};
use crate::node::watch::Watch;
use crate::node::{self, Options};

const HELP: &str = "\
Takes our entry out of this node's CNI configuration; every other byte is as
before. End osm-cni install first, or it puts the entry back. The binary stays,
since runtimes call it for pods that were made with it, until --remove-binary.

Usage: osm-cni uninstall [OPTION]...

  --bin-dir DIR     where the runtime looks for plugins (/opt/cni/bin)
  --conf-dir DIR    where it looks for network configurations (/etc/cni/net.d)
  --conf-name NAME  our own list's file name (00-osm-cni.conflist)
  --remove-binary   remove the plugin's binary, too
  --stay            then stay until SIGTERM, as a DaemonSet's pod has to
  -h, --help        print this

Example:
  osm-cni uninstall --conf-dir /etc/cni/net.d
";

/// Runs the command with what follows its name.
pub(super) fn run(args: &mut lexopt::Parser, out: &mut dyn Write) -> Result<(), CliError> {
    let Options { mut bin_dir, mut conf_dir, conf_name: mut name, .. } = Options::default();
    let (mut remove_binary, mut stay) = (false, false);
    while let Some(arg) = args.next()? {
        let path = |option, args: &mut lexopt::Parser| -> Result<PathBuf, CliError> {
            directory(option, args.value()?)
        };
        match arg {
            Short('h') | Long("help") => return Ok(out.write_all(HELP.as_bytes())?),
            Long("bin-dir") => bin_dir = path("--bin-dir", args)?,
            Long("conf-dir") => conf_dir = path("--conf-dir", args)?,
            Long("conf-name") => name = conf_name(args.value()?)?,
            Long("remove-binary") => remove_binary = true,
            Long("stay") => stay = true,
            other => return Err(other.unexpected().into()),
        }
    }
    let done = node::uninstall(&bin_dir, &conf_dir, &name, remove_binary).map_err(failed)?;
    if done.is_empty() {
        writeln!(out, "nothing of ours in {}", conf_dir.display())?;
    }
    done.iter().try_for_each(|line| writeln!(out, "{line}"))?;
    if stay {
        out.flush()?;
        Watch::new().map_err(failed)?.wait_for_end();
    }
    Ok(())
}
