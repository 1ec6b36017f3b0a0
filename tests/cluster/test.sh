#!/usr/bin/env bash
# Runs every scenario on a cluster of its own; KEEP=1 keeps the cluster.
# Usage: tests/cluster/test.sh [FLAGS: -test.run TestPods/probes ...]
set -euo pipefail
here=$(realpath "$(dirname "$0")")
program=$(realpath "$here/../..")/target/cluster/bin/scenarios

go=$("$here/go.sh")
# Compiled here: there is no way out of the cluster's network.
export CGO_ENABLED=0 GOFLAGS=-buildvcs=false
cd "$here"
odd=$("$("$go" env GOROOT)/bin/gofmt" -l .)
[ -z "$odd" ] || { echo "cluster: gofmt -w is due for $odd" >&2; exit 1; }
"$go" vet ./scenarios ./pod
"$go" test -c -o "$program" ./scenarios
exec "$here/run.sh" "$program" -test.v -test.failfast -test.timeout 45m "$@"
