#!/usr/bin/env bash
# Builds the tracked files in two new directories and compares the bytes.
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
first=$work/first
# Paths of different depth and length: a path in the binary would make a difference.
second=$work/second/directory/with/a/longer/path
for copy in "$first" "$second"; do
    mkdir -p "$copy"
    git ls-files -z | tar --null --files-from=- -cf - | tar -xf - -C "$copy"
done
for copy in "$first" "$second"; do
    echo "reproduce: building in $copy"
    env -u CARGO_TARGET_DIR -u RUSTFLAGS make --no-print-directory -C "$copy" build
done
sha256sum "$first/target/release/osm-cni" "$second/target/release/osm-cni"
if ! cmp "$first/target/release/osm-cni" "$second/target/release/osm-cni"; then
    echo "reproduce: the two binaries differ" >&2
    exit 1
fi
if grep -aq "$work" "$first/target/release/osm-cni"; then
    echo "reproduce: the binary holds the path that it was built at" >&2
    exit 1
fi
echo "reproduce: the same bytes"
