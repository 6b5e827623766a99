"""Turns the generated customer table into data/train.parquet and data/test.parquet.

Keeps only customers who granted consent, then holds out a fixed random fifth for testing. Prints what the dataset
manifest has to say about each file.

Usage: python prepare.py build/customers.parquet
"""
import argparse
import hashlib
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

HERE = Path(__file__).parent
TEST_SHARE = 0.2
SEED = 7


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("table", type=Path)
    table = pq.read_table(arguments.parse_args().table)

    consenting = table.filter(pc.equal(table["consent"], "granted"))
    print(f"{table.num_rows} customers, {consenting.num_rows} with consent")

    held_out = np.random.default_rng(SEED).random(consenting.num_rows) < TEST_SHARE
    for name, rows in [("train", ~held_out), ("test", held_out)]:
        write(HERE / "data" / f"{name}.parquet", consenting.filter(rows))


def write(path, table):
    path.parent.mkdir(exist_ok=True)
    pq.write_table(table.combine_chunks(), path, compression="zstd")
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    print(f"{path.name}: {table.num_rows} rows, {len(content)} bytes, sha256 {digest}")


if __name__ == "__main__":
    main()
