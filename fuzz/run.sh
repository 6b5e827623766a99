#!/bin/sh
# Fuzzes one target for some seconds of processor time and prints a row for LOG.md: fuzz/run.sh TARGET [SECONDS]
# WALL is the most seconds by the clock, for a machine that others use as well.
# PREBUILT names a folder with built targets, when the sources must not be built again between runs.
set -eu
cd "$(dirname "$0")"
target=$1
seconds=${2:-180}
commit=${COMMIT:-$(git rev-parse --short HEAD)}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
mkdir -p "corpus/$target" "artifacts/$target"

if [ -z "${PREBUILT:-}" ]; then
    # No sanitizer: the code has no `unsafe`, so panics, overflows, hangs and memory are what can go wrong.
    # RUSTC_BOOTSTRAP lets the stable toolchain take the flags of cargo-fuzz.
    RUSTC_BOOTSTRAP=1 cargo fuzz build -s none "$target"
    PREBUILT=target/$(rustc -vV | sed -n 's/^host: //p')/release
fi
status=0
"$PREBUILT/$target" "corpus/$target" -artifact_prefix="artifacts/$target/" -max_total_time="${WALL:-$((seconds * 4))}" \
    -timeout=10 -rss_limit_mb=2048 -max_len="${MAX_LEN:-65536}" -print_final_stats=1 >"$log" 2>&1 &
fuzzer=$!
# libFuzzer counts the clock only. It ends by itself, with its figures, on this signal.
spent=0
while now=$(ps -o cputimes= -p "$fuzzer"); do
    spent=$((now))
    if [ "$spent" -ge "$seconds" ]; then
        kill -USR1 "$fuzzer" 2>/dev/null || true
    fi
    sleep 1
done
wait "$fuzzer" || status=$?

stat() {
    sed -n "s/^stat::$1: *//p" "$log" | tail -n 1
}

cover=$(sed -n 's/^#[0-9].* cov: \([0-9]*\) ft: \([0-9]*\) .*/\1 | \2/p' "$log" | tail -n 1)
files=$(find "corpus/$target" -type f | wc -l)
hash=$(find "corpus/$target" -type f -exec sha256sum {} + | cut -d ' ' -f 1 | LC_ALL=C sort | sha256sum | cut -c 1-16)
crashes=$(find "artifacts/$target" -type f ! -name 'slow-unit-*' | wc -l)
date=$(date -u +%F)
echo "| $date | $target | $commit | $spent s CPU | $(stat number_of_executed_units) | ${cover:-none | none} | $files | $hash | $crashes |"
if [ "$status" -ne 0 ]; then
    tail -n 40 "$log" >&2
fi
exit "$status"
