#!/usr/bin/env bash
# Builds the programs of a cluster and the image of its nodes from packages:
# Debian, containerd, runc, Kubernetes and CoreDNS. The counterpart of kind's own
# node image where that cannot be fetched; kind's own files go into it.
#
# Usage: tests/cluster/node/build.sh programs|image PODMAN
#   programs      target/cluster/bin: kind, kubernetes (with its name kubectl)
#   image PODMAN  the node image, in PODMAN's storage; prints its name
#
# Everything lies in target/cluster and in Go's own caches, and is built again
# only when its version changes. The first time takes 20 minutes of CPU.
set -euo pipefail

here=$(realpath "$(dirname "$0")")
root=$(realpath "$here/../../..")
work=$root/target/cluster
bin=$work/bin
# shellcheck source=tests/cluster/versions
. "$here/../versions"

say() {
    echo "node: $*" >&2
}

# built NAME KEY: whether NAME was built with KEY; if not, `done_with` says so later.
built() {
    [ "$(cat "$work/stamps/$1" 2>/dev/null)" = "$2" ]
}

done_with() {
    mkdir -p "$work/stamps"
    echo "$2" >"$work/stamps/$1"
}

go() {
    CGO_ENABLED=0 GOFLAGS=-buildvcs=false "$go" "$@"
}


# agrees GO_MOD MODULE VERSION: `versions` decides, go.mod follows.
agrees() {
    grep -q "$2 v$3\$" "$1" || {
        say "$1 has another version of $2 than $3: run tests/cluster/node/require.sh"
        return 1
    }
}

