#!/usr/bin/env bash
# Runs fuzz targets that are built, one after the other, and fails at the first
# crash: its input stays in fuzz/artifacts, whole output in fuzz/target/NAME.log.
# Usage: scripts/fuzz.sh DIRECTORY-OF-THE-PROGRAMS SECONDS TARGET...
set -euo pipefail
cd "$(dirname "$0")/.."

programs=$1 seconds=$2
shift 2
for target in "$@"; do
    artifacts=fuzz/artifacts/$target corpus=fuzz/target/corpus/$target log=fuzz/target/$target.log
    mkdir -p "$artifacts" "$corpus"
    if ! "$programs/$target" "$corpus" "fuzz/corpus/$target" \
        -max_total_time="$seconds" -max_len=65536 -timeout=10 -rss_limit_mb=512 \
        -artifact_prefix="$artifacts/" -print_final_stats=1 -verbosity=0 >"$log" 2>&1; then
        tail -n 60 "$log" >&2
        echo "fuzz: $target fell over an input, see $artifacts;" \
            "kept in fuzz/corpus/$target, every later run tries it first" >&2
        exit 1
    fi
    echo "fuzz: $target, $seconds s," \
        "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs," \
        "at most $(sed -n 's/^stat::peak_rss_mb: *//p' "$log") MiB"
done
