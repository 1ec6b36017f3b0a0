#!/usr/bin/env bash
# Builds a Go program of a fixed version once, below target/tools/go, and prints
# its path. Needs Go 1.21 or newer; nothing is installed.
# Usage: scripts/go-tool.sh helm|helm4|kubeconform|actionlint|kyverno|kyverno-controller
set -euo pipefail

package=
case ${1:-} in
    helm) module=helm.sh/helm/v3/cmd/helm version=v3.22.0 ;;
    helm4) module=helm.sh/helm/v4/cmd/helm version=v4.3.2 ;;
    kubeconform) module=github.com/yannh/kubeconform/cmd/kubeconform version=v0.8.0 ;;
    actionlint) module=github.com/rhysd/actionlint/cmd/actionlint version=v1.7.12 ;;
    kyverno) module=github.com/kyverno/kyverno version=v1.19.1 package=./cmd/cli/kubectl-kyverno ;;
    kyverno-controller) module=github.com/kyverno/kyverno version=v1.19.1 package=./cmd/kyverno ;;
    *) echo "usage: $0 helm|helm4|kubeconform|actionlint|kyverno|kyverno-controller" >&2; exit 2 ;;
esac

root=$(realpath "$(dirname "$0")/..")
program=$root/target/tools/go/$1-$version
mkdir -p "$(dirname "$program")"
# Concurrent callers build once.
exec 9>"$program.lock"
flock 9
if [ ! -x "$program" ]; then
    command -v go >/dev/null || { echo "osm-cni: $1 is built with Go 1.21 or newer, which is missing" >&2; exit 1; }
    echo "osm-cni: building $1 $version, once" >&2
    temporary=$(mktemp -d "$program.XXXXXX")
    trap 'rm -rf "$temporary"' EXIT
    export GOFLAGS=-p=2 CGO_ENABLED=0
    if [ -n "$package" ]; then
        # Its module replaces another one, which `go install` does not take.
        source=$(go mod download -json "$module@$version" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
        nice go build -C "$source" -trimpath -ldflags=-s -o "$temporary/$1" "$package" 9>&-
    else
        GOBIN=$temporary nice go install -trimpath -ldflags=-s "$module@$version" 9>&-
    fi
    mv "$temporary"/* "$program"
fi
echo "$program"
