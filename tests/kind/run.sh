#!/usr/bin/env bash
# The manifests of install/ on a real cluster in Docker: make test-kind.
# KIND_CLUSTER names the cluster, which is made anew and deleted at the end;
# KEEP=1 keeps it for a look.
set -euo pipefail

cd "$(dirname "$0")/../.."
cluster=${KIND_CLUSTER:-osm-cni-test}
image=osm-cni:0.1.0
name=kind-$cluster

for program in docker kind kubectl; do
    if ! command -v "$program" >/dev/null; then
        echo "make test-kind needs docker, kind and kubectl; $program is missing" >&2
        exit 1
    fi
done
if ! docker info >/dev/null 2>&1; then
    echo "make test-kind needs a Docker daemon that answers; docker info fails" >&2
    exit 1
fi

k() {
    kubectl --context "$name" "$@"
}

clean_up() {
    local status=$?
    if [ "$status" -ne 0 ]; then
        k get pods -A -o wide || true
        k -n osm-cni logs daemonset/osm-cni --tail=50 || true
        k -n meshed describe pods || true
    fi
    [ -n "${KEEP:-}" ] || kind delete cluster --name "$cluster"
    exit "$status"
}

# exit_code POD: waits for the pod's end and prints its exit code.
exit_code() {
    local code
    for _ in $(seq 120); do
        code=$(k -n meshed get pod "$1" -o 'jsonpath={.status.containerStatuses[0].state.terminated.exitCode}')
        if [ -n "$code" ]; then
            echo "$code"
            return
        fi
        sleep 1
    done
    echo "pod $1 did not end" >&2
    return 1
}

# expect POD CODE
expect() {
    local code
    code=$(exit_code "$1")
    if [ "$code" != "$2" ]; then
        echo "pod $1 ended with $code, not $2" >&2
        k -n meshed logs "$1" >&2
        return 1
    fi
    echo "ok: pod $1 ended with $2"
}

pods() {
    k delete namespace meshed --ignore-not-found --wait
    k apply -f tests/kind/pods.yaml
}

docker build -t "$image" .
kind delete cluster --name "$cluster" 2>/dev/null || true
trap clean_up EXIT
kind create cluster --name "$cluster" --config tests/kind/cluster.yaml --wait 180s
kind load docker-image "$image" --name "$cluster"

echo "== before: nothing is captured"
pods
expect captured 95
expect outside 95

echo "== installed: exactly the pod with a sidecar's volume is captured"
k apply -k install/overlays/kind
k -n osm-cni rollout status daemonset/osm-cni --timeout=180s
pods
expect captured 0
expect outside 95

echo "== without the DaemonSet redirection goes on"
k -n osm-cni delete daemonset osm-cni --wait
pods
expect captured 0

echo "== uninstalled: nothing is captured, and pods can be removed"
k apply -f install/uninstall.yaml
k -n osm-cni rollout status daemonset/osm-cni-uninstall --timeout=180s
k delete namespace meshed --wait --timeout=120s
pods
expect captured 95

echo "all is well"
