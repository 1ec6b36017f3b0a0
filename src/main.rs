//! Picks the face: with `CNI_COMMAND` in the environment this is the CNI
//! plugin, otherwise the operator's command line. Nothing else happens here.

use std::env;
use std::process::ExitCode;

fn main() -> ExitCode {
    osm_cni::cli::run(env::args_os())
}
