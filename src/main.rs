//! Picks the face: with `CNI_COMMAND` in the environment this is the CNI
//! plugin, otherwise the operator's command line. The plugin first lays down
//! the rights that it has no use for. Nothing else happens here.

#![no_main]

use std::env;
use std::ffi::c_int;

use osm_cni::{cli, cni, privilege, start};

/// What the C library starts; see [`start`] for why it is not Rust's `main`.
#[expect(unsafe_code, reason = "the C library looks for this name; there is no other one")]
#[unsafe(no_mangle)]
extern "C" fn main() -> c_int {
    start::begin();
    let status = if env::var_os("CNI_COMMAND").is_some() {
        privilege::begin_call();
        cni::run(|name| env::var_os(name))
    } else {
        cli::run(env::args_os())
    };
    status.into()
}
