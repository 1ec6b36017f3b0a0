#!/usr/bin/env bash
# Runs Kubernetes' own conformance tests of sig-network and sig-node on a cluster
# of its own with osm-cni in every node's chain, and those that fail without it.
# FOCUS=REGEX narrows them, PARALLEL (4) run at once, KEEP=1 keeps the cluster.
set -euo pipefail
here=$(realpath "$(dirname "$0")")
program=$(realpath "$here/../..")/target/cluster/bin/conformance
# The tests belong to the Kubernetes of the node image that is built here.
export OSM_CNI_CLUSTER_PROVIDER=podman

"$here/conformance/build.sh"
# shellcheck disable=SC2016
exec "$here/run.sh" sh -c '"$1" && exec "$2" -focus "$3" -parallel "$4"' sh \
    "$here/conformance/images.sh" "$program" "${FOCUS:-}" "${PARALLEL:-4}"
