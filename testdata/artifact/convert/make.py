#!/usr/bin/env python3
"""Writes the files of this folder with the real libraries: torch, numpy, safetensors.

    python3 make.py

expected.json holds, for each file, what torch or numpy themselves see: element type, shape and SHA-256 of each
tensor's bytes in row-major, little-endian order.
"""
import collections, hashlib, json, pathlib
import numpy, safetensors.numpy, safetensors.torch, torch

here = pathlib.Path(__file__).parent
torch.manual_seed(7)
DTYPES = {
    torch.bool: "BOOL", torch.uint8: "U8", torch.int8: "I8", torch.float8_e5m2: "F8_E5M2", torch.float8_e4m3fn: "F8_E4M3",
    torch.int16: "I16", torch.uint16: "U16", torch.float16: "F16", torch.bfloat16: "BF16", torch.int32: "I32",
    torch.uint32: "U32", torch.float32: "F32", torch.complex64: "C64", torch.float64: "F64", torch.int64: "I64",
    torch.uint64: "U64",
}


def seen(tensor):
    flat = tensor.detach().contiguous().reshape(-1)
    data = flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""
    return {"dtype": DTYPES[tensor.dtype], "shape": list(tensor.shape), "sha256": hashlib.sha256(data).hexdigest()}


base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
strided = collections.OrderedDict(
    plain=base.clone(), transposed=base.t(), columns=base[:, 1:4:2], offset=base[2], expanded=torch.tensor([3.5]).expand(3, 2),
    permuted=torch.arange(60, dtype=torch.int16).reshape(3, 4, 5).permute(2, 0, 1), scalar=torch.tensor(2.5), empty=torch.zeros(0, 3),
    parameter=torch.nn.Parameter(torch.randn(2, 3)), diagonal=torch.arange(9, dtype=torch.int64).reshape(3, 3).diagonal(),
)
dtypes = {str(d).removeprefix("torch."): torch.tensor([0, 1, 3, 2]).to(d) for d in DTYPES}
model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 2))
optimizer = torch.optim.Adam(model.parameters())
model(torch.randn(5, 3)).sum().backward()
optimizer.step()
tied = torch.nn.Module()
tied.one = torch.nn.Linear(4, 4)
tied.two = torch.nn.Linear(4, 4, bias=False)
tied.two.weight = tied.one.weight
files = {
    "strided.pt": (strided, strided), "dtypes.pt": (dtypes, dtypes), "module.pt": (model.state_dict(), model.state_dict()),
    "tied.pt": (tied.state_dict(), tied.state_dict()),
    "checkpoint.pt": ({"epoch": 3, "loss": 0.5, "state_dict": model.state_dict(), "optimizer": optimizer.state_dict()}, model.state_dict()),
    "nested.pt": ({"encoder": model.state_dict(), "decoder": {"deep": {"w": base}}},
                  {**{"encoder." + k: v for k, v in model.state_dict().items()}, "decoder.deep.w": base}),
}
expected = {}
for name, (value, tensors) in files.items():
    torch.save(value, here / name)
    expected[name] = {key: seen(tensor) for key, tensor in tensors.items()}
torch.save(strided, here / "legacy.pth", _use_new_zipfile_serialization=False)
expected["legacy.pth"] = expected["strided.pt"]
# Not convertible, each for a reason of its own.
torch.save(model, here / "refused_module.pt")
torch.save({"q": torch.quantize_per_tensor(torch.randn(4), 0.1, 0, torch.qint8)}, here / "refused_quantized.pt")
torch.save({"c": torch.tensor([1 + 2j]).conj()}, here / "refused_conj.pt")
safetensors.torch.save_file({key: tensor.contiguous() for key, tensor in dtypes.items()}, here / "dtypes.safetensors", metadata={"format": "pt"})
safetensors.torch.save_file(dict(model.state_dict()), here / "module.safetensors", metadata={"format": "pt"})

arrays = {"c": numpy.arange(12, dtype="<f4").reshape(3, 4), "f": numpy.asfortranarray(numpy.arange(12, dtype="<f8").reshape(3, 4)),
          "big": numpy.arange(5, dtype=">i4"), "bool": numpy.array([True, False]), "zero": numpy.zeros((0, 2), "<u2"),
          "scalar": numpy.array(1.5), "complex": numpy.array([1 + 2j], "<c8"), "layer/kernel": numpy.ones((2, 2), "<f2")}
numpy.savez(here / "arrays.npz", **arrays)
numpy.savez_compressed(here / "packed.npz", **arrays)
numpy.save(here / "fortran.npy", arrays["f"])
NUMPY = {"f4": "F32", "f8": "F64", "i4": "I32", "b1": "BOOL", "u2": "U16", "c8": "C64", "f2": "F16"}
rows = {}
for key, array in arrays.items():
    data = numpy.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"))).tobytes()
    rows[key] = {"dtype": NUMPY[array.dtype.str[1:]], "shape": list(array.shape), "sha256": hashlib.sha256(data).hexdigest()}
expected["arrays.npz"] = expected["packed.npz"] = rows
expected["fortran.npy"] = {"array": rows["f"]}
# numpy.array keeps a scalar a scalar, which ascontiguousarray does not.
plain = {k: numpy.array(a.astype(a.dtype.newbyteorder("<")), order="C") for k, a in arrays.items()}
safetensors.numpy.save_file(plain, here / "arrays.safetensors")
(here / "expected.json").write_text(json.dumps({"torch": torch.__version__.split("+")[0], "numpy": numpy.__version__, "files": expected}, indent=1) + "\n")
