#!/usr/bin/env bash
# Makes the images that the scenarios run, as archives for `kind load`: the image
# under test, the test pods' program, a kubectl, and a real Envoy, also as FSM's proxy.
# Usage: tests/cluster/images.sh docker|podman DIRECTORY
set -euo pipefail
here=$(realpath "$(dirname "$0")")
root=$(realpath "$here/../..")
program=$1 archives=$2
context=$root/target/cluster/context
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/Cargo.toml" | head -n 1)

mkdir -p "$archives"

# archive NAME TAG: docker.io/library is what a kubelet reads into a short name.
archive() {
    "$program" tag "$2" "docker.io/library/$2"
    rm -f "$archives/$1.tar"
    case $program in
        podman) podman save --quiet --format oci-archive --output "$archives/$1.tar" "docker.io/library/$2" >/dev/null ;;
        docker) docker save --output "$archives/$1.tar" "docker.io/library/$2" ;;
    esac
}

# The image under test, under the name that install/ has.
"$root/scripts/image.sh" "osm-cni:$version" "$program" >&2
archive osm-cni "osm-cni:$version"

go=$("$here/go.sh")
pod=$root/target/cluster/pod
(cd "$here" && CGO_ENABLED=0 GOFLAGS=-buildvcs=false "$go" build -ldflags '-s -w' -o "$pod" ./pod)
rm -rf "$context"
mkdir -p "$context"
cp "$pod" "$context/pod"
printf 'FROM scratch\nCOPY pod /pod\nENTRYPOINT ["/pod"]\n' >"$context/Dockerfile"
"$program" build --quiet --tag osm-cni-pod:1 "$context" >&2
archive pod osm-cni-pod:1

# The image that meshconfig-sync.yaml and startup-taint.yaml name: kubectl and a shell.
if [ ! -e "$archives/kubectl.tar" ] || [ "$root/target/cluster/bin/kubernetes" -nt "$archives/kubectl.tar" ] ||
    [ "$here/images.sh" -nt "$archives/kubectl.tar" ]; then
    rm -rf "$context"
    mkdir -p "$context/root/bin" "$context/root/tmp"
    install "$root/target/cluster/bin/kubernetes" "$context/root/bin/kubectl"
    install "$(command -v busybox)" "$context/root/bin/busybox"
    for applet in chroot grep sh sleep; do
        ln -s busybox "$context/root/bin/$applet"
    done
    printf 'FROM scratch\nCOPY root /\nENV PATH=/bin\n' >"$context/Dockerfile"
    "$program" build --quiet --tag kubectl:1.32 "$context" >&2
    archive kubectl kubectl:1.32
fi

# Envoy does not change: once is enough, as archive and as what the next one is made from.
if [ ! -e "$archives/envoy.tar" ] || ! "$program" image inspect docker.io/library/envoyproxy-envoy:1 >/dev/null 2>&1; then
    rm -rf "$context"
    mkdir -p "$context/root/usr/local/bin"
    envoy=$(sh "$root/tests/support/envoy.sh" "$root/target/tmp/envoy")
    install "$envoy" "$context/root/usr/local/bin/envoy"
    ldd "$envoy" | sed -n 's#.*\s\(/[^ ]*\) (.*#\1#p' | while read -r library; do
        install -D "$library" "$context/root$library"
    done
    printf 'FROM scratch\nCOPY root /\nENV PATH=/usr/local/bin\nENTRYPOINT ["envoy"]\n' >"$context/Dockerfile"
    "$program" build --quiet --tag envoyproxy-envoy:1 "$context" >&2
    archive envoy envoyproxy-envoy:1
fi

# FSM's proxy: Envoy, and the programs of FSM's hooks.
rm -rf "$context"
mkdir -p "$context"
cp "$pod" "$context/wait-pipy"
ln "$context/wait-pipy" "$context/gkill"
printf 'FROM docker.io/library/envoyproxy-envoy:1\nCOPY wait-pipy gkill /usr/local/bin/\n' >"$context/Dockerfile"
"$program" build --quiet --tag flomesh-pipy:1 "$context" >&2
archive pipy flomesh-pipy:1
rm -rf "$context"
