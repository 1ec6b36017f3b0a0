#!/usr/bin/env bash
# Unpacks packages of another Debian suite and prints the directory that holds
# them. Nothing is installed. The mirror and its key are those that this
# machine's apt uses for its own release.
#
# Usage: scripts/debian-package.sh [OPTION] SUITE PACKAGE…
#   SUITE                bullseye, bookworm, trixie, sid …; `newest` is sid, or
#                        testing where sid cannot be had
#   --with-dependencies  also all packages that these need to run
#   --follow REGEX       also those that they depend on, directly or not, whose
#                        whole name matches REGEX (for metapackages)
#
# The files lie in target/debian/SUITE/PACKAGE+…/root, and `versions` beside it
# lists each package with its version. They are kept for a week; after that, if
# the archive cannot be reached, the old ones are used and a warning is printed.
set -euo pipefail

die() {
    echo "debian-package: $*" >&2
    exit 1
}

follow='' dependencies=''
while [[ ${1:-} = --* ]]; do
    case $1 in
        --with-dependencies) dependencies=yes; shift ;;
        --follow) follow=${2:?--follow needs a regular expression}; shift 2 ;;
        *) die "unknown option $1" ;;
    esac
done
[ $# -ge 2 ] || die "usage: $0 [--with-dependencies | --follow REGEX] SUITE PACKAGE..."
suite=$1
shift
packages=("$@")

target=${CARGO_TARGET_DIR:-$(dirname "$0")/../target}
name=$(IFS=+; echo "${packages[*]}")${dependencies:+,dependencies}
# One directory for each REGEX.
[ -z "$follow" ] || name+=,$(cksum <<<"$follow" | cut -d ' ' -f 1)
dir=$(realpath -m "$target/debian/$suite/$name")
mkdir -p "$dir"
# Concurrent callers fetch once.
exec 9>"$dir/lock"
flock 9
if [ -n "$(find "$dir/versions" -mtime -7 2>/dev/null)" ]; then
    echo "$dir/root"
    exit
fi
for program in apt-get apt-cache dpkg-deb; do
    command -v "$program" >/dev/null || die "$program is missing: packages come from Debian's archive"
done

fresh=$(mktemp -d "$dir/fetch.XXXXXX")
trap 'rm -rf "$fresh"' EXIT
mkdir -p "$fresh"/{state/lists/partial,cache/archives/partial,sources,root}

# The archive of this release's main component.
# shellcheck source=/dev/null
release=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
source=$(apt-get indextargets --format "\$(RELEASE) \$(COMPONENT) \$(REPO_URI)|\$(SIGNED_BY)" \
    'Created-By: Packages' | sed -n "s/^$release main //p" | head -n 1)
[ -n "$source" ] || die "apt's sources name no archive for Debian ${release:-(no VERSION_CODENAME)}"
archive=${source%%|*} key=${source#*|}
# If apt's source names no key, all of apt's keys are accepted.
[[ $key = /* ]] && key="[signed-by=$key] " || key=

options=(-qq -o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$fresh/sources"
    -o "Dir::State=$fresh/state" -o Dir::State::status=/dev/null -o "Dir::Cache=$fresh/cache"
    -o APT::Sandbox::User=root -o Acquire::Languages=none -o Acquire::Retries=3
    -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false)

# The packages themselves and, with --follow, those behind them.
wanted() {
    printf '%s\n' "${packages[@]}"
    [ -z "$follow" ] && return
    apt-cache "${options[@]}" depends --recurse --no-recommends --no-suggests --no-conflicts \
        --no-breaks --no-replaces --no-enhances "${packages[@]}" | grep -xE -- "$follow"
}

fetch() {
    echo "deb $key$archive $1 main" >"$fresh/sources/suite.list"
    # Without the error mode, apt-get update only warns.
    apt-get "${options[@]}" -o APT::Update::Error-Mode=any update >&2 || return
    if [ -n "$dependencies" ]; then
        # The empty status file makes apt fetch all dependencies.
        apt-get "${options[@]}" --yes --no-install-recommends --download-only \
            install "${packages[@]}" >&2
        return
    fi
    local names
    names=$(wanted | sort -u)
    (cd "$fresh/cache/archives" && xargs apt-get "${options[@]}" download <<<"$names" >&2)
}

fetched=''
suites=("$suite")
[ "$suite" = newest ] && suites=(sid testing)
for candidate in "${suites[@]}"; do
    fetch "$candidate" && fetched=yes && break
done
if [ -z "$fetched" ]; then
    [ -e "$dir/versions" ] || die "${packages[*]} of $suite cannot be fetched from $archive"
    echo "debian-package: ${packages[*]} of $suite cannot be fetched from $archive; using the old copy" >&2
    echo "$dir/root"
    exit
fi

for package in "$fresh"/cache/archives/*.deb; do
    dpkg-deb --extract "$package" "$fresh/root"
    dpkg-deb --show --showformat "\${Package} \${Version}\n" "$package" >>"$fresh/versions"
done
rm -rf "$dir/versions" "$dir/root"
mv "$fresh/root" "$dir/root"
mv "$fresh/versions" "$dir/versions"
echo "$dir/root"
