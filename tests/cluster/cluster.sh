#!/usr/bin/env bash
# A two-node, dual-stack Kubernetes cluster of this checkout's own, by kind: on
# Docker with kind's public node image where both can be had, else on podman with
# the node image that node/build.sh makes. On podman everything runs in a network
# namespace of its own, so that no packet of it leaves this machine.
#
# Usage: tests/cluster/cluster.sh COMMAND
#   up             makes the cluster, with the images under test and no pod network yet
#   load           builds the images again and brings them to the nodes
#   run COMMAND…   runs a command where the cluster can be reached (kubectl is there)
#   node NODE COMMAND…   runs a command on a node (control-plane, worker)
#   save FILE      what went wrong: events, logs of nodes and pods, into a directory
#   down           removes the cluster and everything that it needed
#
# OSM_CNI_CLUSTER_PROVIDER=podman|docker chooses; OSM_CNI_NODE_IMAGE names another node image.
set -Eeuo pipefail

here=$(realpath "$(dirname "$0")")
root=$(realpath "$here/../..")
work=$root/target/cluster
bin=$work/bin
# One cluster for each checkout.
name=osm-cni-$(printf %s "$root" | cksum | cut -d' ' -f1)
run=/run/$name
export KUBECONFIG=$work/kubeconfig PATH=$bin:$PATH

say() {
    echo "cluster: $*" >&2
}

# The provider of a cluster is the one it was made with.
provider() {
    local chosen=${OSM_CNI_CLUSTER_PROVIDER:-}
    if [ -z "$chosen" ] && [ -e "$work/provider" ]; then
        chosen=$(cat "$work/provider")
    elif [ -z "$chosen" ]; then
        chosen=podman
        docker info >/dev/null 2>&1 && docker_has_node && chosen=docker
    fi
    echo "$chosen"
}

# Whether Docker has kind's node image, or can fetch it.
docker_has_node() {
    local image
    image=$(public_node)
    docker image inspect "$image" >/dev/null 2>&1 || docker pull --quiet "$image" >&2
}

public_node() {
    # kind's own default, which it was tested with.
    echo "${OSM_CNI_NODE_IMAGE:-$(grep -aoE 'kindest/node:v[0-9.]+@sha256:[0-9a-f]{64}' "$bin/kind" | head -n 1)}"
}

# podman with a storage, networks and state of this checkout alone.
podman_environment() {
    local files
    files=$(ulimit -Hn)
    mkdir -p "$work/podman" "$run"
    cat >"$work/podman/containers.conf" <<END
[containers]
# podman lowers its own limits and may not raise them again.
default_ulimits = ["nofile=$files:$files", "nproc=32768:32768"]
[engine]
# crun refuses hybrid cgroups.
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
static_dir = "$work/podman/libpod"
volume_path = "$work/podman/volumes"
tmp_dir = "$run/libpod"
[network]
network_config_dir = "$work/podman/networks"
END
    cat >"$work/podman/storage.conf" <<END
[storage]
driver = "overlay"
graphroot = "$work/podman/storage"
runroot = "$run/storage"
END
    export CONTAINERS_CONF=$work/podman/containers.conf CONTAINERS_STORAGE_CONF=$work/podman/storage.conf
    export KIND_EXPERIMENTAL_PROVIDER=podman
}

# inside COMMAND…: where the cluster's network and its containers' mounts are.
inside() {
    if [ "$provider" = podman ]; then
        # shellcheck disable=SC2016
        nsenter "--net=/run/netns/$name" "--mount=$run/ns/mount" -- sh -c 'cd "$1" && shift && exec "$@"' sh "$PWD" "$@"
    else
        "$@"
    fi
}

