"""ONNX by the onnx helpers, converters and PyTorch; OpenVINO made from it."""
import os

from . import writer
from .estimators import data


def graphs():
    """Valid models by name: one chain, control flow, functions, sequences, sparse and training parts."""
    import numpy as np
    import onnx
    from onnx import TensorProto as T, helper as h, numpy_helper

    f32 = lambda name, *shape: h.make_tensor_value_info(name, T.FLOAT, shape)
    x, y = f32("x", 1, 4), f32("y", 1, 2)
    w = numpy_helper.from_array(np.arange(8, dtype=np.float32).reshape(4, 2), "w")
    dense = h.make_graph([h.make_node("MatMul", ["x", "w"], ["m"]), h.make_node("Relu", ["m"], ["y"], name="act")], "dense", [x], [y], [w])
    found = {"dense": h.make_model(dense, producer_name="tests", opset_imports=[h.make_opsetid("", 17)])}
    flag = h.make_tensor_value_info("flag", T.BOOL, ())
    branch = lambda name, op: h.make_graph([h.make_node(op, ["x"], [name])], name, [], [f32(name, 1, 4)])
    chosen = h.make_graph([h.make_node("If", ["flag"], ["z"], then_branch=branch("p", "Neg"), else_branch=branch("n", "Abs"))], "choose", [x, flag], [f32("z", 1, 4)])
    found["if"] = h.make_model(chosen)
    trip = numpy_helper.from_array(np.array(3, dtype=np.int64), "trip")
    body = h.make_graph([h.make_node("Identity", ["go"], ["go_on"]), h.make_node("Add", ["state", "state"], ["next"])], "body",
                        [h.make_tensor_value_info("i", T.INT64, ()), h.make_tensor_value_info("go", T.BOOL, ()), f32("state", 1, 4)], [h.make_tensor_value_info("go_on", T.BOOL, ()), f32("next", 1, 4)])
    found["loop"] = h.make_model(h.make_graph([h.make_node("Loop", ["trip", "", "x"], ["last"], body=body)], "repeat", [x], [f32("last", 1, 4)], [trip]))
    twice = h.make_function("tests.local", "Twice", ["a"], ["b"], [h.make_node("Add", ["a", "a"], ["b"])], [h.make_opsetid("", 17)])
    found["function"] = h.make_model(h.make_graph([h.make_node("Twice", ["x"], ["t"], domain="tests.local")], "calls", [x], [f32("t", 1, 4)]), functions=[twice], opset_imports=[h.make_opsetid("", 17), h.make_opsetid("tests.local", 1)])
    texts = h.make_tensor("words", T.STRING, [2], [b"cat", b"dog"])
    found["strings"] = h.make_model(h.make_graph([h.make_node("Constant", [], ["c"], value=texts)], "text", [], [h.make_tensor_value_info("c", T.STRING, [2])]))
    values = numpy_helper.from_array(np.array([1.5, 2.5], dtype=np.float32), "s")
    sparse = h.make_sparse_tensor(values, numpy_helper.from_array(np.array([0, 3], dtype=np.int64), "s_idx"), [4])
    found["sparse"] = h.make_model(h.make_graph([h.make_node("Add", ["x", "s"], ["o"])], "sparse", [x], [f32("o", 1, 4)], sparse_initializer=[sparse]))
    for dtype in ("FLOAT16", "BFLOAT16", "INT8", "UINT4", "FLOAT8E4M3FN", "DOUBLE", "COMPLEX64"):
        kind = getattr(T, dtype)
        tensor = onnx.TensorProto(data_type=kind, dims=[2], name="k", raw_data=bytes(2 * {"UINT4": 1, "INT8": 1, "FLOAT8E4M3FN": 1, "FLOAT16": 2, "BFLOAT16": 2, "DOUBLE": 8, "COMPLEX64": 8}[dtype])[: 1 if dtype == "UINT4" else None])
        found[f"type_{dtype.lower()}"] = h.make_model(h.make_graph([h.make_node("Identity", ["k"], ["o"])], "types", [], [h.make_tensor_value_info("o", kind, [2])], [tensor]))
    found["metadata"] = h.make_model(dense, producer_name="tests", doc_string="A dense layer. See the model card.", opset_imports=[h.make_opsetid("", 17), h.make_opsetid("ai.onnx.ml", 3)])
    h.set_model_props(found["metadata"], {"author": "tests", "license": "Apache-2.0", "labels": "cat,dog"})
    return found


