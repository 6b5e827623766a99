#!/usr/bin/env python3
"""Writes the big inputs that the benchmarks read; the same arguments give the same bytes.

Usage:
  make_inputs.py safetensors FILE [--size BYTES] [--seed N]     one model file, default 2 GiB
  make_inputs.py project DIR [--size BYTES] [--seed N]          a whole project, default 1 GiB

The project holds, by size, six tenths weights (safetensors), three tenths a table (Parquet), one tenth a second table
(CSV), and 2,000 small Python files; each table has its manifest and contract, made so that no check should refuse it.
Weights are random floats: they neither compress nor repeat. Needs numpy and pyarrow.
"""
import argparse
import hashlib
import json
import struct
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

PIECE = 16 << 20
ROWS_AT_ONCE = 20_000
VALUES = 16
TENSOR = 64 << 20
SCRIPTS = 2_000


def main():
    arguments = argparse.ArgumentParser(formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__)
    arguments.add_argument("kind", choices=["safetensors", "project"])
    arguments.add_argument("path", type=Path)
    arguments.add_argument("--size", type=int)
    arguments.add_argument("--seed", type=int, default=1)
    given = arguments.parse_args()
    if given.kind == "safetensors":
        write_safetensors(given.path, given.size or 2 << 30, given.seed)
    else:
        write_project(given.path, given.size or 1 << 30, given.seed)


def write_safetensors(path, size, seed):
    """One file of about `size` bytes: float32 tensors of 64 MiB, the last one shorter."""
    header, offset = {}, 0
    while offset < size:
        count = min(TENSOR, size - offset) // 4
        if count == 0:
            break
        end = offset + 4 * count
        header[f"layers.{len(header)}.weight"] = {"dtype": "F32", "shape": [count], "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)

    rng = np.random.default_rng(seed)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        while offset > 0:
            piece = rng.random(min(PIECE, offset) // 4, dtype=np.float32) - np.float32(0.5)
            file.write(piece.tobytes())
            offset -= piece.nbytes


def write_project(folder, size, seed):
    for sub in ["data", "models", "src"]:
        (folder / sub).mkdir(parents=True, exist_ok=True)
    write_safetensors(folder / "models" / "big.safetensors", size * 6 // 10, seed)
    write_table(folder / "data", "readings.parquet", size * 3 // 10, seed)
    write_table(folder / "data", "extra.csv", size // 10, seed + 1)
    for index in range(SCRIPTS):
        (folder / "src" / f"step_{index:04}.py").write_text(script(index))
    (folder / "gauntlet.yaml").write_text(PROJECT)


def write_table(folder, name, size, seed):
    """A table of about `size` bytes with its contract and its manifest, all in `folder`."""
    path, stem = folder / name, name.split(".")[0]
    rng = np.random.default_rng(seed)
    schema = readings(rng, 0, 1).schema
    rows = 0
    with path.open("wb") as file:
        if path.suffix == ".csv":
            writer = pa.csv.CSVWriter(file, schema)
        else:
            writer = pa.parquet.ParquetWriter(file, schema, compression="none", use_dictionary=False)
        with writer:
            while file.tell() < size:
                writer.write_table(readings(rng, rows, ROWS_AT_ONCE))
                rows += ROWS_AT_ONCE

    contract = folder / f"{stem}.contract.yaml"
    values = "".join(f"  value_{index}: {{type: float, nullable: false, range: [0, 1]}}\n" for index in range(VALUES))
    contract.write_text(CONTRACT.format(table=stem, values=values))
    (folder / f"{stem}.manifest.yaml").write_text(
        MANIFEST.format(
            name=stem,
            path=name,
            sha256=sha256(path),
            size=path.stat().st_size,
            rows=rows,
            contract=contract.name,
            contract_sha256=sha256(contract),
        )
    )


def readings(rng, start, count):
    columns = {"reading_id": np.arange(start, start + count, dtype=np.int64)}
    columns["site"] = np.array(["north", "south", "east", "west"])[rng.integers(0, 4, count)]
    columns |= {f"value_{index}": rng.random(count) for index in range(VALUES)}
    return pa.table(columns)


def script(index):
    """Some 4 KiB of ordinary code."""
    functions = [
        f"def scale_{index}_{n}(values, factor={n + 1}):\n"
        f'    """Multiplies each of the values by the factor of step {index}."""\n'
        f"    return [value * factor for value in values if value is not None]\n"
        for n in range(20)
    ]
    return "import math\nimport statistics\n\n\n" + "\n\n".join(functions)


def sha256(path):
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


CONTRACT = """\
contract: 1
table: {table}
rows: {{min: 1, max: 1000000000}}
columns:
  reading_id: {{type: integer, nullable: false, unique: true}}
  site: {{type: string, nullable: false, allowed: [north, south, east, west]}}
{values}extra_columns: error
"""

MANIFEST = """\
gauntlet_dataset: "1"
name: {name}
version: "1.0.0"
files:
  - {{path: {path}, sha256: {sha256}, size: {size}, rows: {rows}, split: train}}
source:
  uri: file:benches/make_inputs.py
  collected: ["2026-01-01", "2026-01-01"]
  method: Random numbers.
  upstream: []
license: {{spdx: CC0-1.0, url: "https://creativecommons.org/publicdomain/zero/1.0/"}}
consent: {{basis: synthetic, record: benches/make_inputs.py, purposes: [train]}}
personal_data: {{columns: {{}}, special_categories: false}}
ids: [reading_id]
contract: {{path: {contract}, sha256: {contract_sha256}}}
"""

PROJECT = """\
version: 1
project: big
kind: tabular
risk: limited
default_environment: staging
owners: {model: model-owner@example.com, security: security@example.com}
source: {paths: [src]}
datasets:
  readings: {path: data/readings.parquet, manifest: data/readings.manifest.yaml, contract: data/readings.contract.yaml}
  extra: {path: data/extra.csv, manifest: data/extra.manifest.yaml, contract: data/extra.contract.yaml}
models:
  big: {path: models/big.safetensors}
policy: {packs: [baseline]}
environments: {staging: {}}
"""


if __name__ == "__main__":
    main()
