//! Picks the face: with `CNI_COMMAND` in the environment this is the CNI
//! plugin, otherwise the operator's command line. The plugin first lays down
//! the rights that it has no use for. Nothing else happens here.

use std::env;
use std::process::ExitCode;

fn main() -> ExitCode {
    if env::var_os("CNI_COMMAND").is_some() {
        osm_cni::privilege::begin_call();
        return ExitCode::from(osm_cni::cni::run(|name| env::var_os(name)));
    }
    osm_cni::cli::run(env::args_os())
}
