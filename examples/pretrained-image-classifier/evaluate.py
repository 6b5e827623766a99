"""Measures fixed/models/digits.onnx with ONNX Runtime on the 500 digits it never saw (data/evaluate_*.npy).

Usage: python evaluate.py
"""
from pathlib import Path

import numpy as np
import onnxruntime

HERE = Path(__file__).parent


def main():
    session = onnxruntime.InferenceSession(
        HERE / "fixed" / "models" / "digits.onnx", providers=["CPUExecutionProvider"]
    )
    for name in ["train", "evaluate"]:
        images = np.load(HERE / "data" / f"{name}_x.npy")[:, None].astype(np.float32) / 255
        labels = np.load(HERE / "data" / f"{name}_y.npy")
        (logits,) = session.run(["logits"], {"x": images})
        right = int((logits.argmax(axis=1) == labels).sum())
        print(f"{name}: {right} of {len(labels)} right, accuracy {right / len(labels):.4f}")


if __name__ == "__main__":
    main()
