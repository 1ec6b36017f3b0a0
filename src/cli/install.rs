//! `osm-cni install`: its options, and the report in words.
//!
//! I/O: none of its own; through `node`.

use std::io::Write;
use std::net::SocketAddr;

use super::CliError;
use super::arguments::{self, Given};
use super::options::{Opt, Words};
use super::verb::{Group, Verb};
use crate::config::LogFormat;
use crate::node::install::{self, Options};
use crate::node::{Mode, NodeError, reconcile};

pub(super) const BIN_DIR: Opt =
    Opt::directory("bin-dir", "where the runtime looks for plugins (/opt/cni/bin)");
pub(super) const CONF_DIR: Opt = Opt::directory(
    "conf-dir",
    "where the runtime looks for network configurations (/etc/cni/net.d)",
);
pub(super) const CONF_NAME: Opt =
    Opt::text("conf-name", "NAME", "the file name of our list (00-osm-cni.conflist)");
const CONFIG: Opt = Opt::file(
    "config",
    "the settings: a settings object, a conflist with our entry, or a MeshConfig as kubectl \
     prints it in JSON (without it: the defaults)",
);
const MESH_CONFIG: Opt = Opt::file(
    "mesh-config",
    "a MeshConfig: its traffic and sidecar fields apply where the settings do not have them. \
     Once for each mesh; a missing file is ignored",
)
.repeatable();
const REPAIR: Opt = Opt::flag(
    "repair",
    "set the rules of running pods that have a sidecar and no rules; needs SYS_ADMIN, NET_ADMIN \
     and the directory of the network namespaces",
);
pub(super) const CACHE_DIR: Opt =
    Opt::directory("cache-dir", "libcni's cache, which names the pods (/var/lib/cni/results)");
const AUDIT: Opt =
    Opt::flag("audit", "with --check: exit 1 also if a pod of this node is around the mesh");
const MODE: Opt = Opt::word::<Mode>(
    "mode",
    "MODE",
    "own (default): write a list of our own, which sorts before the primary's: a copy of it with \
     our entry\ninsert: put our entry at the end of the primary's file; needed with Multus",
);
const METRICS: Opt =
    Opt::text("metrics", "ADDR", "serve http://ADDR/metrics for Prometheus, and /readyz");
pub(super) const LOG_FORMAT: Opt = Opt::word::<LogFormat>(
    "log-format",
    "FORMAT",
    "the format of the program's own log lines: text or json (without it: the setting logFormat)",
);
const ONCE: Opt = Opt::flag("once", "install once and exit");
const CHECK: Opt = Opt::flag(
    "check",
    "change nothing; exit 1 unless binary and configuration are what the other options give",
);

pub(super) static VERB: Verb = Verb {
    name: "install",
    summary: "add the plugin to the node's CNI configuration and keep it there",
    about: "Installs the plugin's binary and its entry in the CNI configuration of this node. Then \
            it keeps running: it watches the directories, repairs what other programs change, \
            applies changed settings, and copies the plugin's log to standard output. SIGTERM ends \
            it and removes nothing; see osm-cni uninstall.",
    usage: "[OPTION]...",
    operand: None,
    groups: &[Group {
        title: "",
        options: &[
            BIN_DIR,
            CONF_DIR,
            CONFIG,
            MESH_CONFIG,
            MODE,
            CONF_NAME,
            REPAIR,
            CACHE_DIR,
            METRICS,
            LOG_FORMAT,
            ONCE,
            CHECK,
            AUDIT,
        ],
    }],
    notes: "The primary is the list that the runtime would use without osm-cni: the first file by \
            name. If it cannot be used, nothing is written and the error names the file; no other \
            file is taken in its place. CRI-O skips a list whose binary is missing or fails \
            VERSION and uses the next list, without redirection; --check fails then.\n\n\
            --check compares with the options that it is given: give it those of the installer. In \
            a cluster, the readiness of the node's osm-cni pod is that check.",
    example: "osm-cni install --config /etc/osm-cni/config.json --metrics 127.0.0.1:9472",
    run,
};

impl Words for Mode {
    fn words() -> Vec<(&'static str, Self)> {
        vec![("own", Mode::Own), ("insert", Mode::Insert)]
    }
}

impl Words for LogFormat {
    fn words() -> Vec<(&'static str, Self)> {
        LogFormat::WORDS.into()
    }
}

fn run(given: &Given, out: &mut impl Write) -> Result<(), CliError> {
    let defaults = Options::default();
    let mut options = Options {
        bin_dir: given.path(&BIN_DIR).unwrap_or(defaults.bin_dir),
        conf_dir: given.path(&CONF_DIR).unwrap_or(defaults.conf_dir),
        sources: defaults.sources,
        mode: given.word(&MODE)?.unwrap_or(defaults.mode),
        conf_name: conf_name(given)?.unwrap_or(defaults.conf_name),
        metrics: given.text(&METRICS)?.map(address).transpose()?,
        cache_dir: given.path(&CACHE_DIR).unwrap_or(defaults.cache_dir),
        repair: given.has(&REPAIR),
        log_format: given.word(&LOG_FORMAT)?,
    };
    options.sources.config = given.path(&CONFIG);
    options.sources.mesh_configs = given.paths(&MESH_CONFIG);
    if given.has(&AUDIT) && !given.has(&CHECK) {
        return Err(CliError::Usage("--audit needs --check".to_owned()));
    }
    if options.repair && (given.has(&ONCE) || given.has(&CHECK)) {
        return Err(CliError::Usage("--repair excludes --once and --check".to_owned()));
    }
    let report = match (given.has(&ONCE), given.has(&CHECK)) {
        (true, true) => {
            return Err(CliError::Usage("--once and --check exclude each other".to_owned()));
        }
        (false, false) => return reconcile::run(&options).map_err(|_| CliError::Reported),
        (true, false) => install::once(&options).map_err(failed)?,
        (false, true) => {
            let report = install::check(&options).map_err(failed)?;
            if given.has(&AUDIT) {
                install::check_pods(&options).map_err(failed)?;
            }
            report
        }
    };
    let warnings = report.warnings.iter().map(|warning| format!("settings: {warning}"));
    super::warn(&warnings.collect::<Vec<_>>());
    Ok(writeln!(out, "{report}")?)
}

pub(super) fn failed(error: NodeError) -> CliError {
    CliError::Failed(crate::sanitize::message(&error.to_string(), 2000))
}

/// An address to listen on; `:9090` means all addresses. Names are not looked
/// up: a static C library cannot.
fn address(text: &str) -> Result<SocketAddr, CliError> {
    let full = if text.starts_with(':') { format!("[::]{text}") } else { text.to_owned() };
    full.parse().map_err(|_| arguments::wrong_value(&METRICS, text, "IP:PORT or :PORT"))
}

/// A plain file name that runtimes read as a list.
pub(super) fn conf_name(given: &Given) -> Result<Option<String>, CliError> {
    let Some(name) = given.text(&CONF_NAME)? else { return Ok(None) };
    if name.contains('/') || !name.ends_with(".conflist") || name == ".conflist" {
        let form = "a file name that ends in .conflist, without a /,";
        return Err(arguments::wrong_value(&CONF_NAME, name, form));
    }
    Ok(Some(name.to_owned()))
}
