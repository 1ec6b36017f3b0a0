//! `osm-cni uninstall`: its options, and what was done, a line each.
//!
//! I/O: none of its own; through `node`.

use std::io::Write;

use super::CliError;
use super::arguments::Given;
use super::install::{BIN_DIR, CONF_DIR, CONF_NAME, LOG_FORMAT, conf_name, failed};
use super::options::Opt;
use super::verb::{Group, Verb};
use crate::node::install;
use crate::node::uninstall::{self, Options};

const REMOVE_BINARY: Opt = Opt::flag("remove-binary", "also remove the plugin's binary");
const STAY: Opt = Opt::flag(
    "stay",
    "keep running until SIGTERM, as the pod of a DaemonSet must, and remove the entry again if it comes back",
);

pub(super) static VERB: Verb = Verb {
    name: "uninstall",
    summary: "remove it from the node's CNI configuration",
    about: "Removes our entry from this node's CNI configuration and changes nothing else there. \
            End osm-cni install first, or it adds the entry again. The binary stays, because \
            runtimes call it when they delete pods that were made with it; --remove-binary removes \
            it.",
    usage: "[OPTION]...",
    operand: None,
    groups: &[Group {
        title: "",
        options: &[BIN_DIR, CONF_DIR, CONF_NAME, REMOVE_BINARY, STAY, LOG_FORMAT],
    }],
    notes: "Exit code 1 if the directory has no network configuration at all: it is probably the wrong \
            one.",
    example: "osm-cni uninstall --conf-dir /etc/cni/net.d",
    run,
};

fn run(given: &Given, out: &mut impl Write) -> Result<(), CliError> {
    let defaults = install::Options::default();
    let options = Options {
        bin_dir: given.path(&BIN_DIR).unwrap_or(defaults.bin_dir),
        conf_dir: given.path(&CONF_DIR).unwrap_or(defaults.conf_dir),
        conf_name: conf_name(given)?.unwrap_or(defaults.conf_name),
        remove_binary: given.has(&REMOVE_BINARY),
        log_format: given.word(&LOG_FORMAT)?,
    };
    let done = uninstall::once(&options).map_err(failed)?;
    if done.is_empty() {
        writeln!(out, "nothing of ours in {}", options.conf_dir.display())?;
    }
    done.iter().try_for_each(|line| writeln!(out, "{line}"))?;
    if given.has(&STAY) {
        out.flush()?;
        uninstall::stay(&options).map_err(failed)?;
    }
    Ok(())
}