programs() {
    local version='k8s.io/component-base/version'
    mkdir -p "$bin"
    if ! built kind "$KIND"; then
        say "building kind $KIND"
        GOBIN=$bin go install -ldflags '-s -w' "sigs.k8s.io/kind@v$KIND"
        done_with kind "$KIND"
    fi
    key=$KUBERNETES-$(cat "$here"/kubernetes/*.go "$here/../go.mod" | cksum)
    built kubernetes "$key" && return
    say "building Kubernetes $KUBERNETES (18 minutes of CPU the first time)"
    agrees "$here/../go.mod" k8s.io/kubernetes "$KUBERNETES"
    (cd "$here/.." && go build -o "$bin/kubernetes" \
        -ldflags "-s -w -X $version.gitVersion=v$KUBERNETES -X $version.gitMajor=1 -X $version.gitMinor=$(cut -d. -f2 <<<"$KUBERNETES")" \
        ./node/kubernetes)
    ln -sf kubernetes "$bin/kubectl"
    done_with kubernetes "$key"
}

# The Debian tree that a node is made of.
tree() {
    local packages=systemd,systemd-sysv,dbus,iproute2,iptables,nftables,conntrack,ethtool,mount,kmod,util-linux,procps,ca-certificates,libseccomp2
    built tree "$DEBIAN $packages" && return
    say "unpacking Debian $DEBIAN"
    rm -rf "$work/tree"
    local archive
    archive=$(apt-get indextargets --format "\$(RELEASE) \$(COMPONENT) \$(REPO_URI)" 'Created-By: Packages' |
        sed -n "s/^$(. /etc/os-release && echo "$VERSION_CODENAME") main //p" | head -n 1)
    # What it mounts in the tree ends with its namespace, also where something is
    # using it: a /proc that stayed would be copied into the image.
    unshare --mount --propagation private \
        debootstrap --variant=minbase --include="$packages" "$DEBIAN" "$work/tree" "$archive" >"$work/debootstrap.log" 2>&1 || {
        tail -n 20 "$work/debootstrap.log" >&2
        return 1
    }
    rm -rf "$work/tree"/var/cache/apt "$work/tree"/var/lib/apt/lists "$work/tree"/usr/share/{doc,man,locale,info}
    done_with tree "$DEBIAN $packages"
}

# The images of Kubernetes' own pods, all of them one: every program by its name,
# and nft for kube-proxy.
images() {
    local context=$work/images name
    rm -rf "$context"
    mkdir -p "$context"/root/{usr/local/bin,usr/sbin,etc,tmp}
    install "$bin/kubernetes" "$bin/coredns" "$context/root/usr/local/bin/"
    for name in etcd kube-apiserver kube-controller-manager kube-scheduler kube-proxy; do
        ln -s kubernetes "$context/root/usr/local/bin/$name"
    done
    mkdir -p "$context"/root/usr/lib "$context"/root/usr/lib64
    ln -s usr/lib "$context/root/lib"
    ln -s usr/lib64 "$context/root/lib64"
    cp "$work/tree/usr/sbin/nft" "$context/root/usr/sbin/"
    chroot "$work/tree" ldd /usr/sbin/nft | sed -n 's#.*\s\(/[^ ]*\) (.*#\1#p' | while read -r name; do
        install -D "$work/tree$name" "$context/root$(chroot "$work/tree" realpath "$(dirname "$name")")/$(basename "$name")"
    done
    (cd "$here/.." && go build -ldflags '-s -w' -o "$context/pause" ./node/pause)
    printf 'FROM scratch\nCOPY root /\nENV PATH=/usr/local/bin:/usr/sbin\nENTRYPOINT ["/usr/local/bin/coredns"]\n' >"$context/Kubernetes"
    printf 'FROM scratch\nCOPY pause /pause\nENTRYPOINT ["/pause"]\n' >"$context/Pause"
    local tags=()
    for name in kube-apiserver kube-controller-manager kube-scheduler kube-proxy; do
        tags+=("kind.local/$name:v$KUBERNETES")
    done
    tags+=("kind.local/etcd:v$KUBERNETES" "kind.local/coredns:v$COREDNS")
    "$podman" build --quiet --tag "${tags[0]}" --file "$context/Kubernetes" "$context" >&2
    "$podman" tag "${tags[@]}"
    "$podman" build --quiet --tag kind.local/pause:1 --file "$context/Pause" "$context" >&2
    rm -f "$work/images.tar"
    "$podman" save --quiet --multi-image-archive --output "$work/images.tar" "${tags[@]}" kind.local/pause:1 >&2
    "$podman" rmi --force "${tags[@]}" kind.local/pause:1 >/dev/null
    rm -rf "$context"
}

image() {
    local name
    name=localhost/osm-cni-node:$KUBERNETES-$(cd "$here" && find . ../versions ../go.mod -type f -exec cksum {} + | sort | cksum | cut -d' ' -f1)
    if ! "$podman" image exists "$name"; then
        assemble "$name"
    fi
    echo "$name"
}

assemble() {
    local packages files name node=$work/node
    agrees "$here/coredns/go.mod" github.com/coredns/coredns "$COREDNS"
    say "building CoreDNS $COREDNS"
    (cd "$here/coredns" && go build -ldflags '-s -w' -o "$bin/coredns" .)
    tree
    say "images of Kubernetes"
    images
    say "the node image $1"
    packages=$("$root/scripts/debian-package.sh" "$RUNTIME" containerd runc containernetworking-plugins)
    files=$(cd / && "$go" mod download -json "sigs.k8s.io/kind@v$KIND" | sed -n 's/.*"Dir": "\(.*\)",/\1/p')/images/base/files
    rm -rf "$node"
    cp -a --reflink=auto "$work/tree" "$node"
    rm -f "$node/usr/sbin/init"
    cp -rL --no-preserve=ownership "$files/." "$node/"
    chmod -R u+w,go+rX "$node/etc" "$node/kind" "$node/usr/local/bin"
    chmod 0755 "$node"/usr/local/bin/* "$node"/kind/bin/*
    cp -r --no-preserve=ownership "$here/files/etc/." "$node/etc/"
    install "$here/files/sbin/init" "$node/usr/sbin/init"
    install "$bin/kubernetes" "$node/usr/bin/kubernetes"
    for name in kubeadm kubelet kubectl; do
        ln -sf kubernetes "$node/usr/bin/$name"
    done
    install "$packages"/usr/bin/{containerd,containerd-shim-runc-v2,ctr} "$node/usr/local/bin/"
    install "$packages/usr/sbin/runc" "$node/usr/local/sbin/"
    mkdir -p "$node/opt/cni/bin" "$node/etc/cni/net.d" "$node/etc/kubernetes/manifests"
    for name in bridge host-local loopback portmap ptp; do
        install "$packages/usr/lib/cni/$name" "$node/opt/cni/bin/"
    done
    mv "$work/images.tar" "$node/kind/images.tar"
    echo "v$KUBERNETES" >"$node/kind/version"

    # As for any systemd in a container: no devices, no mounts, no terminals.
    local units=$node/usr/lib/systemd/system
    rm -f "$units"/{multi-user,local-fs,basic}.target.wants/* "$units"/sockets.target.wants/*{udev,initctl}* \
        "$units"/sysinit.target.wants/systemd-tmpfiles-setup.service "$node"/etc/systemd/system/*.wants/*
    echo "ReadKMsg=no" >>"$node/etc/systemd/journald.conf"
    for name in kubelet containerd undo-mount-hacks node-images; do
        mkdir -p "$node/etc/systemd/system/multi-user.target.wants"
        ln -sf "/etc/systemd/system/$name.service" "$node/etc/systemd/system/multi-user.target.wants/"
    done
    ln -sf /dev/null "$node/etc/systemd/system/systemd-binfmt.service"

    tar -C "$node" -c . | "$podman" import --change 'ENV container=docker' --change 'STOPSIGNAL SIGRTMIN+3' \
        --change 'ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]' - "$1" >&2
    rm -rf "$node"
}

go=$("$here/../go.sh")
case "${1:-}" in
    programs) programs ;;
    image)
        podman=${2:?usage: $0 image PODMAN}
        programs
        image
        ;;
    *) echo "usage: $0 programs|image PODMAN" >&2; exit 2 ;;
esac
