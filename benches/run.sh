#!/usr/bin/env bash
# Measures the release program against the bars of docs/src/reference; prints one line a figure.
# Usage: benches/run.sh [PROGRAM]
set -euo pipefail
cd "$(dirname "$0")/.."
program=$(realpath "${1:-${CARGO_TARGET_DIR:-target}/release/gauntlet}")
cache=${XDG_CACHE_HOME:-$HOME/.cache}/gauntlet/bench
mkdir -p "$cache"
export GAUNTLET_CONFIG_DIR=$cache/config
inputs=$cache/inputs
mkdir -p "$inputs"
# The generator writes Parquet.
if [ ! -e "$inputs/project/gauntlet.yaml" ]; then
    [ -x "$cache/venv/bin/python" ] || python3 -m venv "$cache/venv"
    "$cache/venv/bin/pip" install --quiet numpy pyarrow
fi
python=$cache/venv/bin/python
[ -e "$inputs/big.safetensors" ] || "$python" benches/make_inputs.py safetensors "$inputs/big.safetensors"
[ -e "$inputs/project/gauntlet.yaml" ] || "$python" benches/make_inputs.py project "$inputs/project"

exec python3 - "$program" "$inputs" "$cache" <<'PY'
import json, os, pathlib, resource, shutil, statistics, subprocess, sys, time

program, inputs, cache = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
root = pathlib.Path.cwd()


def once(arguments, expect=0, **options):
    """Wall seconds and peak memory in MB of one run."""
    before = time.perf_counter()
    process = subprocess.Popen([program, *map(str, arguments)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - before
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != expect:
        sys.exit(f"{arguments}: exit {process.returncode}, expected {expect}")
    return wall, usage.ru_maxrss / 1024


def median(arguments, runs=11, **options):
    measured = [once(arguments, **options) for _ in range(runs)]
    return statistics.median(w for w, _ in measured), max(m for _, m in measured)


def line(what, figure, bar):
    print(f"{what:58} {figure:>28}   bar {bar}", flush=True)


wall, _ = median(["--version"], 31)
line("start-up (--version)", f"{wall * 1000:.1f} ms", "10 ms")

pickle = root / "examples/pretrained-image-classifier/fixed/models/digits.pkl"
wall, memory = median(["scan", pickle], 21)
line("scan of one small pickle", f"{wall * 1000:.1f} ms, {memory:.0f} MB", "30 ms")

big = inputs / "big.safetensors"
size = big.stat().st_size
with open(big, "rb") as file:  # into the page cache
    while file.read(1 << 24):
        pass
walls = [once(["scan", big]) for _ in range(3)]
wall = statistics.median(w for w, _ in walls)
memory = max(m for _, m in walls)
coreutils = []
for _ in range(2):
    before = time.perf_counter()
    subprocess.run(["sha256sum", str(big)], stdout=subprocess.DEVNULL, check=True)
    coreutils.append(time.perf_counter() - before)
import hashlib
before = time.perf_counter()
with open(big, "rb") as file:
    hashlib.file_digest(file, "sha256")
openssl = time.perf_counter() - before
line("2 GB safetensors: hash and scan", f"{size / wall / 1e9:.2f} GB/s, {memory:.0f} MB", f"80 % of the hash alone")
line("  hash alone, OpenSSL through hashlib", f"{size / openssl / 1e9:.2f} GB/s", f"we reach {openssl / wall:.0%}")
line("  hash alone, coreutils", f"{size / min(coreutils) / 1e9:.2f} GB/s", f"we reach {min(coreutils) / wall:.0%}")


def project(name, source, more=()):
    folder = cache / "work" / name
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(source, folder, copy_function=os.link if name == "big" else shutil.copy2, ignore=shutil.ignore_patterns(".gauntlet"))
    cold, memory = once(["run", folder, *more])
    warm = statistics.median(once(["run", folder, *more])[0] for _ in range(7))
    return cold, warm, memory


cold, warm, memory = project("churn", root / "examples/churn")
line("run examples/churn, cold", f"{cold:.2f} s, {memory:.0f} MB", "5 s")
line("run examples/churn, warm", f"{warm * 1000:.0f} ms", "100 ms")
for name, more in (("content hashed again", ()), ("--trust-mtime", ("--trust-mtime",))):
    cold, warm, memory = project("big", inputs / "project", more)
    bar = max(cold / 20, 0.05)
    line(f"run of a 1 GB project, cold ({name})", f"{cold:.2f} s, {memory:.0f} MB", "-")
    line(f"run of a 1 GB project, warm ({name})", f"{warm * 1000:.0f} ms", f"{bar * 1000:.0f} ms")
PY
