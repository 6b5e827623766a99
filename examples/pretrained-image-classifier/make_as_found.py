"""Puts as-found/ into its bad state: the same network as in fixed/, in a pickle that calls os.system when it is loaded.

The call is an `echo` and nothing else: whoever loads the file sees a line of text. An attacker would write another line here.

Usage: python make_as_found.py   (after train.py)
"""
import os
import pickle
from pathlib import Path

import onnx
from onnx import numpy_helper

HERE = Path(__file__).parent


class OnLoad:
    def __reduce__(self):
        return os.system, ("echo this ran when the model was loaded",)


def main():
    graph = onnx.load(HERE / "fixed" / "models" / "digits.onnx").graph
    network = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    path = HERE / "as-found" / "models" / "digits.pkl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps({"setup": OnLoad(), **network}, protocol=4))


if __name__ == "__main__":
    main()
