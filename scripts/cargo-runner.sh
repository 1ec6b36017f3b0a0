#!/bin/sh
# Starts the programs that cargo built (`runner` in .cargo/config.toml). Without root
# it leaves out the integration tests that create namespaces, mounts or containers,
# and prints one line about it. In CI this is a failure, because nobody reads the
# line.
set -eu

all=yes
case ${1##*/} in
    main-*) [ "$(id -u)" = 0 ] || all=no ;;
esac
[ "$all" = yes ] && exec "$@"

subjects='cli:: containerd:: contract::attachment contract::journal contract::promises contract::sizes
    docs::quoted faults:: hostile::appetite kernel:: node::audit node::both_meshes node::clocks
    node::directory node::runtime node::settings node::withdrawal traffic::'
# shellcheck disable=SC2046,SC2086 # one word each
set -- "$@" $(printf -- '--skip %s ' $subjects)
# shellcheck disable=SC2086
echo "osm-cni: not root, so these tests are left out:" $subjects >&2
[ -z "${CI:-}" ] || exit 1
exec "$@"
