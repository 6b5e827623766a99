#!/usr/bin/env python3
"""Writes operators.json: one small ONNX model for each operator and variant, with an input and what ONNX Runtime makes
of it. Needs numpy, onnx and onnxruntime."""
import json

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

random = np.random.default_rng(7)
cases = []


def case(name, nodes, shape, constants=None, opset=17, low=-2.0, high=2.0, note=""):
    """`nodes`: (operator, inputs, outputs, attributes); the input is `x`, its first axis the batch, the output `y`."""
    constants = constants or {}
    made = []
    for op, inputs, outputs, attributes in nodes:
        domain = attributes.pop("domain", "")
        made.append(helper.make_node(op, inputs.split(), outputs.split(), domain=domain, **attributes))
        made[-1].input[:] = ["" if i == "-" else i for i in made[-1].input]
    data = [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2 if note == "batch 2" else "N", *shape[1:]])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 1)]
    graph = helper.make_graph(made, "case", [x], [y], data)
    model = helper.make_model(graph, opset_imports=opsets, ir_version=4 if opset < 9 else 8)
    data = model.SerializeToString()
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    value = np.round(random.uniform(low, high, shape), 3).astype(np.float32)
    (result,) = session.run(["y"], {"x": value})
    cases.append({"name": name, "note": note, "model": data.hex(),
                  "x": {"dims": list(value.shape), "data": [float(f"{n:.7g}") for n in value.ravel()]},
                  "y": {"dims": list(result.shape), "data": [float(f"{n:.7g}") for n in result.ravel()]}})


def one(op, shape=(2, 3, 4), inputs="x", name=None, opset=17, constants=None, low=-2.0, high=2.0, note="", **attributes):
    case(name or op.lower(), [(op, inputs, "y", attributes)], shape, constants, opset, low, high, note)


def floats(*shape, low=-1.0, high=1.0):
    return random.uniform(low, high, shape).astype(np.float32)


def ints(*numbers):
    return np.array(numbers, np.int64)


for op in ["Abs", "Cos", "Erf", "Exp", "Neg", "Relu", "Sigmoid", "Sin", "Softplus", "Tanh", "LeakyRelu",
           "Elu", "Selu", "Celu", "HardSigmoid", "HardSwish", "Softsign", "ThresholdedRelu"]:
    one(op)
one("Mish", opset=18)
one("LeakyRelu", name="leakyrelu-alpha", alpha=0.3)
one("Celu", name="celu-alpha", alpha=1.7)
one("Elu", name="elu-alpha", alpha=0.4)
for op in ["Log", "Sqrt", "Reciprocal"]:
    one(op, low=0.5, high=3.0)
one("Gelu", opset=20)
one("Gelu", opset=20, name="gelu-tanh", approximate="tanh")
one("PRelu", inputs="x s", constants={"s": floats(3, 1)})
case("identity", [("Identity", "x", "i", {}), ("Exp", "i", "y", {})], (2, 3))
case("dropout-old", [("Dropout", "x", "d", {"ratio": 0.5}), ("Exp", "d", "y", {})], (2, 3), opset=10)
case("dropout", [("Dropout", "x r", "d", {}), ("Exp", "d", "y", {})], (2, 3), {"r": np.float32(0.3)})
one("Clip", name="clip-old", opset=10, min=-1.0, max=0.5)
one("Clip", inputs="x a b", constants={"a": np.float32(-1), "b": np.float32(0.5)})
one("Clip", name="clip-one-side", inputs="x - b", constants={"b": np.float32(0.5)})
one("Clip", name="relu6", inputs="x a b", constants={"a": np.float32(0), "b": np.float32(6)}, low=-8, high=9)
case("straight-through", [("QuantizeLinear", "x s z", "q", {}), ("DequantizeLinear", "q s z", "y", {})], (2, 5),
     {"s": np.float32(0.02), "z": np.uint8(120)}, note="straight-through")
