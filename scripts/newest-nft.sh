#!/usr/bin/env bash
# Fetches Debian's newest nft and iptables with the libraries that they need,
# and prints a directory of programs that start them.
# Usage: scripts/newest-nft.sh
set -euo pipefail

die() {
    echo "newest-nft: $*" >&2
    exit 1
}

root=$("$(dirname "$0")/debian-package.sh" --with-dependencies newest nftables iptables)
loader=$(find "$root" -name 'ld-linux*.so.*' -print -quit)
libraries=$(dirname "$(find "$root" -name 'libc.so.6' -print -quit)")
[ -n "$loader" ] || die "the packages below $root hold no dynamic loader"
programs=$(dirname "$root")/programs
fresh=$(mktemp -d "$programs.XXXXXX")
trap 'rm -rf "$fresh"' EXIT
mkdir -p "$programs"
for program in nft iptables-nft iptables-nft-restore iptables-nft-save iptables-legacy iptables-legacy-save; do
    found=$(find "$root" -path "*/sbin/$program" -print -quit)
    [ -n "$found" ] || die "the packages below $root hold no $program"
    # iptables chooses its function by the name it is called with.
    cat >"$fresh/$program" <<END
#!/bin/sh
XTABLES_LIBDIR='$libraries/xtables' exec '$loader' --argv0 $program --library-path '$libraries' '$(realpath "$found")' "\$@"
END
    chmod 0755 "$fresh/$program"
    mv "$fresh/$program" "$programs/$program"
done
echo "$programs"