make_namespace() {
    [ -e "/run/netns/$name" ] || ip netns add "$name"
    # podman's DNS server has one directory for the machine: a cluster of another
    # checkout would be told of our names, and we of none.
    mkdir -p "$run/ns" "$run/containers" /run/containers
    mount --bind "$run/ns" "$run/ns"
    mount --make-private "$run/ns"
    touch "$run/ns/mount"
    unshare "--mount=$run/ns/mount" --propagation private mount --bind "$run/containers" /run/containers
    ip -n "$name" link set lo up
    # Nodes find each other by the bridge; a default route that leads nowhere
    # lets programs choose a source address.
    inside sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
    # kind's nodes want to see it.
    mkdir -p /lib/modules
}

# Removes what `up` made: containers, volumes, network, namespace, state.
down() {
    local status=0
    if [ "$provider" = podman ]; then
        if [ -e "$run/ns/mount" ]; then
            inside podman rm --all --force --volumes >/dev/null 2>&1 || status=1
            inside podman volume prune --force >/dev/null || status=1
            inside podman network rm --force kind >/dev/null 2>&1 || true
            # It ends with its last network, unless it was told nothing.
            kill "$(cat "$run/containers/networks/aardvark-dns/aardvark.pid" 2>/dev/null)" 2>/dev/null || true
            umount "$run/ns/mount" || status=1
            umount "$run/ns" || status=1
        fi
        if [ -e "/run/netns/$name" ]; then
            ip netns delete "$name" || status=1
        fi
        # Images stay, for the next time.
        umount -R "$work/podman/storage/overlay" 2>/dev/null || true
        rm -rf "$run" || status=1
    else
        kind delete cluster --name "$name" 2>&1 | sed 's/^/cluster: /' >&2
    fi
    rm -f "$KUBECONFIG" "$work/provider"
    return $status
}

up() {
    local image
    down
    mkdir -p "$work"
    trap 'say "could not make the cluster"; save "$work/failed" || true; [ -n "${KEEP:-}" ] || down' ERR
    if [ "$provider" = podman ]; then
        podman_environment
        make_namespace
        image=${OSM_CNI_NODE_IMAGE:-$("$here/node/build.sh" image podman)}
    else
        image=$(public_node)
    fi
    echo "$provider" >"$work/provider"
    say "making $name on $provider from $image"
    configuration >"$work/kind.yaml"
    # Without --wait: nodes are not ready before there is a pod network.
    inside kind create cluster --name "$name" --image "$image" --config "$work/kind.yaml" --retain
    load
}

# Two nodes, no pod network. What only our node image needs is left out elsewhere.
configuration() {
    cat "$here/kind.yaml"
    [ "$provider" = podman ] || return 0
    # shellcheck source=tests/cluster/versions
    . "$here/versions"
    sed "s/KUBERNETES/$KUBERNETES/; s/COREDNS/$COREDNS/" "$here/kind-node.yaml"
}

# The images that pods of the scenarios run: the one under test, and their own.
load() {
    local image
    "$here/images.sh" "$provider" "$work/archives"
    for image in "$work/archives"/*.tar; do
        inside kind load image-archive --name "$name" "$image"
    done
}

save() {
    local node
    mkdir -p "$1"
    inside kubectl get pods,nodes,events -A -o wide >"$1/objects" 2>&1 || true
    inside kind export logs --name "$name" "$1" >/dev/null 2>&1 || true
    say "what the cluster said is in $1"
}

[ $# -ge 1 ] || { sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 2; }
[ "$(id -u)" = 0 ] || { say "must run as root"; exit 1; }
if [ "$1" = up ] || [ ! -e "$bin/kubectl" ]; then
    "$here/node/build.sh" programs
fi
provider=$(provider)
export OSM_CNI_CLUSTER_PROVIDER=$provider OSM_CNI_CLUSTER=$name
[ "$provider" = podman ] && podman_environment
command=$1
shift
case $command in
    up) up ;;
    down) down ;;
    load) load ;;
    run) inside "$@" ;;
    node)
        node=$1
        shift
        inside "$provider" exec "$name-$node" "$@"
        ;;
    save) save "$1" ;;
    *) say "no such command: $command"; exit 2 ;;
esac
