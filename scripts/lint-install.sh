#!/usr/bin/env bash
# Checks what cannot be run here: manifests and chart with the schemas of Kubernetes,
# the chart with helm, and the workflows with actionlint. There are no schemas here for
# kinds of other projects; they are counted as skipped.
# Usage: scripts/lint-install.sh
set -euo pipefail
cd "$(dirname "$0")/.."

helm=$(scripts/go-tool.sh helm)
kubeconform=$(scripts/go-tool.sh kubeconform)
actionlint=$(scripts/go-tool.sh actionlint)
schemas=$(scripts/kube-schemas.sh)

conform() {
    "$kubeconform" -summary -strict \
        -skip Kustomization,Component,ClusterPolicy,SecurityContextConstraints,PodMonitor,PrometheusRule \
        -schema-location "$schemas/{{ .ResourceKind }}{{ .KindSuffix }}.json" "$@"
}

shopt -s globstar nullglob
manifests=()
for file in install/**/*.yaml; do
    # The chart is rendered below.
    case $file in
        install/helm/*) continue ;;
    esac
    grep -q '^kind:' "$file" && manifests+=("$file")
done
conform "${manifests[@]}"

kubernetes=1.37.2
chart=install/helm/osm-cni

# Without the line that helm prints for each symbolic link of the chart.
quietly() {
    "$@" 2> >(grep -v 'found symbolic link' >&2)
}

render() {
    quietly "$helm" template osm-cni "$chart" --kube-version "$kubernetes" --namespace osm-cni "$@"
}

for values in "" "$chart"/ci/*.yaml; do
    options=(${values:+--values "$values"})
    quietly "$helm" lint --strict --quiet --kube-version "$kubernetes" "$chart" "${options[@]}"
    render "${options[@]}" | conform -
done

"$actionlint" -color=false
