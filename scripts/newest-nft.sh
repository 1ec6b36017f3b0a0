#!/usr/bin/env bash
# Fetches Debian's newest nft and iptables into DIR, with the libraries that
# they run on, and prints the directory of programs that start them. Nothing is
# installed. The mirror and its key are those that this machine's apt uses;
# what was fetched is kept for a week.
# Usage: scripts/newest-nft.sh DIR
set -euo pipefail

dir=$(realpath -m "$1")
programs=$dir/programs
die() {
    echo "newest-nft: $*" >&2
    exit 1
}

mkdir -p "$dir"
# Two tests at once fetch it once.
exec 9>"$dir/lock"
flock 9
if [ -n "$(find "$programs/done" -mtime -7 2>/dev/null)" ]; then
    echo "$programs"
    exit
fi
command -v apt-get dpkg-deb >/dev/null || die "apt-get and dpkg-deb are needed: Debian has the newest nft as a package"

fresh=$(mktemp -d "$dir/fetch.XXXXXX")
trap 'rm -rf "$fresh"' EXIT
mkdir -p "$fresh"/{state/lists/partial,cache/archives/partial,sources,root,programs}

# The archive that this release's own main component comes from.
# shellcheck source=/dev/null
release=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
source=$(apt-get indextargets --format "\$(RELEASE) \$(COMPONENT) \$(REPO_URI)|\$(SIGNED_BY)" \
    'Created-By: Packages' | sed -n "s/^$release main //p" | head -n 1)
[ -n "$source" ] || die "apt's sources name no archive for Debian ${release:-(no VERSION_CODENAME)}"
archive=${source%%|*} key=${source#*|}
# Where apt does not say, the line names none and all of its keys count.
[[ $key = /* ]] && key="[signed-by=$key] " || key=

options=(-qq -o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$fresh/sources"
    -o "Dir::State=$fresh/state" -o Dir::State::status=/dev/null -o "Dir::Cache=$fresh/cache"
    -o APT::Sandbox::User=root -o Acquire::Languages=none
    -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false)
fetch() {
    echo "deb $key$archive $1 main" >"$fresh/sources/newest.list"
    # apt-get update only warns of what it could not fetch
    apt-get "${options[@]}" -o APT::Update::Error-Mode=any update >&2 || return
    # no package is there yet, so the libraries come along
    apt-get "${options[@]}" --yes --no-install-recommends --download-only install nftables iptables >&2
}
if ! fetch sid && ! fetch testing; then
    [ -e "$programs/done" ] || die "neither sid nor testing can be had from $archive"
    echo "newest-nft: neither sid nor testing can be had from $archive; an older copy serves" >&2
    echo "$programs"
    exit
fi

for package in "$fresh"/cache/archives/*.deb; do
    dpkg-deb --extract "$package" "$fresh/root"
done
rm -rf "$dir/root" "$programs"
mv "$fresh/root" "$dir/root"
loader=$(find "$dir/root" -name 'ld-linux*.so.*' -print -quit)
libraries=$(dirname "$(find "$dir/root" -name 'libc.so.6' -print -quit)")
[ -n "$loader" ] || die "the packages hold no loader for programs"
for program in nft iptables-nft iptables-nft-save iptables-legacy iptables-legacy-save; do
    found=$(find "$dir/root" -path "*/sbin/$program" -print -quit)
    [ -n "$found" ] || die "the packages hold no $program"
    # iptables picks its verb by the name it is called
    cat >"$fresh/programs/$program" <<END
#!/bin/sh
XTABLES_LIBDIR='$libraries/xtables' exec '$loader' --argv0 $program --library-path '$libraries' '$(realpath "$found")' "\$@"
END
    chmod 0755 "$fresh/programs/$program"
done
touch "$fresh/programs/done"
mv "$fresh/programs" "$programs"
echo "$programs"
