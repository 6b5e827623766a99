#!/usr/bin/env python3
"""Reads what `gauntlet convert` wrote with the safetensors library and compares every value.

    python3 tests/interop/convert.py PROGRAM

Needs numpy and safetensors. What torch saw in its files is in testdata/artifact/convert/expected.json; arrays are
compared with numpy itself.
"""
import hashlib, json, pathlib, subprocess, sys, tempfile
import numpy, safetensors

program = sys.argv[1]
folder = pathlib.Path(__file__).resolve().parents[2] / "testdata/artifact/convert"
expected = json.loads((folder / "expected.json").read_text())["files"]
OPTIONS = {"checkpoint.pt": ["--key", "state_dict"], "nested.pt": ["--flatten"]}
checked = 0
with tempfile.TemporaryDirectory() as work:
    for name, tensors in expected.items():
        out = pathlib.Path(work) / (name + ".safetensors")
        subprocess.run([program, "convert", folder / name, "-o", out, *OPTIONS.get(name, [])], check=True, stdout=subprocess.DEVNULL)
        # The library's own reader: bytes by name, type and shape, for types that numpy lacks, too.
        read = dict(safetensors.deserialize(out.read_bytes()))
        if set(read) != set(tensors):
            sys.exit(f"{name}: other names: {sorted(set(read) ^ set(tensors))}")
        for key, there in tensors.items():
            here = read[key]
            got = (here["dtype"], list(here["shape"]), hashlib.sha256(bytes(here["data"])).hexdigest())
            if got != (there["dtype"], there["shape"], there["sha256"]):
                sys.exit(f"{name}: {key}: {got}, expected {there}")
            checked += 1
        if name.endswith(".npz"):
            with numpy.load(folder / name) as arrays, safetensors.safe_open(out, "numpy") as ours:
                for key in arrays.files:
                    if not numpy.array_equal(arrays[key], ours.get_tensor(key)) or arrays[key].shape != ours.get_tensor(key).shape:
                        sys.exit(f"{name}: {key}: other values")
    for name in sorted(folder.glob("refused_*")):
        out = pathlib.Path(work) / "refused"
        done = subprocess.run([program, "convert", name, "-o", out, "--drop-other"], stdout=subprocess.DEVNULL)
        if done.returncode != 1 or out.exists():
            sys.exit(f"{name.name}: exit {done.returncode}")
print(f"{checked} tensors of {len(expected)} files are equal")
