#!/usr/bin/env bash
# A real disk that fills up under the ledger (a small tmpfs; needs root): what was acknowledged is there afterwards, verifying
# objects to nothing, and the ledger goes on once there is room. Usage: tests/interop/full-disk.sh PROGRAM APPENDER
set -euo pipefail
program=$(realpath "$1")
appender=$(realpath "$2")
work=$(mktemp -d)
mkdir "$work/disk"
trap 'umount "$work/disk" 2>/dev/null || true; rm -rf "$work"' EXIT
for size in 300 500 700 900; do
    mount -t tmpfs -o size="${size}k" tmpfs "$work/disk"
    mkdir -p "$work/disk/project/.gauntlet"
    if "$appender" "$work/disk/project/.gauntlet" "$work/disk/config" "fill$size" 1000000 >"$work/first" 2>"$work/errors"; then
        echo "the disk of $size KiB never filled up" >&2
        exit 1
    fi
    grep -q 'No space left' "$work/errors" || { cat "$work/errors"; exit 1; }
    mount -o remount,size=16m "$work/disk"
    "$appender" "$work/disk/project/.gauntlet" "$work/disk/config" "more$size" 20 >"$work/second"
    "$program" --config-dir "$work/disk/config" ledger verify -C "$work/disk/project"
    "$program" --config-dir "$work/disk/config" ledger log -C "$work/disk/project" --json >"$work/log"
    python3 - "$work" <<'PYTHON'
import json, pathlib, sys
work = pathlib.Path(sys.argv[1])
entries = {entry["index"]: entry["key"] for entry in map(json.loads, (work / "log").open())}
lines = [line.split() for name in ("first", "second") for line in (work / name).open() if line.startswith("acknowledged")]
for _, index, key in lines:
    assert entries[int(index)] == key, (index, key)
print(f"{len(lines)} acknowledged entries, all there")
PYTHON
    umount "$work/disk"
done
echo "full-disk: nothing was lost"
