#!/usr/bin/env python3
"""Measures what a cluster of two workers on this machine costs beside one process.

    benches/cluster.py --table TABLE.parquet [--gauntlet PROGRAM] [--slots N] [--runs N]

PROGRAM is built with the feature `cluster`. Profiles the table in turns: in one process with as many threads as the workers have
slots together, and through a scheduler and two workers. Both answers have to be the same bytes. One line a figure: the median of
the runs; the bar is an overhead of 1.5 s.
"""

import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", required=True)
    parser.add_argument("--gauntlet", default="target/release/gauntlet")
    parser.add_argument("--slots", type=int, default=1, help="of each worker")
    parser.add_argument("--runs", type=int, default=5)
    given = parser.parse_args()
    program = os.path.abspath(given.gauntlet)
    table = os.path.abspath(given.table)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        nodes = []
        try:
            nodes.append(start(program, folder, "scheduler", ["--scheduler", "--listen", "127.0.0.1:0"]))
            address = nodes[0][1]
            for n in range(2):
                arguments = ["--scheduler-address", address, "--slots", str(given.slots), "--work-dir", str(folder)]
                nodes.append(start(program, folder, f"worker{n}", arguments))
            local, remote = [], []
            for run in range(given.runs + 1):
                one = profile(program, table, folder / "local", ["--jobs", str(2 * given.slots)])
                two = profile(program, table, folder / "remote", ["--cluster", address])
                if (folder / "local").read_bytes() != (folder / "remote").read_bytes():
                    sys.exit("the two answers differ")
                # The first pair fills the page cache.
                if run:
                    local.append(one)
                    remote.append(two)
            for name, runs in (("one process", local), ("two workers", remote)):
                print(f"{name:40} {statistics.median(runs):8.2f} s wall ({min(runs):.2f} to {max(runs):.2f})")
            print(f"{'overhead':40} {statistics.median(remote) - statistics.median(local):8.2f} s; the bar is 1.5 s")
            for name, (process, _) in zip(("scheduler", "worker 1", "worker 2"), nodes):
                print(f"{name + ', peak memory':40} {peak(process.pid):8.0f} MB")
        finally:
            for process, _ in nodes:
                process.kill()
                process.wait()


def start(program, folder, name, arguments):
    """A node and its address."""
    log = folder / f"{name}.log"
    with open(log, "w") as file:
        process = subprocess.Popen([program, "worker", *arguments], stderr=file, stdin=subprocess.DEVNULL)
    for _ in range(600):
        for line in log.read_text().splitlines():
            if line.startswith(("scheduler at ", "worker at ")):
                return process, line.split(" ")[2]
        if process.poll() is not None:
            break
        time.sleep(0.05)
    process.kill()
    sys.exit(f"{name} does not start: {log.read_text()}")


def profile(program, table, output, arguments):
    before = time.perf_counter()
    command = [program, "data", "profile", table, "--output", str(output), "--format", "json", "--no-progress", *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - before


def peak(pid):
    """Largest resident memory of a running process, in MB."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1_000
    return 0


if __name__ == "__main__":
    main()
