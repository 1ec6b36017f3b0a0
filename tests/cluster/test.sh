#!/usr/bin/env bash
# Runs every scenario on a cluster of its own, but those of kyverno.sh; KEEP=1 keeps
# the cluster.
# Usage: tests/cluster/test.sh [FLAGS: -test.run TestPods/probes ...]
set -euo pipefail
here=$(realpath "$(dirname "$0")")

"$here/scenarios.sh"
exec "$here/run.sh" "$(realpath "$here/../..")/target/cluster/bin/scenarios" \
    -test.v -test.failfast -test.timeout 45m -test.skip TestKyverno "$@"
