#!/usr/bin/env bash
# Builds Kubernetes' conformance tests and what they run, of the version that
# go.mod has, into target/cluster: bin/e2e.test, bin/ginkgo, bin/conformance, and
# below conformance/images the roots of the images that test pods want, each with
# the names that the tests have for it. What is in them comes from Debian.
set -euo pipefail

here=$(realpath "$(dirname "$0")")
root=$(realpath "$here/../../..")
bin=$root/target/cluster/bin
images=$root/target/cluster/conformance/images
# shellcheck source=tests/cluster/versions
. "$here/../versions"
cd "$here/.."
go=$(./go.sh)

go() {
    CGO_ENABLED=0 GOFLAGS=-buildvcs=false nice -n 5 "$go" "$@"
}

version=k8s.io/component-base/version
echo "conformance: building Kubernetes' tests (8 minutes the first time)" >&2
mkdir -p "$bin"
# Not vetted: that would go through all of Kubernetes.
go test -vet=off -c -o "$bin/e2e.test" -ldflags "-s -w -X $version.gitVersion=v$KUBERNETES" k8s.io/kubernetes/test/e2e
go build -o "$bin/ginkgo" -ldflags '-s -w' github.com/onsi/ginkgo/v2/ginkgo
go build -o "$bin/conformance" -ldflags '-s -w' ./conformance
go test ./conformance >&2
[ -e "$bin/coredns" ] || (cd node/coredns && go build -ldflags '-s -w' -o "$bin/coredns" .)

rm -rf "$images"
mkdir -p "$images"

# agnhost: what its Dockerfile installs and copies, on Debian. The root serves for
# glibc-dns-testing too, which is Debian with the same programs.
agnhost=$(go list -f '{{.Dir}}' k8s.io/kubernetes/test/images/agnhost)
tree=$images/agnhost
packages=$("$root/scripts/debian-package.sh" --with-dependencies "$DEBIAN" base-files bash bind9-dnsutils coreutils curl \
    dash findutils grep iperf iproute2 libc-bin mawk netcat-openbsd procps sed socat util-linux)
cp -a --reflink=auto "$packages" "$tree"
rm -rf "$tree"/usr/share/{doc,man,locale,info} "$tree/var/cache/apt"
# What the packages' own scripts would do.
ldconfig -r "$tree"
ln -s nc.openbsd "$tree/usr/bin/nc"
ln -s mawk "$tree/usr/bin/awk"
# The user and the groups that a test looks for.
printf 'root:x:0:0:root:/root:/bin/bash\nuser-defined-in-image:x:1000:1000::/:/bin/sh\n' >"$tree/etc/passwd"
printf 'root:x:0:\nuser-defined-in-image:x:1000:\ngroup-defined-in-image:x:50000:user-defined-in-image\n' >"$tree/etc/group"
go build -o "$tree/agnhost" -ldflags "-s -w -X main.Version=$(cat "$agnhost/VERSION")" k8s.io/kubernetes/test/images/agnhost
ln -s agnhost "$tree/agnhost-2"
install -m 0644 "$agnhost"/porter/localhost.{crt,key} "$tree/"
install "$bin/coredns" "$tree/coredns"
mkdir -p "$tree/uploads"

# busybox, with its programs in /bin.
tree=$images/busybox
mkdir -p "$tree"/{bin,etc,root,tmp}
chmod 1777 "$tree/tmp"
install "$(command -v busybox)" "$tree/bin/busybox"
"$tree/bin/busybox" --list | grep -v '^busybox$' | while read -r applet; do
    ln -s busybox "$tree/bin/$applet"
done
printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n' >"$tree/etc/passwd"
printf 'root:x:0:\nnogroup:x:65534:\n' >"$tree/etc/group"

mkdir -p "$images/pause"
go build -ldflags '-s -w' -o "$images/pause/pause" ./node/pause

# The names that the tests give them.
"$bin/e2e.test" --list-images >"$images.names"
names() {
    grep -E "/$1$" "$images.names" || { echo "conformance: the tests want no image $1" >&2; exit 1; }
}
names "agnhost:$(cat "$agnhost/VERSION")" >"$images/agnhost.names"
names "glibc-dns-testing:.*" >>"$images/agnhost.names"
names "busybox:.*" >"$images/busybox.names"
names "pause:.*" >"$images/pause.names"
names "nonroot:.*" >"$images/nonroot.names"
