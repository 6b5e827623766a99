"""Trains models/churn.onnx on data/train.parquet. Looks at no other file.

The network sees scaled features while it learns; afterwards the scaling is folded into its first layer, so that the model
takes a customer's plain numbers and consists of Gemm and Relu alone.

Usage: python train.py
"""
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

import features

HERE = Path(__file__).parent
SEED = 7


def main():
    x, y = features.load(HERE / "data" / "train.parquet")
    scaler = StandardScaler().fit(x)
    # The strong weight decay was chosen by cross-validation on these rows: without it the network learns the noise.
    network = MLPClassifier(
        hidden_layer_sizes=(32, 16), alpha=5.0, early_stopping=True, n_iter_no_change=10, random_state=SEED
    )
    # One thread: sums in another order would end in other last digits.
    with threadpool_limits(1):
        network.fit(scaler.transform(x), y)
    fit = network.score(scaler.transform(x), y)
    print(f"{len(y)} customers, {network.n_iter_} epochs, accuracy on training rows {fit:.4f}")

    path = HERE / "models" / "churn.onnx"
    path.parent.mkdir(exist_ok=True)
    onnx.save(to_onnx(scaler, network), path)
    print(f"{path.name}: {path.stat().st_size} bytes")


def to_onnx(scaler, network):
    weights = [w.astype(np.float64) for w in network.coefs_]
    biases = [b.astype(np.float64) for b in network.intercepts_]
    # ((x - mean) / scale) W + b  =  x (W / scale) + (b - (mean / scale) W)
    biases[0] = biases[0] - (scaler.mean_ / scaler.scale_) @ weights[0]
    weights[0] = weights[0] / scaler.scale_[:, None]
    # One log-odds z becomes the two logits (-z/2, z/2): the softmax of these is the sigmoid of z.
    weights[-1] = np.hstack([-weights[-1] / 2, weights[-1] / 2])
    biases[-1] = np.hstack([-biases[-1] / 2, biases[-1] / 2])

    nodes, initializers, current = [], [], "x"
    for index, (weight, bias) in enumerate(zip(weights, biases)):
        initializers += [
            numpy_helper.from_array(weight.astype(np.float32), f"weight{index}"),
            numpy_helper.from_array(bias.astype(np.float32), f"bias{index}"),
        ]
        last = index == len(weights) - 1
        out = "logits" if last else f"hidden{index}"
        nodes.append(helper.make_node("Gemm", [current, f"weight{index}", f"bias{index}"], [out], name=f"gemm{index}"))
        current = out
        if not last:
            nodes.append(helper.make_node("Relu", [out], [f"active{index}"], name=f"relu{index}"))
            current = f"active{index}"

    graph = helper.make_graph(
        nodes,
        "churn",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", len(features.NAMES)])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 2])],
        initializers,
    )
    opset = helper.make_opsetid("", 17)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=8, producer_name="churn/train.py")
    helper.set_model_props(model, {"features": ",".join(features.NAMES), "classes": "stays,leaves"})
    onnx.checker.check_model(model, full_check=True)
    return model


if __name__ == "__main__":
    main()