case("dequantized-weight", [("DequantizeLinear", "w s z", "d", {"axis": 1}), ("MatMul", "x d", "y", {})], (2, 4),
     {"w": np.arange(-6, 6, dtype=np.int8).reshape(4, 3), "s": floats(3, low=0.1), "z": np.array([0, 1, 2], np.int8)})

# Arithmetic, with broadcasting of either side and of the part that depends on the input.
for op in ["Add", "Sub", "Mul", "Div", "Max", "Min"]:
    one(op, inputs="x c", constants={"c": floats(3, 1, low=0.5)})
    one(op, name=f"{op.lower()}-second", inputs="c x", constants={"c": floats(2, 1, 3, 4)}, low=0.5)
    case(f"{op.lower()}-itself", [("Tanh", "x", "t", {}), ("Exp", "x", "e", {}), (op, "t e", "y", {})], (2, 3))
one("Pow", inputs="x c", constants={"c": np.float32(2)})
one("Pow", name="pow-integer", inputs="x c", constants={"c": np.int64(3)})
one("Pow", name="pow-zero", inputs="x c", constants={"c": np.array([0, 1, 2, 3], np.float32)})
one("Pow", name="pow-exponent", inputs="c x", constants={"c": floats(4, low=0.5, high=3)})
one("Pow", name="pow-half", inputs="x c", constants={"c": np.float32(-0.5)}, low=0.5)
one("Sum", inputs="x c x", constants={"c": floats(3, 1)})
one("Mean", inputs="x c x", constants={"c": floats(3, 1)})
one("Max", name="max-three", inputs="x c d", constants={"c": floats(3, 1), "d": floats(4)})
case("where", [("Greater", "x c", "g", {}), ("Exp", "x", "e", {}), ("Where", "g e k", "y", {})], (2, 3, 4),
     {"c": floats(4), "k": floats(3, 1)})
case("where-other", [("Less", "x c", "g", {}), ("Not", "g", "n", {}), ("Where", "n k x", "y", {})], (2, 3),
     {"c": floats(3), "k": np.float32(0)})
case("logic", [("GreaterOrEqual", "x c", "a", {}), ("LessOrEqual", "x d", "b", {}), ("And", "a b", "ab", {}),
               ("Or", "ab a", "o", {}), ("Xor", "o b", "m", {}), ("Cast", "m", "f", {"to": 1}), ("Mul", "f x", "y", {})],
     (2, 6), {"c": floats(6), "d": floats(6)})
case("no-gradient-inside", [("Floor", "x", "f", {}), ("Ceil", "x", "c", {}), ("Round", "x", "r", {}), ("Sign", "x", "s", {}),
     ("Sum", "f c r s x", "y", {})], (2, 5))
case("cast", [("Cast", "x", "d", {"to": 11}), ("Tanh", "d", "t", {}), ("Cast", "t", "y", {"to": 1})], (2, 3))

# Products.
one("MatMul", name="matmul", shape=(2, 4), inputs="x w", constants={"w": floats(4, 3)})
one("MatMul", name="matmul-left", shape=(2, 4, 3), inputs="w x", constants={"w": floats(5, 4)})
one("MatMul", name="matmul-vector", shape=(2, 3, 4), inputs="x w", constants={"w": floats(4)})
one("MatMul", name="matmul-row", shape=(2, 4, 3), inputs="w x", constants={"w": floats(4)})
case("matmul-both", [("Transpose", "x", "t", {"perm": [0, 2, 1]}), ("MatMul", "x t", "y", {})], (2, 3, 4))
case("matmul-broadcast", [("Unsqueeze", "x a", "u", {}), ("MatMul", "u w", "p", {}), ("MatMul", "v p", "y", {})], (2, 3, 4),
     {"a": ints(1), "w": floats(5, 4, 2), "v": floats(5, 2, 3)})
one("Gemm", shape=(2, 4), inputs="x w b", constants={"w": floats(4, 3), "b": floats(3)}, alpha=0.5, beta=2.0)
one("Gemm", name="gemm-transposed", shape=(2, 4), inputs="x w", constants={"w": floats(3, 4)}, transB=1)
case("gemm-left", [("Transpose", "x", "t", {"perm": [1, 0]}), ("Gemm", "t w b", "y", {"transA": 1})], (2, 4),
     {"w": floats(4, 3), "b": floats(1, 3)})
