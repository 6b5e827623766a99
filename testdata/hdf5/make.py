"""Writes the fixtures of this folder with h5py (3.16, HDF5 2.0)."""

import os

import h5py
import numpy as np

os.chdir(os.path.dirname(os.path.abspath(__file__)))
for libver in ("earliest", "latest"):
    def new(name, **options):
        return h5py.File(f"{name}-{libver}.h5", "w", libver=libver, **options)

    with new("plain") as f:
        f.attrs["text"] = '{"a":1}'
        f.attrs["fixed"] = np.bytes_(b"xx")
        f.attrs["numbers"] = np.arange(5)
        f.attrs["names"] = np.array([b"dense", b"lstm"])
        f.attrs["variable"] = ["a", "bb", "ccc"]
        f.attrs["opaque"] = np.void(b"\x80\x04N.")
        f.attrs["bool"] = True
        f.attrs["empty"] = h5py.Empty("f")
        g = f.create_group("g/h/i")
        g["w"] = np.zeros((3, 4), "f4")
        f["hard"] = f["g"]
        g["loop"] = f["/"]
        g["soft"] = h5py.SoftLink("/x")
        g["ext"] = h5py.ExternalLink("other.h5", "/y")
        f["texts"] = ["x", "yy"]
        f["type"] = np.dtype("f8")
        f.create_dataset("named", shape=(2,), dtype=f["type"])
        f["record"] = np.zeros(3, [("a", "i4"), ("b", "S5"), ("c", "f8", (2,))])
        f["reference"] = np.array([f["g"].ref], dtype=h5py.ref_dtype)
        f["bytes"] = np.frombuffer(b"payload!", dtype="u1")
        f["flags"] = np.array([True, False])

    with new("chunks") as f:
        f.create_dataset("fixed", data=np.arange(300, dtype="u1"), chunks=(10,))
        f.create_dataset("filtered", data=np.arange(300).reshape(10, 30), chunks=(3, 7), compression="gzip", shuffle=True, fletcher32=True)
        f.create_dataset("one", data=np.arange(10), chunks=(10,))
        if libver == "latest":
            f.create_dataset("growing", data=np.arange(300, dtype="u1"), chunks=(4,), maxshape=(None,))
            f.create_dataset("growing_filtered", data=np.arange(60), chunks=(4,), maxshape=(None,), compression="lzf")
            f.create_dataset("free", data=np.arange(300, dtype="u1").reshape(10, 30), chunks=(2, 5), maxshape=(None, None))
            f.create_dataset("paged", data=np.arange(1100, dtype="u1"), chunks=(1,))
            f.create_dataset("sparse", shape=(100_000,), dtype="u1", chunks=(4,), maxshape=(None,))
            f["sparse"][90_000] = 1
            f["sparse"][0] = 1
        f.create_dataset("texts", data=["a", "bb"] * 10, chunks=(7,))

    with new("dense") as f:
        few = f.create_group("few")
        for i in range(12):
            few.create_group(f"g{i}")
        many = f.create_group("many")
        for i in range(1010 if libver == "latest" else 40):
            many[f"n{i}"] = h5py.SoftLink(f"/{i}")
        attributes = f.create_group("attributes")
        for i in range(12):
            attributes.attrs[f"a{i}"] = np.bytes_(b"v%d" % i)
        ordered = f.create_group("ordered", track_order=True)
        for i in range(12):
            ordered.attrs[f"a{i}"] = i
        if libver == "latest":
            f.attrs["big"] = np.bytes_(b"B" * 65_600)
        f.attrs["text"] = "V" * 5_000

    with new("block", userblock_size=2048) as f:
        f.attrs["a"] = "behind a user block"
        f["d"] = np.arange(7)

    with new("outside") as f:
        f.create_dataset("external", shape=(100,), dtype="u1", external=[("/etc/passwd", 0, 50), ("other.bin", 5, 50)])
        layout = h5py.VirtualLayout(shape=(4, 100), dtype="i4")
        for i in range(4):
            layout[i] = h5py.VirtualSource(f"part{i}.h5", "data", shape=(100,))
        f.create_virtual_dataset("virtual", layout)
        f.create_dataset("claimed", shape=(1_000_000,) * 3, dtype="f4", chunks=(10, 10, 10))
        f.create_dataset("plugin", data=np.arange(100), chunks=(10,), compression="lzf")

    with new("deleted") as f:
        f["kept"] = np.arange(10)
        f["gone"] = np.frombuffer(b"\x80\x04cos\nsystem\n(S'echo canary'\ntR." + bytes(5000), "u1")
        f["last"] = np.arange(10)
        f.flush()
        del f["gone"]
