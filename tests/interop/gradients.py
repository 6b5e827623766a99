#!/usr/bin/env python3
"""Runs the gradient graphs that `gauntlet-grad` made on ONNX Runtime. Usage: gradients.py FOLDER, which the ignored test
`writes_graphs` filled: logits and gradients have to be those of the reference interpreter."""
import json
import pathlib
import sys

import numpy as np
import onnxruntime


def session(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def array(value, kind=np.float32):
    return np.array(value["data"], kind).reshape(value["dims"])


def far(found, expected):
    if found.shape != expected.shape or not np.isfinite(found).all():
        return float("inf")
    return float(np.abs(found - expected).max() / max(1.0, np.abs(expected).max()))


def main(folder):
    wrong, worst, cases = [], 0.0, sorted(folder.glob("*.json"))
    if len(cases) < 100:
        sys.exit(f"only {len(cases)} cases in {folder}")
    for path in cases:
        case = json.loads(path.read_text())
        x = array(case["x"], np.int64 if case["integers"] else np.float32)
        try:
            outputs = session(path.with_suffix(".forward.onnx")).run(None, {case["input"]: x})
            source = {"seed": lambda at: array(case["seed"]), "input": lambda at: x, "output": lambda at: outputs[at]}
            feeds = {name: source[kind](at) for name, kind, at in case["feeds"]}
            (gradient,) = session(path.with_suffix(".backward.onnx")).run(None, feeds)
        except Exception as error:  # whatever the runtime refuses is a failure
            wrong.append(f"{path.stem}: {error}")
            continue
        off = max(far(outputs[0], array(case["logits"], np.float64)), far(gradient, array(case["gradient"], np.float64)))
        worst = max(worst, off)
        if off > 1e-4:
            wrong.append(f"{path.stem}: off by {off:.2e}")
    print(f"{len(cases)} gradient graphs on ONNX Runtime {onnxruntime.__version__}: {len(wrong)} wrong, largest error {worst:.1e}")
    if wrong:
        sys.exit("\n".join(wrong))


main(pathlib.Path(sys.argv[1]))
