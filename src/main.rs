//! The program `osm-cni`. It runs in one of two modes: with `CNI_COMMAND` in the
//! environment it is the CNI plugin, otherwise the operator's command line.
//!
//! I/O: looks at the environment and the arguments.

use std::env;
use std::process::ExitCode;

use osm_cni::{capabilities, cli, cni};

fn main() -> ExitCode {
    if env::var_os("CNI_COMMAND").is_some() {
        capabilities::begin_call();
        ExitCode::from(cni::run(|name| env::var_os(name)))
    } else {
        ExitCode::from(cli::run(env::args_os()))
    }
}
