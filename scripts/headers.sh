#!/usr/bin/env bash
# Compiles the library with the kernel headers of several Debian suites: the
# constants of nf_tables come from the headers of the machine, and a build must not
# need the newest ones. Debian 11's (5.10) are the oldest.
# Usage: scripts/headers.sh [SUITE…]
set -euo pipefail
cd "$(dirname "$0")/.."

[ $# -gt 0 ] || set -- bullseye bookworm newest
architecture=$(gcc -print-multiarch)
for suite in "$@"; do
    root=$(scripts/debian-package.sh "$suite" linux-libc-dev)
    version=$(cut -d ' ' -f 2 "$root/../versions")
    target=${CARGO_TARGET_DIR:-target}/headers/$suite
    BINDGEN_EXTRA_CLANG_ARGS="-isystem $root/usr/include -isystem $root/usr/include/$architecture" \
        cargo check --quiet --locked --lib --target-dir "$target" || {
        echo "headers: the library does not compile with linux-libc-dev $version of $suite" >&2
        exit 1
    }
    # The build script of rustables names the headers that it read.
    grep -rqs --include=output "$root/usr/include/linux/netfilter/nf_tables.h" "$target" || {
        echo "headers: the build did not read the headers below $root" >&2
        exit 1
    }
    echo "the library compiles with linux-libc-dev $version of $suite"
done
