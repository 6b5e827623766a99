#!/usr/bin/env python3
"""Measures scans of model files: large ones, many small ones, and the labelled corpus.

    benches/artifact.py [--gauntlet PROGRAM] [--work DIR] [--runs N]

Inputs are made once in DIR (4 GB): a safetensors file and a PyTorch zip of 2 GB each with random numbers, and a folder of
10,000 small files as Hugging Face repositories have them. One line a figure: the median of the runs, and the largest peak memory.
"""

import argparse
import hashlib
import json
import os
import pathlib
import statistics
import struct
import subprocess
import sys
import time
import zipfile

GB = 1 << 30


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gauntlet", default="target/release/gauntlet")
    parser.add_argument("--work", default=os.path.expanduser("~/.cache/gauntlet/bench/artifact"))
    parser.add_argument("--runs", type=int, default=5)
    given = parser.parse_args()
    work = pathlib.Path(given.work)
    work.mkdir(parents=True, exist_ok=True)
    program = os.path.abspath(given.gauntlet)
    tensors, torch, folder = work / "big.safetensors", work / "big.pt", work / "folder"
    # In a process of their own: a child's peak memory includes that of its parent before it became another program.
    for make, path in ((safetensors, tensors), (torch_zip, torch), (small_files, folder)):
        if not path.exists():
            child = os.fork()
            if child == 0:
                make(path)
                os._exit(0)
            if os.waitpid(child, 0)[1] != 0:
                sys.exit(f"cannot make {path}")
    for path in (tensors, torch):
        name = path.name
        read(path)
        measure(f"{name}: --structure-only", program, ["scan", "--structure-only", path], given.runs)
        wall = measure(f"{name}: full, SHA-256", program, ["scan", path], given.runs)
        before = time.perf_counter()
        with open(path, "rb") as file:
            hashlib.file_digest(file, "sha256")
        alone = time.perf_counter() - before
        size = path.stat().st_size
        print(f"{'  hash alone, OpenSSL on one core':48} {size / alone / 1e9:8.2f} GB/s; the scan {size / wall / 1e9:.2f} GB/s")
    count = sum(len(files) for _, _, files in os.walk(folder))
    wall = measure(f"folder of {count} small files", program, ["scan", folder], given.runs)
    print(f"{'  files a second':48} {count / wall:8.0f}")
    corpus = work / "models"
    if not corpus.exists():
        generator = pathlib.Path(__file__).parent.parent / "corpus" / "make_models.py"
        subprocess.run([sys.executable, generator, corpus], check=True, stdout=subprocess.DEVNULL)
    measure("labelled corpus, one process", program, ["scan", corpus], given.runs)


def measure(what, program, arguments, runs):
    """Median wall seconds; CPU seconds and the largest peak memory are printed with it."""
    walls, cpus, peak = [], [], 0
    for _ in range(runs):
        before = time.perf_counter()
        process = subprocess.Popen([program, *map(str, arguments)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        walls.append(time.perf_counter() - before)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in (0, 1, 3):
            sys.exit(f"{arguments}: exit {process.returncode}")
        cpus.append(usage.ru_utime + usage.ru_stime)
        peak = max(peak, usage.ru_maxrss / 1024)
    wall = statistics.median(walls)
    print(f"{what:48} {wall:8.3f} s wall, {statistics.median(cpus):6.2f} s CPU, {peak:5.0f} MB, exit {process.returncode}", flush=True)
    return wall


def read(path):
    """Into the page cache."""
    with open(path, "rb") as file:
        while file.read(1 << 24):
            pass


def blocks(size):
    """Random numbers as float32, repeated: what they are does not matter, that they are no zeros does."""
    block = b"".join(struct.pack("<f", (((i * 2654435761) & 0xFFFFFFFF) / 2**32 - 0.5)) for i in range(1 << 18))
    while size > 0:
        yield block[: min(size, len(block))]
        size -= len(block)


def safetensors(path):
    count, each = 256, 2 * GB // 256
    header = {f"layers.{i}.weight": {"dtype": "F32", "shape": [each // 4096, 1024], "data_offsets": [i * each, (i + 1) * each]}
              for i in range(count)}
    raw = json.dumps(header).encode()
    raw += b" " * (-len(raw) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(raw)) + raw)
        for block in blocks(count * each):
            file.write(block)


def torch_zip(path):
    """A state dict as torch.save writes it: one pickle, one stored member a tensor."""
    count, each = 256, 2 * GB // 256
    pickle = [b"\x80\x02ccollections\nOrderedDict\n)R("]
    for i in range(count):
        name, key = f"layers.{i}.weight".encode(), str(i).encode()
        text = lambda value: b"X" + struct.pack("<I", len(value)) + value
        pickle.append(text(name) + b"ctorch._utils\n_rebuild_tensor_v2\n(" + b"(" + text(b"storage")
                      + b"ctorch\nFloatStorage\n" + text(key) + text(b"cpu") + b"J" + struct.pack("<i", each // 4) + b"tQ"
                      + b"K\x00" + b"J" + struct.pack("<i", each // 4096) + b"M\x00\x04\x86" + b"M\x00\x04K\x01\x86"
                      + b"\x89ccollections\nOrderedDict\n)RtR")
    pickle.append(b"u.")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        archive.writestr("big/data.pkl", b"".join(pickle))
        archive.writestr("big/byteorder", "little")
        for i in range(count):
            with archive.open(zipfile.ZipInfo(f"big/data/{i}"), "w") as member:
                for block in blocks(each):
                    member.write(block)
        archive.writestr("big/version", "3\n")


def small_files(path):
    """200 repositories of 50 files."""
    config = {"architectures": ["BertModel"], "model_type": "bert", "hidden_size": 32, "vocab_size": 100,
              "id2label": {str(i): f"LABEL_{i}" for i in range(20)}}
    tokenizer = {"version": "1.0", "model": {"type": "WordPiece", "vocab": {f"token{i}": i for i in range(300)}}}
    header = json.dumps({"w": {"dtype": "F32", "shape": [64], "data_offsets": [0, 256]}}).encode()
    header += b" " * (-len(header) % 8)
    tensors = struct.pack("<Q", len(header)) + header + b"".join(blocks(256))
    for repository in range(200):
        folder = path / f"org-{repository}"
        folder.mkdir(parents=True)
        for name, value in (("config.json", config), ("tokenizer.json", tokenizer),
                            ("tokenizer_config.json", {"tokenizer_class": "BertTokenizer", "model_max_length": 512}),
                            ("special_tokens_map.json", {"unk_token": "[UNK]"}), ("generation_config.json", {"max_length": 20})):
            (folder / name).write_text(json.dumps(value))
        for i in range(15):
            (folder / f"model-{i:05}.safetensors").write_bytes(tensors)
        for i in range(10):
            (folder / f"shard{i}.bin").write_bytes(b"\x80\x02}q\x00X\x01\x00\x00\x00aq\x01K\x01s.")
        for i in range(10):
            (folder / f"notes{i}.txt").write_text("A few words about this model.\n" * 20)
        for i in range(10):
            (folder / f"vocab{i}.json").write_text(json.dumps({f"w{j}": j for j in range(50)}))


if __name__ == "__main__":
    main()
