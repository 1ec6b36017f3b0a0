#!/usr/bin/env bash
# Builds the image from the Dockerfile, with Docker or podman. If the image of the
# first stage cannot be pulled, target/release/osm-cni (`make build`, the same flags)
# replaces the first stage; the last stage is the Dockerfile's in either case.
#
# Usage: scripts/image.sh TAG [docker|podman]
set -euo pipefail
cd "$(dirname "$0")/.."
tag=$1 program=${2:-}
if [ -z "$program" ]; then
    program=podman
    docker info >/dev/null 2>&1 && program=docker
fi
base=$(sed -n 's/^ARG BUILD=//p' Dockerfile)

can_be_had() {
    "$program" image inspect "$base" >/dev/null 2>&1 && return
    timeout 60 "$program" pull --quiet "docker.io/library/$base" >/dev/null 2>&1
}

if can_be_had; then
    exec "$program" build --tag "$tag" .
fi
echo "image: $base cannot be fetched; the binary of make build is used" >&2
scripts/needs.sh build
scripts/build.sh
context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT
install target/release/osm-cni "$context/osm-cni"
# The first stage as a directory; from the last FROM on, the file is the Dockerfile.
{
    echo 'FROM scratch AS build'
    echo 'COPY osm-cni /osm-cni'
    sed -n '/^FROM scratch$/,$p' Dockerfile
} >"$context/Dockerfile"
"$program" build --tag "$tag" "$context"
