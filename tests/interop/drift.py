#!/usr/bin/env python3
"""Drift metrics against SciPy, stream detectors against river, on data made here.

Usage: drift.py PROGRAM   (needs numpy, pyarrow, scipy, river, scikit-learn)
"""
import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from river import drift
from scipy import stats
from scipy.spatial.distance import jensenshannon

program = sys.argv[1]
failed = []


def run(*args):
    done = subprocess.run([program, "--no-progress", "data", *args, "--format", "json"], capture_output=True, text=True)
    if done.returncode not in (0, 1):
        sys.exit(f"{' '.join(map(str, args))}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
    return json.loads(done.stdout)["reports"][0]


def same(what, ours, theirs, relative):
    if ours is None or not math.isclose(ours, theirs, rel_tol=relative, abs_tol=1e-300 if theirs else 1e-12):
        failed.append(f"{what}: {ours} instead of {theirs}")


with tempfile.TemporaryDirectory() as folder:
    folder = Path(folder)
    compared = 0
    for seed in range(6):
        rng = np.random.default_rng(seed)
        n, m = int(rng.integers(50, 4000)), int(rng.integers(50, 4000))
        shift = [0.0, 0.02, 0.1, 0.5, 2.0, 0.3][seed]
        columns = {
            "normal": (rng.normal(0, 1, n), rng.normal(shift, 1, m)),
            "heavy": (rng.lognormal(0, 2, n), rng.lognormal(shift, 2, m)),
            "ties": (rng.poisson(3, n).astype(float), rng.poisson(3 + shift, m).astype(float)),
        }
        words = np.array(["a", "b", "c", "dd", "é"])
        categories = (words[rng.choice(5, n, p=[.4, .3, .2, .05, .05])], words[rng.choice(5, m, p=[.35, .35, .2, .05, .05])])
        for side, name in ((0, "reference"), (1, "current")):
            table = {key: value[side] for key, value in columns.items()} | {"word": categories[side].tolist()}
            pq.write_table(pa.table(table), folder / f"{name}.parquet")
        report = run("drift", "--reference", folder / "reference.parquet", "--current", folder / "current.parquet",
                     "--metrics", "all")
        metrics = {(x["name"], x["field"]): x["value"] for x in report["metrics"]}
        for key, (a, b) in columns.items():
            test = stats.ks_2samp(a, b, method="asymp")
            same(f"{seed} {key} ks", metrics["ks", key], test.statistic, 1e-9)
            same(f"{seed} {key} ks_p", metrics["ks_p", key], test.pvalue, 1e-6)
            same(f"{seed} {key} wasserstein", metrics["wasserstein", key], stats.wasserstein_distance(a, b), 1e-9)
            edges = np.unique(np.quantile(a, np.arange(1, 10) / 10))
            count = lambda x: np.bincount(np.searchsorted(edges, x, side="right"), minlength=len(edges) + 1)
            p, q = count(a) / n, count(b) / m
            same(f"{seed} {key} js", metrics["js@quantile_bins", key], jensenshannon(p, q, base=2), 1e-9)
            p, q = np.maximum(p, 1e-4), np.maximum(q, 1e-4)
            same(f"{seed} {key} psi", metrics["psi@quantile_bins", key], float(((q - p) * np.log(q / p)).sum()), 1e-9)
            same(f"{seed} {key} kl", metrics["kl@quantile_bins", key], stats.entropy(q, p), 1e-9)
            compared += 6
        table = np.array([[np.sum(side == word) for word in words] for side in categories])
        test = stats.chi2_contingency(table, correction=False)
        same(f"{seed} chi2", metrics["chi2", "word"], test.statistic, 1e-9)
        same(f"{seed} chi2_p", metrics["chi2_p", "word"], test.pvalue, 1e-6)
        compared += 2

    detected = 0
    for seed in range(4):
        rng = np.random.default_rng(100 + seed)
        bits = np.concatenate([rng.random(1500) < .1, rng.random(1500) < [.1, .2, .4, .8][seed]]).astype(float)
        reals = np.concatenate([rng.beta(2, 5, 1500), rng.beta(2 + seed, 5, 1500)])
        for name, items, make in (
            ("adwin", reals, lambda: drift.ADWIN()),
            ("page-hinkley", reals * 20, lambda: drift.PageHinkley()),
            ("hddm-a", bits, lambda: drift.binary.HDDMA()),
            ("hddm-w", bits, lambda: drift.binary.HDDMW()),
            ("ddm", bits, lambda: drift.binary.DDM()),
        ):
            path = folder / "stream.csv"
            path.write_text("x\n" + "".join(f"{x!r}\n" for x in map(float, items)))
            detector, theirs = make(), []
            for i, x in enumerate(map(float, items)):
                detector.update(bool(x) if name == "ddm" else x)
                if detector.drift_detected:
                    theirs.append(i)
            report = run("detect", "--detector", name, "--column", "x", path)
            ours = sorted(x["location"]["row"] for x in report["findings"] if x["rule"] == "data/drift/stream-change")
            detected += len(theirs)
            if ours != theirs:
                failed.append(f"{name} {seed}: {ours} instead of {theirs}")

if failed:
    sys.exit("\n".join(failed))
if not detected:
    sys.exit("no detector fired: the streams are too tame")
print(f"{compared} metrics as SciPy's, 20 streams with {detected} detections as river's")
