#!/usr/bin/env python3
"""Profiles, fingerprints and gates over the table of corpus' churn generator, with CPU seconds and peak memory.

Usage: benches/data.py --gauntlet PROGRAM --tables make_tables.py [--rows 1000000] [--cache DIR] [--runs 3]

The generator needs numpy and pyarrow in the Python that runs this. CPU is user + system of the process; the first run of each
command is thrown away, so files come from the page cache.
"""
import argparse, json, os, pathlib, statistics, subprocess, sys, time

FAULTS = "nulls,age_range,label_flip,pii,secrets,duplicates,near_dups,consent,outliers,shift"


def run(command, folder):
    start = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    error = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 1):
        sys.exit(f"{command}: exit {process.returncode}: {error.decode(errors='replace')[-500:]}")
    return time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gauntlet", required=True)
    parser.add_argument("--tables", required=True, help="the table generator")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--cache", default=str(pathlib.Path.home() / ".cache/gauntlet/bench/data"))
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    program = os.path.realpath(arguments.gauntlet)
    folder = pathlib.Path(arguments.cache)
    folder.mkdir(parents=True, exist_ok=True)
    name = f"t{arguments.rows}"
    table = folder / f"{name}.parquet"
    if not table.exists():
        subprocess.run([sys.executable, arguments.tables, "--out", folder, "--rows", str(arguments.rows), "--seed", "2",
                        "--faults", FAULTS, "--name", name, "--max-rows-listed", "0"], check=True)
    scale = arguments.rows / 10_000_000
    commands = {
        "profile": [program, "data", "profile", table, "--format", "json"],
        "profile --kll 1024": [program, "data", "profile", table, "--format", "json", "--kll", "1024"],
        "fingerprint": [program, "data", "fingerprint", table],
        "diff --key, same content": [program, "data", "diff", table, table, "--key", "customer_id"],
    }
    print(f"{arguments.rows} rows x 20 columns, {table.stat().st_size / 1e6:.0f} MB; bars at 10 M rows: whole gate 12 CPU-s, 500 MB")
    for label, command in commands.items():
        run(command, folder)
        results = [run(command, folder) for _ in range(arguments.runs)]
        wall, cpu, memory = (statistics.median(column) for column in zip(*results))
        print(f"{label:28} {wall:7.2f} s wall {cpu:7.2f} CPU-s ({cpu / scale:6.2f} at 10 M) {memory:6.0f} MB")


main()
