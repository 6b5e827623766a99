"""Writes the table of training sources: as-found/data/sources.csv with a contact for each, fixed/data/sources.csv without.

Schools, people and counts are invented; the addresses end in example.com and example.org, which belong to nobody.

Usage: python make_sources.py
"""
import csv
import datetime
import hashlib
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
SEED = 7
IMAGES = 1500
PLACES = [
    "Alder Lane", "Birch Hill", "Cedar Street", "Dune Road", "East Quay", "Fern Valley", "Garden Row", "Harbour View",
    "Iron Bridge", "Juniper Park", "Kiln Yard", "Lake Side", "Mill Pond", "North Gate", "Old Market", "Pine Ridge",
    "Quarry Bank", "River Bend", "South Field", "Tower Green",
]
KINDS = ["primary school", "evening college"]
FIRST = ["anna", "bela", "clara", "dario", "edith", "farid", "greta", "hugo", "irena", "jonas"]
LAST = ["adler", "bruno", "castell", "dietz", "ekman", "fabre", "goran", "holm"]
LICENCES = ["CC0-1.0", "CC-BY-4.0"]


def main():
    rng = np.random.default_rng(SEED)
    names = [f"{place} {kind}" for place in PLACES for kind in KINDS]
    # Every source gave ten digits or more.
    images = 10 + rng.multinomial(IMAGES - 10 * len(names), np.full(len(names), 1 / len(names)))
    people = rng.permutation([f"{first}.{last}" for first in FIRST for last in LAST])
    rows = []
    for index, name in enumerate(names):
        day = datetime.date(2024, 1, 8) + datetime.timedelta(days=int(rng.integers(0, 300)))
        rows.append(
            {
                "source_id": f"src-{index + 1:03}",
                "source": name,
                "contact": f"{people[index]}@example.{['com', 'org'][index % 2]}",
                "licence": LICENCES[int(rng.integers(2))],
                "collected": day.isoformat(),
                "images": int(images[index]),
            }
        )
    write(HERE / "as-found" / "data" / "sources.csv", rows)
    write(HERE / "fixed" / "data" / "sources.csv", [{k: v for k, v in row.items() if k != "contact"} for row in rows])


def write(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    print(f"{path.relative_to(HERE)}: {len(rows)} rows, {len(content)} bytes, sha256 {digest}")


if __name__ == "__main__":
    main()
