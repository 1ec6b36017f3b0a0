#!/usr/bin/env bash
# Runs the policies for Kyverno on a cluster of its own, by Kyverno's admission
# controller. Its program is compiled from its Go module, and the module's manifest
# starts it, so no image of Kyverno is needed. KEEP=1 keeps the cluster.
set -euo pipefail
here=$(realpath "$(dirname "$0")")
root=$(realpath "$here/../..")
work=$root/target/cluster/kyverno

if [ "${1:-}" = image ]; then
    # Where the cluster is.
    "$OSM_CNI_CLUSTER_PROVIDER" build --quiet --tag docker.io/library/kyverno:1 "$work" >&2
    rm -f "$work.tar"
    "$OSM_CNI_CLUSTER_PROVIDER" save --output "$work.tar" docker.io/library/kyverno:1 >/dev/null
    kind load image-archive --name "$OSM_CNI_CLUSTER" "$work.tar"
    rm -f "$work.tar"
    exit
fi

program=$("$root/scripts/go-tool.sh" kyverno-controller)
mkdir -p "$work"
cp "$program" "$work/kyverno"
printf 'FROM scratch\nCOPY kyverno /kyverno\nENTRYPOINT ["/kyverno"]\n' >"$work/Dockerfile"
version=${program##*-}
source=$("$("$here/go.sh")" mod download -json "github.com/kyverno/kyverno@$version" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
export OSM_CNI_KYVERNO=$source/config/install-latest-testing.yaml
"$here/scenarios.sh"
# shellcheck disable=SC2016
exec "$here/run.sh" sh -c '"$1" image && exec "$2" -test.v -test.failfast -test.run "TestInstallation|TestKyverno"' sh \
    "$here/kyverno.sh" "$root/target/cluster/bin/scenarios"
