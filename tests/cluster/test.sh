#!/usr/bin/env bash
# Makes a cluster, runs every scenario on it, and removes it, also after a failure;
# KEEP=1 keeps it, for `tests/cluster/cluster.sh run kubectl ...`.
# Usage: tests/cluster/test.sh [FLAGS: -test.run TestPods/probes ...]
set -euo pipefail
here=$(realpath "$(dirname "$0")")
root=$(realpath "$here/../..")
export OSM_CNI_ROOT=$root
program=$root/target/cluster/bin/scenarios

go=$("$here/go.sh")
# Compiled here: there is no way out of the cluster's network.
(cd "$here" && CGO_ENABLED=0 GOFLAGS=-buildvcs=false "$go" test -c -o "$program" ./scenarios)

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
"$here/cluster.sh" run "$program" -test.v -test.failfast -test.timeout 30m "$@"
