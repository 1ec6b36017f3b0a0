#!/usr/bin/env bash
# Writes go.mod and go.sum anew for the Kubernetes and CoreDNS that `versions` names.
#
# k8s.io/kubernetes is made to be built inside its own repository: its go.mod
# takes its staging modules from directories there. Outside, each of them has to
# be replaced by its published version, v0.MINOR.PATCH for Kubernetes 1.MINOR.PATCH.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tests/cluster/versions
. ./versions
go=$(./go.sh)

module=$(cd / && "$go" mod download -json "k8s.io/kubernetes@v$KUBERNETES" | sed -n 's/.*"GoMod": "\(.*\)",/\1/p')
{
    echo "// The programs of a node and the scenarios that run on a cluster of such nodes."
    echo "// Written by node/require.sh; the version of Kubernetes is chosen in versions."
    echo "module osm-cni/cluster"
    echo
    sed -n '/^go [0-9]/p; /^godebug /p' "$module"
    echo
    echo "require k8s.io/kubernetes v$KUBERNETES"
    echo
    echo "replace ("
    sed -n "s#^\t\(k8s.io/[a-z0-9-]*\) => ./staging.*#\t\1 => \1 v0.${KUBERNETES#1.}#p" "$module"
    echo ")"
} >go.mod
"$go" mod tidy

cd node/coredns
"$go" mod edit -require "github.com/coredns/coredns@v$COREDNS"
"$go" mod tidy
