#!/usr/bin/env bash
# Writes scripts/call-order.ld: the functions that an ADD runs, for the linker to
# put side by side. An ADD runs once and cold, so what it costs is the pages and
# lines of code that it touches. Needs valgrind; wants root, for a namespace.
# Usage: scripts/call-order.sh PROGRAM   (make call-order builds it, with symbols)
#
# Names come without the hashes that a compiler puts into them. The C library's
# code goes by the members of its archive; of a string function all variants are
# taken, since the processor decides which one runs. A name that is not in a
# program any more is no error: its place is just empty.
set -euo pipefail

program=$1
script=$(dirname "$0")/call-order.ld
dir=$(mktemp -d)
namespace=osm-cni-order-$$
trap 'ip netns delete "$namespace" 2>/dev/null || true; rm -rf "$dir"' EXIT
ip netns add "$namespace"
mkdir -p "$dir"/kubelet/pods/{outside,inside}/volumes/kubernetes.io~secret
mkdir "$dir/kubelet/pods/inside/volumes/kubernetes.io~secret/envoy-bootstrap-config-volume"
cat >"$dir/conf" <<EOF
{"capabilities":{"io.kubernetes.cri.pod-annotations":true},"cniVersion":"1.0.0","name":"order",
"kubeletDir":"$dir/kubelet","logFile":"$dir/log","prevResult":{"cniVersion":"1.0.0","ips":[]},
"runtimeConfig":{"io.kubernetes.cri.pod-annotations":{"openservicemesh.io/outbound-port-exclusion-list":"8080"}},
"traffic":{"outboundIPRangeExclusionList":["1.1.1.1/32","2.2.2.2/24"],"outboundPortExclusionList":[6379,7070]},
"type":"osm-cni"}
EOF

# The names of the functions that an ADD of this pod runs, in callgrind's order.
calls() {
    env -i CNI_COMMAND=ADD CNI_CONTAINERID=order CNI_IFNAME=eth0 \
        CNI_NETNS="/run/netns/$namespace" CNI_ARGS="K8S_POD_NAMESPACE=order;K8S_POD_UID=$1" \
        valgrind --tool=callgrind --demangle=no --callgrind-out-file="$dir/$1" \
        "$program" <"$dir/conf" >"$dir/answer" 2>"$dir/valgrind" || {
        cat "$dir/answer" "$dir/valgrind" >&2
        exit 1
    }
    sed -n "s/^c\\?fn=([0-9]*) \([^ ']*\).*/\1/p" "$dir/$1"
}

# Functions of the C library and the members that they are in, where that is
# beyond doubt: names that are not exported may be in several.
members() {
    nm --defined-only --print-file-name "$(cc -print-file-name=libc.a)" 2>/dev/null |
        awk '$(NF - 1) ~ /^[TtWi]$/ {
            sub(/^[^:]*:/, ""); member = $1; sub(/:.*/, "", member)
            if (!($NF in of)) of[$NF] = member
            else if (of[$NF] != member && $(NF - 1) == "t") of[$NF] = ""
        }
        END { for (name in of) if (of[name]) print name, of[name] }'
}

# What the linker is to put together: functions of the program, then members of
# the C library; a pattern a line.
members >"$dir/members"
[ -s "$dir/members" ] || { echo "no libc.a, or no nm to read it" >&2; exit 1; }
calls inside >"$dir/calls"
calls outside >>"$dir/calls"
sed -n -e '/^\(_R\|_ZN\|main$\)/!d' -e 's/\.llvm\..*/.llvm.*/' -e 's/17h[0-9a-f]\{16\}E/17h*E/' \
    -e 's/Cs[0-9A-Za-z]*_/Cs*_/g' -e 's/B[0-9A-Za-z]*_/B*_/g' -e p "$dir/calls" |
    awk '!seen[$0]++ { print "*(.text." $0 " .text.unlikely." $0 ")" }' >"$dir/program"
{
    echo libc-start.o # callgrind calls it "(below main)"
    awk 'NR == FNR { member[$1] = $2; next }
        $0 in member { print member[$0] }' "$dir/members" "$dir/calls" |
        sed 's/^\(\(str\|stp\|wcs\|raw\)[a-z]*\)-.*/\1-*.o/'
    echo "mem*-*.o"
} | awk '!seen[$0]++' >"$dir/libc"

{
    echo "/* Written by scripts/call-order.sh: what an ADD runs and reads, side by side. */"
    echo "SECTIONS"
    echo "{"
    echo "  .rodata.call : {"
    sed 's/.*/    *libc.a:&(.rodata .rodata.*)/' "$dir/libc"
    echo "  }"
    echo "}"
    echo "INSERT BEFORE .rodata;"
    echo "SECTIONS"
    echo "{"
    echo "  .text.call : {"
    sed 's/^/    /' "$dir/program"
    sed 's/.*/    *libc.a:&(.text .text.*)/' "$dir/libc"
    echo "  }"
    echo "}"
    echo "INSERT BEFORE .text;"
} >"$dir/script"
mv "$dir/script" "$script"
echo "$(wc -l <"$dir/program") functions, $(wc -l <"$dir/libc") members of the C library"
