"""Measures models/churn.onnx with ONNX Runtime on the customers it never saw (data/test.parquet).

Usage: python evaluate.py
"""
from pathlib import Path

import onnxruntime
from sklearn.metrics import accuracy_score, roc_auc_score

import features

HERE = Path(__file__).parent


def main():
    session = onnxruntime.InferenceSession(HERE / "models" / "churn.onnx", providers=["CPUExecutionProvider"])
    for name in ["train", "test"]:
        x, y = features.load(HERE / "data" / f"{name}.parquet")
        (logits,) = session.run(["logits"], {"x": x})
        accuracy = accuracy_score(y, logits.argmax(axis=1))
        area = roc_auc_score(y, logits[:, 1] - logits[:, 0])
        commoner = max(y.mean(), 1 - y.mean())
        print(f"{name}: {len(y)} rows, accuracy {accuracy:.4f} (share of the commoner class {commoner:.4f}), AUC {area:.4f}")


if __name__ == "__main__":
    main()
