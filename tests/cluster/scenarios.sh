#!/usr/bin/env bash
# Compiles the scenarios into target/cluster/bin, here: there is no way out of the
# cluster's network.
set -euo pipefail
here=$(realpath "$(dirname "$0")")

go=$("$here/go.sh")
export CGO_ENABLED=0 GOFLAGS=-buildvcs=false
cd "$here"
odd=$("$("$go" env GOROOT)/bin/gofmt" -l .)
[ -z "$odd" ] || { echo "cluster: gofmt -w is due for $odd" >&2; exit 1; }
"$go" vet ./scenarios ./pod
"$go" test -c -o "$(realpath "$here/../..")/target/cluster/bin/scenarios" ./scenarios
