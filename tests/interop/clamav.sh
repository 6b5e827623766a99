#!/usr/bin/env bash
# Scans data files with a real ClamAV daemon and one signature of our own.
# Usage: tests/interop/clamav.sh [PROGRAM]
set -euo pipefail
cd "$(dirname "$0")/../.."
program=$(realpath "${1:-${CARGO_TARGET_DIR:-target}/debug/gauntlet}")
work=$(mktemp -d)
export GAUNTLET_CONFIG_DIR=$work/config
if ! command -v clamd >/dev/null; then
    root=$([ "$(id -u)" = 0 ] || echo sudo)
    $root apt-get update -qq
    $root apt-get install -y -qq --no-install-recommends clamav-daemon >/dev/null
fi
mkdir "$work/db"
# Name, target type (0: any file), offset (*: anywhere), bytes in hex.
mark="this-is-our-own-test-mark"
printf 'Gauntlet.Test.Mark:0:*:%s\n' "$(printf '%s' "$mark" | od -An -tx1 | tr -d ' \n')" >"$work/db/own.ndb"
cat >"$work/clamd.conf" <<CONF
LocalSocket $work/clamd.ctl
DatabaseDirectory $work/db
Foreground yes
StreamMaxLength 8M
CONF
clamd --config-file="$work/clamd.conf" >"$work/clamd.log" 2>&1 &
daemon=$!
trap 'kill "$daemon" 2>/dev/null || true; rm -rf "$work"' EXIT
for _ in $(seq 150); do [ -S "$work/clamd.ctl" ] && break; sleep 0.2; done
[ -S "$work/clamd.ctl" ] || { cat "$work/clamd.log" >&2; exit 1; }

mkdir -p "$work/project/data" "$work/project/src" && cd "$work/project"
run() { # exit status
    local status=0
    "$program" run --stage data --format json --no-progress >"$work/out" 2>"$work/err" || status=$?
    [ "$status" = "$1" ] || { echo "exit $status, expected $1" >&2; head -c 3000 "$work/out" "$work/err" >&2; exit 1; }
}
rules() { python3 -c 'import json, sys; print(*sorted({f["rule"] for r in json.load(open(sys.argv[1]))["reports"] for f in r["findings"] if f["rule"].startswith("data/ingest")}))' "$work/out"; }
expect() { [ "$(rules)" = "$1" ] || { echo "found: $(rules); expected: $1" >&2; exit 1; }; }
configure() { printf 'version: 1\nproject: p\nkind: tabular\nrisk: minimal\nsource: {paths: [src]}\ndatasets:\n  train: {path: data}\ningest: {clamd: %s, required: true}\n' "$1" >gauntlet.yaml; }
configure "$work/clamd.ctl"
printf 'id,note\n1,fine\n' >data/a.csv
run 1
expect ""
echo "== the mark"
printf 'id,note\n1,%s\n' "$mark" >data/b.csv
run 1
expect "data/ingest/malware"
grep -q Gauntlet.Test.Mark "$work/out"
echo "== too large for the daemon: not looked at, and never clean"
rm data/b.csv
python3 -c 'import sys; sys.stdout.write("id,note\n"); [sys.stdout.write(f"{i},{chr(97)*90}\n") for i in range(100000)]' >data/c.csv
run 1
python3 - "$work/out" <<'PYTHON'
import json, sys
report = next(r for r in json.load(open(sys.argv[1]))["reports"] if r["check"] == "data/ingest")
assert report["verdict"] == "error" and any("size limit" in s["reason"] for s in report["coverage"]["skipped"]), report
PYTHON
echo "== nobody answers"
rm data/c.csv
configure "$work/nobody.ctl"
run 1
expect "data/ingest/scanner-unreachable"
echo "clamav: all as expected"
