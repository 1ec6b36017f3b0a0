#!/bin/sh
# Fetches z3 from PyPI into a directory below $1 unless it is there, and prints
# that directory, for PYTHONPATH.
set -eu

version=5.4.1.0
dir=$1/z3-$version

if [ ! -e "$dir/z3" ]; then
    if ! python3 -m pip --version >/dev/null 2>&1; then
        echo "python3 with pip is needed to fetch z3 (Debian: python3-pip)" >&2
        exit 1
    fi
    mkdir -p "$1"
    fresh=$(mktemp -d "$1/fetch.XXXXXX")
    trap 'rm -rf "$fresh"' EXIT
    python3 -m pip install --quiet --no-deps --target "$fresh/z3" "z3-solver==$version" >&2
    rm -rf "$dir"
    mv "$fresh/z3" "$dir"
fi
echo "$dir"
