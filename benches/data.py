#!/usr/bin/env python3
"""The data gate over the churn table of corpus/make_tables.py, beside its bars: CPU seconds and peak memory of each command.

Usage: benches/data.py --gauntlet PROGRAM [--rows 10000000] [--cache DIR] [--runs 3] [--only WORD]

The generator needs numpy and pyarrow in the Python that runs this. CPU is user + system of the process; the first run of each
command is thrown away, so files come from the page cache. `gate` is `gauntlet run --stage data`: contract, profile, consent,
fingerprint, personal data and secrets in one scan, with evidence, ledger and decision.
"""
import argparse, os, pathlib, statistics, subprocess, sys, time

from data_contract import CONTRACT

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


MANIFEST = {
    "uri": "urn:example:churn", "collected": "[2016-01-01, 2026-01-01]", "method": "made by a generator", "spdx": "CC0-1.0",
    "basis": "consent", "record": "urn:example:record", "purposes": "[train]", "expires": "2099-01-01",
}
PROJECT = """version: 1
project: churn
kind: tabular
risk: minimal
datasets: {{train: {{path: {table}, manifest: manifest.yaml, contract: contract.yaml}}}}
policy: {{packs: [baseline]}}
environments: {{staging: {{}}}}
"""


def project(program, folder, table):
    """A project around the table: contract, and a manifest as a person would complete it."""
    (folder / "contract.yaml").write_text(CONTRACT)
    (folder / "gauntlet.yaml").write_text(PROJECT.format(table=table.name))
    draft = subprocess.run([program, "data", "manifest", table.name], cwd=folder, check=True, capture_output=True, text=True).stdout
    lines = []
    for line in draft.splitlines():
        key = line.strip().split(":")[0]
        if "FILL-IN" in line and key in MANIFEST:
            line = f"  {key}: {MANIFEST[key]}"
        lines.append(line)
        if key == "consent":
            lines += ["  column: consent", "  allowed: [granted]"]
    (folder / "manifest.yaml").write_text("\n".join(lines) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gauntlet", required=True)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--cache", default=str(pathlib.Path.home() / ".cache/gauntlet/bench/data"))
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", default="", help="commands whose name holds this word")
    arguments = parser.parse_args()
    program = os.path.realpath(arguments.gauntlet)
    folder = pathlib.Path(arguments.cache) / f"{arguments.rows}"
    folder.mkdir(parents=True, exist_ok=True)
    table = folder / "t.parquet"
    if not table.exists():
        tables = pathlib.Path(__file__).resolve().parents[1] / "corpus/make_tables.py"
        subprocess.run([sys.executable, tables, "--out", folder, "--rows", str(arguments.rows), "--seed", "2", "--faults", FAULTS,
                        "--name", "t", "--max-rows-listed", "0"], check=True)
    project(program, folder, table)
    scale = arguments.rows / 10_000_000
    contract = ["data", "contract", table.name, "--contract", "contract.yaml"]
    commands = {
        "contract of 20 rules (bar 5)": contract,
        "profile (with the contract: bar 12)": ["data", "profile", table.name, "--format", "json"],
        "profile --kll 1024": ["data", "profile", table.name, "--format", "json", "--kll", "1024"],
        "fingerprint": ["data", "fingerprint", table.name],
        "gate (bars 12 + 6)": ["run", "--stage", "data"],
        "diff --key, same content": ["data", "diff", table.name, table.name, "--key", "customer_id"],
    }
    print(f"{arguments.rows} rows x 20 columns, {table.stat().st_size / 1e6:.0f} MB; bars are CPU-s at 10 M rows and 500 MB")
    for label, command in commands.items():
        if arguments.only not in label:
            continue
        results = []
        for i in range(arguments.runs + 1):
            # A gate that has its evidence does not scan again.
            subprocess.run(["rm", "-rf", folder / ".gauntlet"], check=True)
            os.environ["GAUNTLET_CONFIG_DIR"] = str(folder / "config")
            result = run([program, "--no-progress", *command], folder)
            results += [result] if i else []
        wall, cpu, memory = (statistics.median(column) for column in zip(*results))
        print(f"{label:36} {wall:7.2f} s wall {cpu:7.2f} CPU-s ({cpu / scale:6.2f} at 10 M) {memory:6.0f} MB", flush=True)


main()
