#!/usr/bin/env bash
# Builds the static release binary target/release/osm-cni, with the same bytes in
# every checkout: the Makefile, the Dockerfile and `make reproduce` use this script.
# The flags for a static, position independent executable are in .cargo/config.toml;
# this script removes the paths of this machine from the binary.
set -euo pipefail
cd "$(dirname "$0")/.."

target=$(rustc -vV | sed -n 's/^host: //p')
flags=CARGO_TARGET_$(echo "$target" | tr 'a-z-' 'A-Z_')_RUSTFLAGS
export "$flags=--remap-path-prefix=$PWD=osm-cni --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=cargo"
export CARGO_INCREMENTAL=0
cargo build --release --locked --target "$target" --bin osm-cni "$@"
install -D -m 0755 "${CARGO_TARGET_DIR:-target}/$target/release/osm-cni" target/release/osm-cni