case("gemm-second", [("Transpose", "x", "t", {"perm": [1, 0]}), ("Gemm", "w t", "g", {"alpha": 0.7}),
     ("Transpose", "g", "y", {"perm": [1, 0]})], (2, 4), {"w": floats(3, 4)})
case("gemm-second-transposed", [("Gemm", "w x", "g", {"transB": 1, "transA": 1}), ("Transpose", "g", "y", {"perm": [1, 0]})],
     (2, 4), {"w": floats(4, 3)})
case("gemm-summand", [("Gemm", "c w x", "y", {"beta": 0.5})], (2, 3), {"c": floats(2, 4), "w": floats(4, 3)}, note="batch 2")

# Convolutions.
def conv(name, shape, weight, bias=True, op="Conv", opset=17, **attributes):
    constants = {"w": floats(*weight)}
    channels = weight[0] if op == "Conv" else weight[1] * attributes.get("group", 1)
    if bias:
        constants["b"] = floats(channels)
    one(op, name=name, shape=shape, inputs="x w b" if bias else "x w", constants=constants, opset=opset, **attributes)


conv("conv", (2, 2, 5, 6), (3, 2, 3, 3))
conv("conv-padded", (2, 2, 5, 6), (3, 2, 3, 3), pads=[1, 1, 1, 1])
conv("conv-uneven", (2, 2, 5, 6), (3, 2, 3, 2), pads=[1, 0, 0, 2], strides=[2, 1])
conv("conv-stride-remainder", (2, 1, 8, 7), (2, 1, 3, 3), strides=[3, 2], bias=False)
conv("conv-dilated", (2, 2, 7, 7), (2, 2, 3, 3), dilations=[2, 1], pads=[1, 1, 1, 1])
conv("conv-grouped", (2, 4, 5, 5), (6, 2, 3, 3), group=2, pads=[1, 1, 1, 1])
conv("conv-depthwise", (2, 4, 5, 5), (4, 1, 3, 3), group=4, strides=[2, 2], pads=[1, 1, 1, 1])
conv("conv-one", (2, 3, 4, 4), (5, 3, 1, 1), strides=[2, 2])
conv("conv-line", (2, 3, 9), (2, 3, 4), strides=[2], pads=[1, 2])
conv("conv-volume", (2, 1, 3, 4, 3), (2, 1, 2, 2, 2))
conv("conv-same-upper", (2, 1, 6, 5), (2, 1, 3, 4), auto_pad="SAME_UPPER", strides=[2, 2])
conv("conv-same-lower", (2, 1, 6, 5), (2, 1, 3, 4), auto_pad="SAME_LOWER")
conv("conv-valid", (2, 1, 6, 5), (2, 1, 3, 4), auto_pad="VALID")
conv("deconv", (2, 2, 3, 4), (2, 3, 3, 3), op="ConvTranspose")
conv("deconv-stride", (2, 2, 3, 4), (2, 3, 3, 3), op="ConvTranspose", strides=[2, 3], pads=[1, 0, 1, 1], output_padding=[1, 2])
conv("deconv-grouped", (2, 4, 3, 3), (4, 2, 2, 2), op="ConvTranspose", group=2, strides=[2, 2])
conv("deconv-dilated", (2, 1, 3, 3), (1, 2, 3, 3), op="ConvTranspose", dilations=[2, 2], bias=False)
conv("deconv-shape", (2, 1, 3, 3), (1, 2, 3, 3), op="ConvTranspose", strides=[2, 2], output_shape=[5, 6])

