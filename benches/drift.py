#!/usr/bin/env python3
"""Time and memory of comparing a batch of 20 columns with a stored reference sketch, beside Evidently's own comparison.

Usage: drift.py PROGRAM [--rows 1000000] [--peer]   (PROGRAM: a release build; needs numpy, pyarrow; --peer: evidently, pandas<3)

CPU is user + system of the process alone. The tables are those of corpus/make_tables.py.
"""
import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

FAULTS = "nulls,age_range,label_flip,pii,secrets,duplicates,near_dups,consent,outliers,shift"
CORPUS = Path(__file__).resolve().parent.parent / "corpus" / "make_tables.py"


def measured(command):
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    error = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status) not in (0, 1):
        sys.exit(f"{command}: {error.decode()[-2000:]}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--peer", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        make = [sys.executable, CORPUS, "--out", folder, "--rows", str(args.rows)]
        subprocess.run([*make, "--seed", "1", "--name", "reference"], check=True)
        subprocess.run([*make, "--seed", "2", "--name", "batch", "--faults", FAULTS], check=True)
        reference, batch = (os.path.join(folder, f"{name}.parquet") for name in ("reference", "batch"))
        profile = os.path.join(folder, "reference.profile")
        subprocess.run([args.program, "data", "profile", reference, "--output", profile], check=True,
                       stdout=subprocess.DEVNULL)
        for what, against in (("stored profile", profile), ("table", reference)):
            command = [args.program, "--no-progress", "data", "drift", "--reference", against, "--current", batch,
                       "--format", "json"]
            runs = sorted(measured(command) for _ in range(3))
            cpu, memory = runs[1]
            print(f"{args.rows} rows against a {what}: {cpu:.2f} CPU-s, {memory:.0f} MB (median of 3)")
        if args.peer:
            code = ("import sys, pandas as pd\nfrom evidently import Report\nfrom evidently.presets import DataDriftPreset\n"
                    "a, b = (pd.read_parquet(p).drop(columns=['notes', 'signup_date', 'customer_id']) for p in sys.argv[1:])\n"
                    "Report([DataDriftPreset()]).run(b, a).json()\n")
            cpu, memory = measured([sys.executable, "-c", code, reference, batch])
            print(f"Evidently, 17 columns: {cpu:.2f} CPU-s, {memory:.0f} MB")


main()
