#!/usr/bin/env bash
# Makes a cluster, runs a command on it, and removes it, also after a failure;
# KEEP=1 keeps it, for `tests/cluster/cluster.sh run kubectl ...`.
# Usage: tests/cluster/run.sh COMMAND...
set -euo pipefail
here=$(realpath "$(dirname "$0")")
root=$(realpath "$here/../..")
export OSM_CNI_ROOT=$root

clean_up() {
    local status=$?
    trap - EXIT
    if [ "$status" != 0 ]; then
        "$here/cluster.sh" save "$root/target/cluster/failed" || true
    fi
    if [ -n "${KEEP:-}" ]; then
        echo "cluster: kept; tests/cluster/cluster.sh down removes it" >&2
    else
        "$here/cluster.sh" down || status=1
    fi
    exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT TERM
"$here/cluster.sh" up
"$here/cluster.sh" run "$@"