# Pools.
one("MaxPool", shape=(2, 2, 4, 6), kernel_shape=[2, 2], strides=[2, 2])
one("MaxPool", name="maxpool-overlapping", shape=(2, 2, 5, 5), kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
one("MaxPool", name="maxpool-stride-one", shape=(2, 2, 4, 5), kernel_shape=[3, 2])
one("MaxPool", name="maxpool-ceil", shape=(2, 2, 6, 5), kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)
one("MaxPool", name="maxpool-dilated", shape=(2, 1, 7, 7), kernel_shape=[2, 2], dilations=[2, 3])
one("MaxPool", name="maxpool-same", shape=(2, 2, 5, 5), kernel_shape=[2, 2], strides=[2, 2], auto_pad="SAME_UPPER")
one("MaxPool", name="maxpool-line", shape=(2, 2, 7), kernel_shape=[3], strides=[2])
one("AveragePool", shape=(2, 2, 4, 6), kernel_shape=[2, 2], strides=[2, 2])
one("AveragePool", name="averagepool-remainder", shape=(2, 2, 7, 7), kernel_shape=[2, 2], strides=[2, 2])
one("AveragePool", name="averagepool-padded", shape=(2, 2, 5, 5), kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
one("AveragePool", name="averagepool-counted", shape=(2, 2, 5, 5), kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1)
one("AveragePool", name="averagepool-ceil", shape=(2, 2, 6, 5), kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1, opset=19)
one("GlobalAveragePool", shape=(2, 3, 4, 5))
one("GlobalMaxPool", shape=(2, 3, 4, 5))

# Normalisations.
one("BatchNormalization", shape=(2, 3, 2, 2), inputs="x s b m v",
    constants={"s": floats(3), "b": floats(3), "m": floats(3), "v": floats(3, low=0.5)}, epsilon=1e-3)
one("BatchNormalization", name="batchnorm-flat", shape=(2, 3), inputs="x s b m v", opset=9,
    constants={"s": floats(3), "b": floats(3), "m": floats(3), "v": floats(3, low=0.5)})
one("LayerNormalization", shape=(2, 3, 4), inputs="x s b", constants={"s": floats(4), "b": floats(4)})
one("LayerNormalization", name="layernorm-two-axes", shape=(2, 3, 4), inputs="x s", constants={"s": floats(3, 4)}, axis=1)
one("InstanceNormalization", shape=(2, 3, 4, 2), inputs="x s b", constants={"s": floats(3), "b": floats(3)})
one("GroupNormalization", shape=(2, 4, 3, 2), inputs="x s b", opset=21, constants={"s": floats(4), "b": floats(4)}, num_groups=2)
one("GroupNormalization", name="groupnorm-old", shape=(2, 4, 3, 2), inputs="x s b", opset=18,
    constants={"s": floats(2), "b": floats(2)}, num_groups=2)
one("RMSNormalization", shape=(2, 3, 4), inputs="x s", opset=23, constants={"s": floats(4)})
one("LpNormalization", shape=(2, 5))
one("LpNormalization", name="lpnormalization-one", shape=(2, 5), p=1, axis=1)
one("LRN", shape=(2, 5, 2, 2), size=3, alpha=0.3, beta=0.6, bias=1.5)
for op in ["Softmax", "LogSoftmax"]:
    one(op, shape=(2, 5))
    one(op, name=f"{op.lower()}-axis", shape=(2, 3, 4), axis=1)
    one(op, name=f"{op.lower()}-old", shape=(2, 3, 4), opset=11)

# Reductions.
for op in ["ReduceMax", "ReduceMean", "ReduceMin", "ReduceL1", "ReduceL2", "ReduceLogSumExp", "ReduceSumSquare"]:
    one(op, axes=[1, 2])
    one(op, name=f"{op.lower()}-18", inputs="x a", opset=18, constants={"a": ints(-1)}, keepdims=0)
one("ReduceLogSum", axes=[2], low=0.5)
one("ReduceSum", inputs="x a", constants={"a": ints(1, 2)})
one("ReduceSum", name="reducesum-old", opset=11, axes=[-1], keepdims=0)
case("reducemean-all-but-one", [("ReduceMean", "x", "m", {"axes": [1, 2], "keepdims": 0}), ("Mul", "m m", "y", {})], (2, 3, 4))

one("CumSum", inputs="x a", constants={"a": np.int64(1)})
one("CumSum", name="cumsum-backwards", inputs="x a", constants={"a": np.int64(-1)}, exclusive=1, reverse=1)

# Moving elements.
one("Flatten", shape=(2, 3, 4))
one("Flatten", name="flatten-two", shape=(2, 3, 4), axis=2)
one("Reshape", shape=(2, 3, 4), inputs="x s", constants={"s": ints(-1, 4, 3)})
one("Reshape", name="reshape-zero", shape=(2, 3, 4), inputs="x s", constants={"s": ints(0, 2, -1)})
one("Transpose", shape=(2, 3, 4), perm=[0, 2, 1])
one("Squeeze", shape=(2, 1, 3, 1), inputs="x a", constants={"a": ints(1, -1)})
one("Squeeze", name="squeeze-old", shape=(2, 1, 3), opset=11, axes=[1])
one("Unsqueeze", shape=(2, 3), inputs="x a", constants={"a": ints(1, 3)})
one("Unsqueeze", name="unsqueeze-old", shape=(2, 3), opset=11, axes=[1, 2])
case("concat", [("Tanh", "x", "t", {}), ("Concat", "x c t x", "y", {"axis": 1})], (2, 3, 2), {"c": floats(2, 2, 2)}, note="batch 2")
one("Slice", name="slice-old", shape=(2, 5, 4), opset=9, axes=[1, 2], starts=[1, -2], ends=[4, 100])
one("Slice", shape=(2, 5, 4), inputs="x s e a", constants={"s": ints(1), "e": ints(4), "a": ints(1)})
one("Slice", name="slice-steps", shape=(2, 7, 5), inputs="x s e a t",
    constants={"s": ints(1, 4), "e": ints(7, -100), "a": ints(1, 2), "t": ints(3, -2)})
one("Slice", name="slice-backwards", shape=(2, 5), inputs="x s e a t",
    constants={"s": ints(-1), "e": ints(-(1 << 40)), "a": ints(1), "t": ints(-1)})
case("split", [("Split", "x", "a b c", {"axis": 1}), ("Mul", "a c", "y", {})], (2, 6, 2), opset=11)
case("split-sizes", [("Split", "x s", "a b", {"axis": 1}), ("Exp", "b", "y", {})], (2, 5, 2), {"s": ints(2, 3)})
case("split-18", [("Split", "x", "a b", {"axis": 1, "num_outputs": 2}), ("Concat", "b a", "y", {"axis": 1})], (2, 5), opset=18)
one("Gather", name="gather-scalar", shape=(2, 3, 4), inputs="x i", constants={"i": np.int64(0)}, axis=1)
one("Gather", name="gather-list", shape=(2, 5, 3), inputs="x i", constants={"i": ints(3, 0, 3, -1)}, axis=1)
one("Gather", name="gather-table", shape=(2, 5), inputs="x i", constants={"i": np.array([[1, 2], [4, 0]])}, axis=1)
one("Pad", shape=(2, 3, 4), inputs="x p v", constants={"p": ints(0, 1, 0, 0, 2, 1), "v": np.float32(0.7)})
one("Pad", name="pad-old", shape=(2, 3, 4), opset=10, pads=[0, 1, 0, 0, 0, 1], value=0.5)
one("Pad", name="pad-negative", shape=(2, 5, 4), inputs="x p", constants={"p": ints(0, -1, 1, 0, 2, -1)})
one("Pad", name="pad-reflect", shape=(2, 4, 5), inputs="x p", constants={"p": ints(0, 1, 2, 0, 2, 1)}, mode="reflect")
one("Pad", name="pad-edge", shape=(2, 4), inputs="x p", constants={"p": ints(0, 2, 0, 1)}, mode="edge")
one("Pad", name="pad-axes", shape=(2, 4), inputs="x p - a", opset=18, constants={"p": ints(1, 2), "a": ints(1)})
one("Tile", shape=(2, 3), inputs="x r", constants={"r": ints(1, 3)})
one("Expand", shape=(2, 1, 3), inputs="x s", constants={"s": ints(1, 4, 1)})
one("DepthToSpace", shape=(2, 8, 2, 3), blocksize=2)
one("DepthToSpace", name="depthtospace-crd", shape=(2, 8, 2, 3), blocksize=2, mode="CRD")
one("SpaceToDepth", shape=(2, 2, 4, 6), blocksize=2)

# Resizing.
for mode, how in [("nearest", "asymmetric"), ("nearest", "half_pixel"), ("linear", "half_pixel"), ("linear", "align_corners"),
                  ("linear", "asymmetric"), ("linear", "pytorch_half_pixel")]:
    extra = {"nearest_mode": "floor"} if how == "asymmetric" and mode == "nearest" else {}
    one("Resize", name=f"resize-{mode}-{how}", shape=(2, 2, 3, 4), inputs="x - s",
        constants={"s": np.array([1, 1, 2, 2], np.float32)}, mode=mode, coordinate_transformation_mode=how, **extra)
one("Resize", name="resize-smaller", shape=(2, 1, 6, 5), inputs="x - - s", constants={"s": ints(2, 1, 4, 3)}, mode="linear", note="batch 2")
one("Upsample", shape=(2, 1, 2, 3), inputs="x s", opset=9, constants={"s": np.array([1, 1, 2, 3], np.float32)})

# Shapes computed in the graph, as exporters write them.
case("reshape-computed", [("Shape", "x", "s", {}), ("Gather", "s zero", "n", {}), ("Unsqueeze", "n axis", "u", {}),
     ("Concat", "u rest", "t", {"axis": 0}), ("Reshape", "x t", "y", {})], (2, 3, 4),
     {"zero": np.int64(0), "axis": ints(0), "rest": ints(-1)})
case("expand-computed", [("Shape", "x", "s", {}), ("Slice", "s a b", "n", {}), ("Concat", "n rest", "t", {"axis": 0}),
     ("Expand", "token t", "e", {}), ("Concat", "e x", "y", {"axis": 1})], (2, 3, 4),
     {"a": ints(0), "b": ints(1), "rest": ints(1, 4), "token": floats(1, 1, 4)})
case("expand-where", [("ConstantOfShape", "r", "ones", {"value": numpy_helper.from_array(np.array([1], np.int64))}),
     ("Mul", "ones minus", "m", {}), ("Equal", "want m", "q", {}), ("Where", "q ones want", "t", {}),
     ("Expand", "x t", "y", {})], (2, 1, 3), {"r": ints(3), "minus": np.int64(-1), "want": ints(-1, 4, -1)})
case("zeros-like", [("Shape", "x", "s", {}), ("ConstantOfShape", "s", "z", {}), ("Add", "z c", "o", {}), ("Mul", "o x", "y", {})],
     (2, 3), {"c": np.float32(1.5)})
case("positions", [("Range", "a b c", "r", {}), ("Cast", "r", "f", {"to": 1}), ("Add", "x f", "p", {}), ("Mul", "p p", "y", {})],
     (2, 4), {"a": np.int64(0), "b": np.int64(4), "c": np.int64(1)})
case("heads", [("Reshape", "x s", "h", {}), ("Transpose", "h", "t", {"perm": [0, 2, 1, 3]}), ("Reshape", "t m", "r", {}),
     ("MatMul", "r w", "p", {}), ("Reshape", "p b", "y", {})], (2, 3, 4),
     {"s": ints(0, 3, 2, 2), "m": ints(-1, 3, 2), "w": floats(2, 5), "b": ints(-1, 2, 3, 5)})

# Predictors of ai.onnx.ml.
one("Scaler", shape=(2, 3), offset=[1.0, 2.0, -1.0], scale=[0.5, 2.0, 3.0], domain="ai.onnx.ml")
one("LinearRegressor", shape=(2, 3), coefficients=[1.0, 2.0, -1.0, 0.5, 0.3, 0.1], intercepts=[0.5, 0.1], targets=2,
    domain="ai.onnx.ml")

with open("operators.json", "w") as file:
    file.write("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")
print(len(cases), "cases")
