#!/usr/bin/env bash
# Makes the images that build.sh prepared and brings them to the nodes. Runs where
# the cluster is: tests/cluster/cluster.sh run tests/cluster/conformance/images.sh
set -euo pipefail
work=$(realpath "$(dirname "$0")/../../../target/cluster/conformance")
program=$OSM_CNI_CLUSTER_PROVIDER

# image NAME ROOT CHANGE...: an image of a root, with all names that NAME.names has.
image() {
    local name=$1 root=$2 change changes=()
    shift 2
    for change in "$@"; do
        changes+=(--change "$change")
    done
    tar -C "$work/images/$root" --owner=0 --group=0 -c . | "$program" import "${changes[@]}" - "conformance-$name" >/dev/null
    xargs -n 1 "$program" tag "conformance-$name" <"$work/images/$name.names"
    rm -f "$work/$name.tar"
    xargs "$program" save --output "$work/$name.tar" <"$work/images/$name.names" >/dev/null
    kind load image-archive --name "$OSM_CNI_CLUSTER" "$work/$name.tar"
    rm -f "$work/$name.tar"
}

image agnhost agnhost 'ENTRYPOINT ["/agnhost"]' 'CMD ["pause"]'
image busybox busybox 'ENV PATH=/bin' 'CMD ["sh"]'
image nonroot busybox 'ENV PATH=/bin' 'CMD ["sh"]' 'USER 1234'
image pause pause 'ENTRYPOINT ["/pause"]'
