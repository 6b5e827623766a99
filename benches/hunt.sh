#!/usr/bin/env bash
# How long a rule and a query take over many stored subjects. Usage: benches/hunt.sh [PROGRAM [SUBJECTS]]
set -euo pipefail
cd "$(dirname "$0")/.."
program=$(realpath "${1:-${CARGO_TARGET_DIR:-target}/release/gauntlet}")
exec python3 - "$program" "${2:-10000}" <<'PY'
import os, pathlib, pickle, subprocess, sys, tempfile, time

program, subjects = sys.argv[1], int(sys.argv[2])


def timed(what, arguments, folder, expect):
    before = time.perf_counter()
    process = subprocess.Popen([program, *arguments], cwd=folder, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - before
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in expect:
        sys.exit(f"{what}: exit {process.returncode}")
    print(f"{what:60} {wall:8.2f} s {usage.ru_maxrss / 1024:6.0f} MB", flush=True)


with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    os.environ["GAUNTLET_CONFIG_DIR"] = str(folder / "config")
    for i in range(subjects):
        # A class of its own in each, the same function in every hundredth.
        text = f"cpackage{i % 500}.models\nModel{i}\n"
        if i % 100 == 0:
            text += "0cacme.load\nrun\n(tR"
        (folder / f"{i}.pkl").write_bytes(text.encode() + b".")
    names = [f"{i}.pkl" for i in range(subjects)]
    for start in range(0, subjects, 2000):
        timed(f"scan --facts, {min(2000, subjects - start)} subjects",
              ["scan", "-q", "--facts", "facts", *names[start:start + 2000]], folder, (0, 3))
    for name in names:
        (folder / name).unlink()
    hunt = ["hunt", "--facts", "facts", "--no-progress"]
    timed(f"hunt RULE over {subjects} subjects", [*hunt, "artifact/pickle/unknown-call"], folder, (1,))
    sql = "select module, count(*) from imports where name = 'run' group by module"
    timed(f"hunt --sql over {subjects} subjects", [*hunt, "--sql", sql], folder, (0,))
PY