@writer("onnx", "onnx", "numpy")
def onnx_files(out):
    import onnx

    for name, model in graphs().items():
        onnx.save(model, out.file(f"onnx/{name}.onnx", "onnx", f"onnx helper, {name}"))
    for name, options in (("external_one", {"all_tensors_to_one_file": True, "location": "weights.bin"}), ("external_each", {"all_tensors_to_one_file": False})):
        folder = out.folder(f"onnx/{name}", "onnx", "external data beside the model")
        onnx.save(graphs()["dense"], os.path.join(folder, "model.onnx"), save_as_external_data=True, size_threshold=0, **options)
    onnx.save(graphs()["dense"], out.file("onnx/dense.textproto", "onnx", "text form"), format="textproto")
    onnx.save(graphs()["dense"], out.file("onnx/dense.onnxjson", "onnx", "JSON form"), format="json")


@writer("skl2onnx", "skl2onnx", "scikit-learn", "onnx")
def converted(out):
    import onnx
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import StringTensorType
    from .estimators import estimators

    found, x = estimators(), data()[0].astype("f4")
    for name in ("LogisticRegression", "RandomForestClassifier", "Pipeline", "KMeans", "MLPClassifier", "SVC", "GradientBoostingRegressor", "KNeighborsClassifier", "StandardScaler"):
        onnx.save(to_onnx(found[name], x[:1]), out.file(f"onnx/skl2onnx_{name}.onnx", "onnx", f"skl2onnx of {name}"))
    words = to_onnx(found["OneHotEncoder"], initial_types=[("w", StringTensorType([None, 2]))])
    onnx.save(words, out.file("onnx/skl2onnx_OneHotEncoder.onnx", "onnx", "skl2onnx with strings"))


@writer("torch-onnx", "torch", "onnx", "onnxscript")
def from_torch(out):
    import torch
    from .torch_files import modules, plain_module

    torch.onnx.export(plain_module().eval(), (torch.ones(1, 4),), out.file("onnx/torch_plain.onnx", "onnx", "torch.onnx, one parameter"), dynamo=True, external_data=False, verbose=False)

    for name, example in (("sequential", torch.randn(2, 8)), ("conv", torch.randn(1, 3, 8, 8)), ("transformer", torch.randn(1, 5, 8)), ("lstm", torch.randn(5, 1, 4))):
        torch.onnx.export(modules()[name].eval(), (example,), out.file(f"onnx/torch_{name}.onnx", "onnx", f"torch.onnx of {name}"), dynamo=True, external_data=False, verbose=False)


@writer("onnxruntime", "onnxruntime", "onnx")
def ort_files(out):
    """The optimiser's own output and the flatbuffer form of ONNX Runtime."""
    import onnxruntime as ort

    model = graphs()["dense"]
    model.ir_version = min(model.ir_version, 10)
    for ending in ("onnx", "ort"):
        options = ort.SessionOptions()
        options.optimized_model_filepath = out.file(f"onnx/optimised.{ending}", "onnx", f"ONNX Runtime, optimised, .{ending}")
        ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


@writer("openvino", "openvino", "onnx")
def openvino_files(out):
    import openvino as ov

    for name in ("dense", "if", "loop"):
        folder = out.folder(f"openvino/{name}", "openvino", f"IR converted from ONNX, {name}")
        ov.save_model(ov.convert_model(os.path.join(out.root, f"onnx/{name}.onnx")), os.path.join(folder, "model.xml"))
