#!/usr/bin/env bash
# Copies install/ with another image: every manifest and policy, the expressions
# of the policies included, and the chart with the image in its values.
# Usage: scripts/manifests.sh IMAGE DIRECTORY
# IMAGE has a tag or a digest: registry.example.com/osm-cni:1.2.3
set -euo pipefail

die() {
    echo "osm-cni: $*" >&2
    exit 1
}

[ $# = 2 ] || die "usage: $0 IMAGE DIRECTORY"
image=$1 directory=$2
[[ $image =~ ^[a-z0-9./:_-]+(:[A-Za-z0-9_.-]+|@sha256:[0-9a-f]{64})$ ]] ||
    die "$image is not an image with a tag or a digest, like registry.example.com/osm-cni:1.2.3"
[ ! -e "$directory" ] || die "$directory exists already"

root=$(realpath "$(dirname "$0")/..")
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/Cargo.toml" | head -n 1)
mkdir -p "$directory"
cp -r "$root/install/." "$directory"
rm -r "$directory/helm"
# The chart puts its image into its own copies of the policies.
chart=helm/osm-cni
if [[ $image == *@* ]]; then
    name=${image%@*} tag='""' digest=${image#*@}
else
    name=${image%:*} tag=\"${image##*:}\" digest='""'
fi
grep -rl "osm-cni:$version" "$directory" | while read -r file; do
    sed -i "s#\bosm-cni:${version//./\\.}\b#$image#g" "$file"
done
mkdir "$directory/helm"
cp -rL "$root/install/$chart" "$directory/$chart"
sed -i "/^image:/,/^[^ ]/ {
    s#^  repository: .*#  repository: $name#
    s#^  tag: .*#  tag: $tag#
    s#^  digest: .*#  digest: $digest#
}" "$directory/$chart/values.yaml"
