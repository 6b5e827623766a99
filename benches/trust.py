#!/usr/bin/env python3
"""Measures signing and verifying of a model of 4 GiB against the hashes themselves and against PyPI's model-signing.

    benches/trust.py [--oms PROGRAM] [--rate PROGRAM] [--work DIR] [--peer VENV] [--runs N] [--keep] [--output FILE]

PROGRAM is `cargo build --release -p gauntlet-trust --example oms` (and `hash_rate`); VENV holds model-signing 1.1.1 (made when absent).
The input (4 files of 1 GiB and a config) is made in DIR, read once into the page cache, and deleted afterwards unless --keep. The
contestants take turns in every round, so that all of them meet the same neighbours; ratios are of medians, and CPU seconds are told too,
because on a loaded machine only they say what a program costs. Exit 1 when a bar is missed.
"""

import argparse
import datetime
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import time

FILES, EACH = 4, 1 << 30
BYTES = FILES * EACH
# What CPU time says about speed when the machine is shared: wall time counts only below this load per core.
QUIET = 1.2


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    target = os.environ.get("CARGO_TARGET_DIR", "target")
    parser.add_argument("--oms", default=f"{target}/release/examples/oms")
    parser.add_argument("--rate", default=f"{target}/release/examples/hash_rate")
    parser.add_argument("--work", default=os.path.expanduser("~/.cache/gauntlet/bench/trust"))
    parser.add_argument("--peer", default=os.path.expanduser("~/.cache/gauntlet/interop-venv"))
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--output")
    given = parser.parse_args()
    work = pathlib.Path(given.work)
    work.mkdir(parents=True, exist_ok=True)
    oms, rate = os.path.abspath(given.oms), os.path.abspath(given.rate)
    peer = pathlib.Path(given.peer)
    if not (peer / "bin/model_signing").exists():
        subprocess.run([sys.executable, "-m", "venv", peer], check=True)
        subprocess.run([peer / "bin/pip", "install", "--quiet", "model-signing==1.1.1", "pyOpenSSL"], check=True)
    try:
        lines, missed = measure(given, work, oms, rate, str(peer / "bin/model_signing"))
    finally:
        if not given.keep:
            shutil.rmtree(work / "model", ignore_errors=True)
    text = "\n".join(lines) + "\n"
    print(text, end="")
    if given.output:
        pathlib.Path(given.output).write_text(text)
    sys.exit(1 if missed else 0)


