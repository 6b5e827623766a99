"""Trains the digit classifier on data/train_*.npy: writes fixed/models/digits.onnx and fixed/models/digits.pkl.

Both files hold the same network. The pickle is a dictionary of plain arrays; loading it calls nothing but NumPy's own
array constructor.

Usage: python train.py
"""
import pickle
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

HERE = Path(__file__).parent
SEED = 7
HIDDEN = 64


def main():
    images = np.load(HERE / "data" / "train_x.npy").astype(np.float32) / 255
    labels = np.load(HERE / "data" / "train_y.npy")
    x, y = with_shifts(images, labels)
    network = MLPClassifier(hidden_layer_sizes=(HIDDEN,), alpha=0.1, tol=2e-3, n_iter_no_change=5, random_state=SEED)
    # One thread: sums in another order would end in other last digits.
    with threadpool_limits(1):
        network.fit(x, y)
    fit = network.score(x, y)
    print(f"{len(labels)} digits, {len(y)} with shifts, {network.n_iter_} epochs, accuracy on them {fit:.4f}")

    arrays = {}
    for index, (weight, bias) in enumerate(zip(network.coefs_, network.intercepts_)):
        arrays[f"weight{index}"] = weight.astype(np.float32)
        arrays[f"bias{index}"] = bias.astype(np.float32)

    models = HERE / "fixed" / "models"
    models.mkdir(parents=True, exist_ok=True)
    onnx.save(to_onnx(arrays), models / "digits.onnx")
    (models / "digits.pkl").write_bytes(pickle.dumps(arrays, protocol=4))


def with_shifts(images, labels):
    """The digits and their copies moved by one pixel up, down, left and right."""
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1)))
    corners = [(1, 1), (0, 1), (2, 1), (1, 0), (1, 2)]
    moved = [padded[:, top : top + 28, left : left + 28].reshape(len(images), -1) for top, left in corners]
    return np.concatenate(moved), np.tile(labels, len(moved))


def to_onnx(arrays):
    nodes = [
        helper.make_node("Flatten", ["x"], ["pixels"], name="flatten", axis=1),
        helper.make_node("Gemm", ["pixels", "weight0", "bias0"], ["hidden"], name="gemm0"),
        helper.make_node("Relu", ["hidden"], ["active"], name="relu0"),
        helper.make_node("Gemm", ["active", "weight1", "bias1"], ["logits"], name="gemm1"),
    ]
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 1, 28, 28])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 10])],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    opset = helper.make_opsetid("", 17)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=8, producer_name="digits/train.py")
    onnx.checker.check_model(model, full_check=True)
    return model


if __name__ == "__main__":
    main()
