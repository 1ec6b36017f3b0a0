#!/usr/bin/env bash
# Makes the initial file system of a virtual machine for one kernel: the kernel's
# network modules, this machine's programs that the tests run, with their
# libraries, the plugin and the tests' own static program.
# Usage: tests/kernels/initramfs.sh KERNEL-PACKAGES-ROOT PLUGIN TESTS OUTPUT
set -euo pipefail

packages=$1 plugin=$2 tests=$3 output=$(realpath -m "$4")
here=$(realpath "$(dirname "$0")")
root=$(mktemp -d "$output.XXXXXX")
trap 'rm -rf "$root"' EXIT
die() {
    echo "initramfs: $*" >&2
    exit 1
}

# Modules: everything below net, and what that needs.
tree=$(find "$packages" -path '*/lib/modules/*' -prune -type d -print)
version=$(basename "$tree")
modules=$root/lib/modules/$version
[ -d "$tree/kernel/net" ] || die "no modules of the network in $packages"
mkdir -p "$modules/kernel"
for part in net lib crypto arch/x86/crypto drivers/net/veth.ko drivers/net/veth.ko.xz; do
    [ -e "$tree/kernel/$part" ] || continue
    mkdir -p "$modules/kernel/$(dirname "$part")"
    cp -a "$tree/kernel/$part" "$modules/kernel/$part"
done
find "$modules" -name '*.ko.xz' -exec xz --decompress {} +
find "$modules" -name '*.ko' -exec objcopy --strip-debug {} \;
cp "$tree"/modules.{builtin,order}* "$modules/"
# busybox' modprobe loads these modules when the kernel asks for them.
depmod --basedir "$root" "$version"

mkdir -p "$root"/{bin,sbin,usr/bin,usr/sbin,dev,proc,sys,run,tmp,etc,var/log,root}
install -m 0755 /bin/busybox "$root/bin/busybox"
for applet in $(busybox --list); do
    [ "$applet" = busybox ] || ln -s /bin/busybox "$root/bin/$applet"
done
ln -s /bin/busybox "$root/sbin/modprobe"

# A program of this machine at its own path, with its libraries.
add() {
    [ -e "$root/$1" ] && [ ! -L "$root/$1" ] && return
    install -D -m 0755 "$(realpath "$1")" "$root/$1"
    # A static program has none, and ldd fails.
    { ldd "$1" 2>/dev/null || true; } | grep -o '/[^ ]*' | while read -r library; do
        [ -e "$root/$library" ] || install -D -m 0755 "$(realpath "$library")" "$root/$library"
    done
}
for program in bash ip nft nsenter unshare strace prlimit setpriv time mount umount timeout \
    iptables-{legacy,nft}{,-save,-restore} ip6tables-{legacy,nft}{,-save,-restore} \
    {iptables,ip6tables}{,-save,-restore}; do
    path=$(type -P "$program") || die "this machine has no $program"
    rm -f "$root/bin/$program"
    add "$path"
done
for extension in /usr/lib/*/xtables/*.so; do
    add "$extension"
done
[ ! -e /etc/protocols ] || cp /etc/protocols "$root/etc/"
printf 'root:x:0:0:root:/root:/bin/sh\n' >"$root/etc/passwd"
printf 'root:x:0:\n' >"$root/etc/group"

install -D -m 0755 "$here/init" "$root/init"
install -m 0755 "$plugin" "$root/osm-cni"
objcopy --strip-debug "$tests" "$root/tests"
(cd "$root" && find . | cpio --quiet --create --format=newc | gzip -1) >"$output"