def measure(given, work, oms, rate, peer):
    model, tiny = work / "model", work / "tiny"
    make(model, tiny)
    key, public = work / "key.pem", work / "key.pub.pem"
    subprocess.run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", work / "sec1.pem"], check=True)
    subprocess.run(["openssl", "pkcs8", "-topk8", "-nocrypt", "-in", work / "sec1.pem", "-out", key], check=True)
    os.chmod(key, 0o600)
    subprocess.run(["openssl", "ec", "-in", key, "-pubout", "-out", public], check=True, stderr=subprocess.DEVNULL)
    cores = len(os.sched_getaffinity(0))
    ours, blake, theirs = work / "ours.sig", work / "blake3.sig", work / "theirs.sig"
    tiny_sig = work / "tiny.sig"
    contestants = {
        "sha256 by itself": [rate, "sha256", BYTES, cores],
        "blake3 by itself": [rate, "blake3", BYTES, cores],
        "sign": [oms, "sign", model, "--key", key, "--signature", ours],
        "verify": [oms, "verify", model, "--key", public, "--signature", ours],
        "sign, blake3": [oms, "sign", model, "--key", key, "--signature", blake, "--blake3"],
        "verify, blake3": [oms, "verify", model, "--key", public, "--signature", blake],
        "model-signing sign": [peer, "sign", "key", model, "--private_key", key, "--signature", theirs],
        "model-signing verify": [peer, "verify", "key", model, "--public_key", public, "--signature", theirs],
        "start-up": [oms, "sign", tiny, "--key", key, "--signature", tiny_sig],
        "model-signing start-up": [peer, "sign", "key", tiny, "--private_key", key, "--signature", tiny_sig],
    }
    wall, cpu, peak = ({name: [] for name in contestants} for _ in range(3))
    load = os.getloadavg()[0]
    for _ in range(given.runs):
        for name, arguments in contestants.items():
            seconds, used, memory = once(arguments)
            wall[name].append(seconds), cpu[name].append(used), peak[name].append(memory)
    load = max(load, os.getloadavg()[0])
    lines = [
        f"{datetime.date.today()}, {platform.machine()}, {cores} cores, load {load:.1f}, {given.runs} rounds, {FILES} x 1 GiB + config in page cache",
        f"commit {subprocess.run(['git', 'rev-parse', '--short', 'HEAD'], capture_output=True, text=True).stdout.strip()}",
        "",
        f"{'':24} {'wall s':>8} {'GB/s':>6} {'CPU s':>7} {'peak MB':>8}   all walls",
    ]
    middle = {name: statistics.median(values) for name, values in wall.items()}
    least = {name: min(values) for name, values in cpu.items()}
    for name in contestants:
        small = name.endswith("start-up")
        speed = "" if small else f"{BYTES / middle[name] / 1e9:.2f}"
        walls = " ".join(f"{value:.3f}" for value in wall[name])
        lines.append(f"{name:24} {middle[name]:8.3f} {speed:>6} {statistics.median(cpu[name]):7.2f} {max(peak[name]):8.0f}   {walls}")
    lines.append("")
    quiet = load <= QUIET * cores
    if not quiet:
        lines.append("The machine was shared: wall ratios compare runs beside each other, CPU ratios what each costs.")
    missed = False
    bars = [
        ("sign: share of the hash's own rate, wall", middle["sha256 by itself"] / middle["sign"], 0.85, quiet),
        ("verify: share of the hash's own rate, wall", middle["sha256 by itself"] / middle["verify"], 0.85, quiet),
        ("sign: share of the hash's own rate, CPU", least["sha256 by itself"] / least["sign"], 0.85, True),
        ("verify: share of the hash's own rate, CPU", least["sha256 by itself"] / least["verify"], 0.85, True),
        ("sign: times as fast as model-signing", middle["model-signing sign"] / middle["sign"], 1.0, True),
        ("verify: times as fast as model-signing", middle["model-signing verify"] / middle["verify"], 1.0, True),
        ("blake3 CPU seconds", least["verify, blake3"], 0.9, True),
        ("start-up, ms", middle["start-up"] * 1000, 10.0, quiet),
    ]
    for what, figure, bar, counts in bars:
        lower_is_better = "seconds" in what or "ms" in what
        good = figure <= bar if lower_is_better else figure >= bar
        verdict = "ok" if good else ("MISSED" if counts else "not judged at this load")
        missed |= not good and counts
        lines.append(f"{what:48} {figure:8.2f}   bar {'<=' if lower_is_better else '>='} {bar:<5} {verdict}")
    return lines, missed


def once(arguments):
    """Wall seconds, CPU seconds and peak memory in MB."""
    before = time.perf_counter()
    process = subprocess.Popen([str(argument) for argument in arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - before
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{arguments}: exit {process.returncode}: {process.stderr.read().decode()}")
    process.stderr.close()
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def make(model, tiny):
    tiny.mkdir(exist_ok=True)
    (tiny / "f").write_bytes(b"ab")
    model.mkdir(exist_ok=True)
    (model / "config.json").write_text('{"architectures": ["X"]}')
    block = os.urandom(1 << 24)
    for i in range(FILES):
        path = model / f"model-{i}.safetensors"
        if not path.exists() or path.stat().st_size != EACH:
            with open(path, "wb") as file:
                for _ in range(EACH // len(block)):
                    file.write(block)
    for path in model.iterdir():
        with open(path, "rb") as file:  # into the page cache
            while file.read(1 << 24):
                pass


if __name__ == "__main__":
    main()
