#!/usr/bin/env bash
# Builds the image from the Dockerfile and compares the program in it with
# target/release/osm-cni, which `make release` ships: they must be the same bytes.
# The image to compile in is made here from this machine's Debian suite and its
# Rust, so nothing but Debian's archive is needed. The Debian tree, podman's
# storage and the image lie below target/test-image and are removed at the end.
# Usage: scripts/test-image.sh
set -euo pipefail
cd "$(dirname "$0")/.."

work=$PWD/target/test-image
if [ "${1:-}" != inside ]; then
    mkdir -p target
    # Concurrent callers wait.
    exec 9>"$work.lock"
    flock 9
    rm -rf --one-file-system "$work"
    mkdir "$work"
    trap 'rm -rf --one-file-system "$work"' EXIT
    # podman's mounts end with their mount namespace.
    unshare --mount --propagation private "$0" inside 9>&-
    exit
fi

say() {
    echo "test-image: $*" >&2
}

# Prints what a command wrote if it fails.
quiet() {
    "$@" >"$work/log" 2>&1 && return
    tail -n 40 "$work/log" >&2
    say "failed: $1"
    exit 1
}

# shellcheck source=/dev/null
suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
sources=$(apt-get indextargets --format "deb \$(REPO_URI) \$(RELEASE) \$(COMPONENT)" 'Created-By: Packages' |
    grep -E " $suite(-updates|-security)? main\$" | sort -u)
archive=$(sed -n "s/^deb \(.*\) $suite main\$/\1/p" <<<"$sources")
[ -n "$archive" ] || { say "apt's sources name no archive for Debian $suite"; exit 1; }

say "unpacking Debian $suite"
tree=$work/tree
quiet debootstrap --variant=minbase --include=ca-certificates "$suite" "$tree" "$archive"
echo "$sources" >"$tree/etc/apt/sources.list"
# The build trusts the certificates that this machine trusts.
cp -L /etc/ssl/certs/ca-certificates.crt "$tree/etc/ssl/certs/"
quiet chroot "$tree" sh -c 'export DEBIAN_FRONTEND=noninteractive
    apt-get update && apt-get dist-upgrade --yes &&
    apt-get install --yes --no-install-recommends gcc libc6-dev && apt-get clean'

# podman keeps the locks of all its storages in /dev/shm.
mount -t tmpfs none /dev/shm
podman() {
    command podman --root "$work/storage" --runroot "$work/run" --tmpdir "$work/tmp" \
        --runtime runc --cgroup-manager cgroupfs "$@"
}
build() {
    # The crates that this machine has are there; what the build adds is dropped.
    quiet podman build --isolation chroot --network host --build-arg BUILD=localhost/build \
        --volume "$(rustc --print sysroot):/rust:ro" \
        --volume "${CARGO_HOME:-$HOME/.cargo}/registry:/cargo/registry:O" "$@" .
}
# debootstrap may leave /proc mounted.
tar -C "$tree" --one-file-system -c . | quiet podman import --change 'ENV PATH=/rust/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
    --change 'ENV CARGO_HOME=/cargo' - localhost/build
say "building the image"
build --output "type=local,dest=$work/image"

ours=target/release/osm-cni theirs=$work/image/osm-cni
sha256sum "$ours" "$theirs"
if cmp "$ours" "$theirs"; then
    say "the same bytes"
    exit
fi

say "the program in the image is another than $ours"
# What of the build's surroundings reaches the program: linker, C library, the
# compiler's objects, and the headers that bindings are made from.
build --target build --tag localhost/built
built=$(podman image mount localhost/built)
versions() {
    dpkg-query --admindir "$1/var/lib/dpkg" --show binutils 'gcc-*' 'libgcc-*' libc6-dev 'libclang-*' linux-libc-dev
}
say "packages, here and in the image:"
diff <(versions /) <(versions "$built") >&2 && say "the same"
# Paths first: they are the most frequent difference.
strings() {
    tr -c '[:print:]' '\n' <"$1" | grep -E '.{8}' | sort -u
}
differing=$(diff <(strings "$ours") <(strings "$theirs") | grep '^[<>]' || true)
say "strings, here and in the image:"
{ grep / <<<"$differing" || true; grep -v / <<<"$differing" || true; } | sed -n '1,20p' >&2
[ -n "$differing" ] || say "the same: look at the flags in scripts/build.sh and .cargo/config.toml"
exit 1
