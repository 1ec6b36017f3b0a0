//! `osm-cni install`: its options, and the report in words.

use std::io::Write;
use std::net::SocketAddr;

use super::CliError;
use super::options::{self, Given, Group, Opt, Verb, Words};
use crate::config::LogFormat;
use crate::node::install::{self, Options};
use crate::node::{Mode, NodeError, reconcile};

pub(super) const BIN_DIR: Opt =
    Opt::directory("bin-dir", "where the runtime looks for plugins (/opt/cni/bin)");
pub(super) const CONF_DIR: Opt =
    Opt::directory("conf-dir", "where it looks for network configurations (/etc/cni/net.d)");
pub(super) const CONF_NAME: Opt =
    Opt::text("conf-name", "NAME", "our own list's file name (00-osm-cni.conflist)");
const CONFIG: Opt = Opt::file(
    "config",
    "the settings: a settings object, a conflist with our entry, or a MeshConfig as kubectl \
     prints it in JSON (all defaults)",
);
const MESH_CONFIG: Opt = Opt::file(
    "mesh-config",
    "a MeshConfig beside the settings: its lists hold where the settings have none. Once for \
     each mesh; a file that is not there counts as none",
)
.repeatable();
const REPAIR: Opt = Opt::flag(
    "repair",
    "give rules to running pods that have a sidecar and none; it needs SYS_ADMIN, NET_ADMIN and \
     the directory of the network namespaces",
);
pub(super) const CACHE_DIR: Opt =
    Opt::directory("cache-dir", "libcni's cache, which names the pods (/var/lib/cni/results)");
const AUDIT: Opt =
    Opt::flag("audit", "with --check: exit 1 also if a pod of this node goes around the mesh");
const MODE: Opt = Opt::word::<Mode>(
    "mode",
    "MODE",
    "own: a list of our own, a copy of the primary's with our entry, which sorts before it \
     (default)\ninsert: our entry at the end of the primary's own file; the way for \
     Multus",
);
const METRICS: Opt =
    Opt::text("metrics", "ADDR", "serve http://ADDR/metrics for Prometheus, and /readyz");
pub(super) const LOG_FORMAT: Opt = Opt::word::<LogFormat>(
    "log-format",
    "FORMAT",
    "the program's own lines while it stays: text or json (as the settings' logFormat, or text)",
);
const ONCE: Opt = Opt::flag("once", "do it once and end");
const CHECK: Opt = Opt::flag("check", "change nothing; exit 1 unless all is in place and current");

pub(super) static VERB: Verb = Verb {
    name: "install",
    summary: "put the plugin into the node's CNI configuration and keep it there",
    about: "Puts the plugin's binary and its entry in the CNI configuration of this node, and \
            keeps both there: watches the directories, repairs what others change, follows the \
            settings, and passes the plugin's log on to standard output. SIGTERM ends it and \
            removes nothing; see osm-cni uninstall.",
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
    notes: "The primary is the first file by name that the runtime reads. Where it cannot be used, \
            nothing is written and the file is named: another one is never taken in its place. \
            Under CRI-O a list whose binary is missing or fails VERSION is skipped, and the next \
            one in the directory takes over, without redirection: --check fails then.",
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
    full.parse().map_err(|_| options::wrong_value(&METRICS, text, "IP:PORT or :PORT"))
}

/// A plain file name that runtimes read as a list.
pub(super) fn conf_name(given: &Given) -> Result<Option<String>, CliError> {
    let Some(name) = given.text(&CONF_NAME)? else { return Ok(None) };
    if name.contains('/') || !name.ends_with(".conflist") || name == ".conflist" {
        let form = "a file name that ends in .conflist, without a /,";
        return Err(options::wrong_value(&CONF_NAME, name, form));
    }
    Ok(Some(name.to_owned()))
}
