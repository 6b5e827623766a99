"""Prints the digit that models/digits.onnx sees in each image of a NumPy file (uint8, N x 28 x 28).

Usage: python predict.py IMAGES.npy
"""
import argparse
from pathlib import Path

import numpy as np
import onnxruntime


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("images", type=Path)
    images = np.load(arguments.parse_args().images, allow_pickle=False)
    model = Path(__file__).parent / "models" / "digits.onnx"
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    (logits,) = session.run(["logits"], {"x": images[:, None].astype(np.float32) / 255})
    for digit in logits.argmax(axis=1):
        print(digit)


if __name__ == "__main__":
    main()
