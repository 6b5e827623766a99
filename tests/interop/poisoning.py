#!/usr/bin/env python3
"""`gauntlet data poisoning` against tables whose faults are known, and against cleanlab and scikit-learn.

    poisoning.py PROGRAM [ROWS]

Needs numpy, pyarrow, scikit-learn and cleanlab.
"""
import json, os, subprocess, sys, tempfile

import numpy as np
from cleanlab.filter import find_label_issues
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

PROGRAM = os.path.abspath(sys.argv[1])
ROWS = sys.argv[2] if len(sys.argv) > 2 else "30000"
HERE = os.path.dirname(os.path.abspath(__file__))
failures = []


def gauntlet(*args):
    done = subprocess.run([PROGRAM, "data", "poisoning", *args, "--format", "json", "--no-progress", "--rows", "1000000"],
                          capture_output=True, text=True)
    if done.returncode not in (0, 1):
        sys.exit("%s: %s%s" % (args, done.stdout[-2000:], done.stderr))
    reports = json.loads(done.stdout)["reports"]
    return [f for r in reports for f in r["findings"]]


def rows(findings, rule, field=None):
    return {f["location"]["row"] for f in findings
            if f["rule"] == "data/" + rule and f["location"]["row"] is not None and field in (None, f["location"]["field"])}


def hold(what, found, truth, precision=.95, recall=.95):
    hits = len(found & truth)
    p, r = hits / max(1, len(found)), hits / max(1, len(truth))
    print("%-44s precision %.3f recall %.3f (%d of %d found)" % (what, p, r, hits, len(truth)))
    if p < precision or r < recall:
        failures.append(what)


def expect(what, holds):
    print("%-44s %s" % (what, "yes" if holds else "NO"))
    if not holds:
        failures.append(what)


def table(work, name, faults):
    subprocess.run([sys.executable, os.path.join(HERE, "../../corpus/make_tables.py"), "--out", work, "--rows", ROWS, "--seed", "2",
                    "--name", name, "--faults", faults], check=True)
    with open(os.path.join(work, name + ".truth.json")) as f:
        return os.path.join(work, name + ".parquet"), json.load(f)["faults"]


def injected(work):
    options = ["--label", "churn", "--id", "customer_id"]
    path, truth = table(work, "faults", "outliers,duplicates,near_dups,leak")
    found = gauntlet(path, *options)
    hold("outliers", rows(found, "poisoning/outlier"), set(truth["outliers"]["rows"]))
    hold("exact duplicates", rows(found, "duplicates/exact-duplicate"), set(truth["duplicates"]["rows"]))
    hold("near duplicates", rows(found, "duplicates/near-duplicate"), set(truth["near_dups"]["rows"]))
    leaks = {f["location"]["field"] for f in found if f["rule"] == "data/leakage/target-leak"}
    expect("leak: churn_score and no other column", leaks == {"churn_score"})
    path, truth = table(work, "backdoor", "backdoor")
    found = gauntlet(path, *options)
    hold("backdoor rows by trigger", rows(found, "poisoning/trigger"), set(truth["backdoor"]["rows"]))
    path, _ = table(work, "clean", "none")
    found = gauntlet(path, *options)
    suspicious = set().union(*(rows(found, "poisoning/" + r) for r in ("label-error", "outlier", "trigger")))
    print("clean table: %d of %s rows flagged" % (len(suspicious), ROWS))
    expect("clean table: at most 2 % flagged", len(suspicious) <= .02 * int(ROWS))
    named = {f["rule"] for f in found} - {"data/poisoning/label-error", "data/poisoning/joint-outlier"}
    expect("clean table: nothing else (%s)" % ", ".join(sorted(named)), not named)


def write_csv(path, columns, matrix):
    np.savetxt(path, matrix, delimiter=",", header=",".join(columns), comments="", fmt="%.10g")


def cleanlab(work):
    for name, data in (("digits", load_digits()), ("breast cancer", load_breast_cancer())):
        rng = np.random.default_rng(3)
        y = data.target.copy()
        k = len(set(y))
        bad = rng.choice(len(y), len(y) // 20, replace=False)
        y[bad] = (y[bad] + rng.integers(1, k, len(bad))) % k
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
        p = cross_val_predict(model, data.data, y, cv=5, method="predict_proba")
        theirs = set(np.flatnonzero(find_label_issues(y, p, filter_by="prune_by_noise_rate")).tolist())
        x = os.path.join(work, "x.csv")
        write_csv(x, ["f%d" % i for i in range(data.data.shape[1])] + ["label"], np.column_stack([data.data, y]))
        given = os.path.join(work, "p.csv")
        write_csv(given, [str(c) for c in range(k)], p)
        found = gauntlet(x, "--label", "label", "--predictions", given)
        ours = rows(found, "poisoning/label-error")
        same = len(ours & theirs) / max(1, len(ours | theirs))
        expect("%s: confident learning as cleanlab (Jaccard %.3f, %d rows)" % (name, same, len(theirs)), same >= .97)
        found = gauntlet(x, "--label", "label", *(["--image-width", "8"] if name == "digits" else []))
        own = rows(found, "poisoning/label-error")
        hits = len(own & set(bad.tolist()))
        t = np.isin(np.arange(len(y)), bad)
        peer = roc_auc_score(t, 1 - p[np.arange(len(y)), y])
        print("%s: %d of %d flips flagged, %d others (cleanlab: %d, %d); self-confidence AUC of scikit-learn %.4f" % (
            name, hits, len(bad), len(own) - hits, len(theirs & set(bad.tolist())), len(theirs - set(bad.tolist())), peer))
        expect("%s: most flips, and few others" % name, hits >= .6 * len(bad) and hits >= .85 * len(own))


with tempfile.TemporaryDirectory() as work:
    injected(work)
    cleanlab(work)
if failures:
    sys.exit("failed: " + "; ".join(failures))
