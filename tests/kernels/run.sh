#!/usr/bin/env bash
# Boots Debian's kernels in QEMU and runs the tests of rules, attachments, kills
# and connections on each. Everything that is fetched or made lies below target/.
# A summary goes to standard output and to target/kernels/results.md; the whole
# output of each kernel to target/kernels/SUITE.log.
#
# Usage: tests/kernels/run.sh PLUGIN SUITE…
#   PLUGIN  the static binary
#   SUITE   bullseye, bookworm, trixie or newest
#   SELECTED=short runs a part of the tests that takes about a minute each
set -euo pipefail
cd "$(dirname "$0")/../.."

plugin=$1
shift
out=$(realpath -m "${CARGO_TARGET_DIR:-target}/kernels")
mkdir -p "$out"
die() {
    echo "test-kernels: $*" >&2
    exit 1
}
[ "$(uname -m)" = x86_64 ] || die "the virtual machines are x86-64 ones; this machine is $(uname -m)"

# The tests' own program is static, as .cargo/config.toml has it.
tests=$(cargo test --locked --no-run --test main --message-format=json |
    sed -n 's/.*"executable":"\([^"]*\/main-[^"]*\)".*/\1/p')
[ -n "$tests" ] || die "cargo built no tests"

# Each line is one run of the tests. The first loads no module before its own
# test; laws about milliseconds do not hold under emulation, and the newest nft
# and iptables are not in the virtual machine.
modules='--ignored --exact kernel::modules::a_missing_module_is_named_and_leaves_nothing --nocapture'
not='--skip kernel::newest --skip kernel::neighbours --skip reading_back_takes_less_than_five_milliseconds'
case ${SELECTED:-all} in
    all)
        selected="$modules
kernel:: contract::attachment contract::verbs traffic::document traffic::beside traffic::agreement $not
--exact faults::kills::an_add_killed_anywhere_leaves_all_rules_or_none" ;;
    short)
        selected="$modules
kernel::lifecycle kernel::commit kernel::refusals $not" ;;
    *) die "SELECTED is '$SELECTED': write all or short" ;;
esac

# Boots one kernel; fails if it did not reach the tests.
boot() {
    local image=$1 initramfs=$2 log=$3
    rm -f "$log"
    # /dev/kvm may be there and not work, so the processor is emulated.
    timeout --foreground "${LIMIT_SECONDS:-1800}" qemu-system-x86_64 \
        -accel tcg,thread=multi -cpu max -m 1024 -smp 2 -nodefaults -no-reboot -display none \
        -kernel "$image" -initrd "$initramfs" \
        -append "console=ttyS0 rdinit=/init quiet panic=-1 tests=$(base64 -w 0 <<<"$selected")" \
        -serial "file:$log.console" -serial "file:$log" || true
    # The serial port ends lines with CR LF.
    sed -i 's/\r$//' "$log"
    grep -q '^kernel ' "$log"
}

failed=''
for suite in "$@"; do
    # Since trixie's successor the image is in a package of its own.
    packages=$(scripts/debian-package.sh --follow 'linux-(image|binary|modules|base)-[0-9].*' \
        "$suite" linux-image-cloud-amd64)
    image=$(find "$packages" -name 'vmlinuz*' -type f -print -quit)
    [ -n "$image" ] || die "the packages below $packages hold no kernel"
    log=$out/$suite.log
    tests/kernels/initramfs.sh "$packages" "$plugin" "$tests" "$out/$suite.img"
    start=$SECONDS
    # An emulated boot rarely panics before /init; that one is repeated.
    boot "$image" "$out/$suite.img" "$log" || boot "$image" "$out/$suite.img" "$log" || true
    rm -f "$out/$suite.img"
    kernel=$(sed -n 's/^kernel //p' "$log")
    version=$(sed -n 's/^linux-image-[0-9][^ ]* //p' "$packages/../versions")
    counts=$(awk '/^test result:/ { passed += $4; failed += $6 } END { print passed + 0, failed + 0 }' "$log")
    result="passed ${counts% *}, failed ${counts#* }"
    grep -q '^end 0$' "$log" || failed+=" $suite"
    grep -q '^end ' "$log" || result+=", ended early"
    missing=$(sed -n 's/^\([a-z0-9_]*\): part of this kernel$/\1/p' "$log" | paste -sd ' ')
    echo "| ${kernel:-none} | $suite, $version | $result | ${missing:-none} | $((SECONDS - start)) s |" >"$out/$suite.md"
    cat "$out/$suite.md"
    grep -E '^test .* FAILED$|^without .* the error does not name' "$log" || true
done
{
    echo '| Kernel | Debian suite, version | Tests | Built in, not a module | Time |'
    echo '|---|---|---|---|---|'
    for suite in "$@"; do cat "$out/$suite.md"; done
} >"$out/results.md"
[ -z "$failed" ] || die "failed on:$failed; the output is in $out/SUITE.log"
