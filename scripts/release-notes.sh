#!/usr/bin/env bash
# Prints a version's section of CHANGELOG.md. Fails unless Cargo.toml, the chart
# and the manifests have that version as well.
# Usage: scripts/release-notes.sh VERSION
set -euo pipefail
cd "$(dirname "$0")/.."

die() {
    echo "osm-cni: $*" >&2
    exit 1
}

version=${1:-}
[[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.]+)?$ ]] || die "usage: $0 VERSION, like 0.1.0"
grep -q "^version = \"$version\"$" Cargo.toml || die "Cargo.toml has another version than $version"
for key in version appVersion; do
    grep -qE "^$key: \"?$version\"?$" install/helm/osm-cni/Chart.yaml || die "Chart.yaml: $key is not $version"
done
other=$(grep -rhoE 'osm-cni:[0-9]+\.[0-9]+\.[0-9]+[0-9A-Za-z.-]*' install | grep -vxF "osm-cni:$version" | sort -u || true)
[ -z "$other" ] || die "install/ names other images than osm-cni:$version: $other"
notes=$(awk -v start="## [$version]" 'index($0, start) == 1 { on = 1; next } /^## / { on = 0 } on' CHANGELOG.md)
[ -n "${notes//[[:space:]]/}" ] || die "CHANGELOG.md has no section [$version]"
echo "$notes"
