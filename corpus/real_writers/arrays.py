"""numpy, scipy.sparse and pandas: arrays, archives of arrays, and tables."""
import io
import pickle

from . import writer


@writer("numpy", "numpy")
def numpy_files(out):
    import numpy as np

    rng = np.random.default_rng(3)
    arrays = {"f32": rng.normal(size=(8, 5)).astype("<f4"), "f64_fortran": np.asfortranarray(rng.normal(size=(4, 6))), "i8": np.arange(20, dtype="i1"), "bool": np.array([True, False]),
              "c16": rng.normal(size=3) + 1j, "big_endian": np.arange(5, dtype=">i4"), "unicode": np.array(["a", "bcd"]), "bytes": np.array([b"ab", b"c"]), "scalar": np.array(3.5),
              "empty": np.zeros((0, 3)), "datetime": np.array(["2024-01-01", "NaT"], "M8[D]"), "record": np.zeros(3, dtype=[("x", "f4"), ("n", "i4"), ("s", "U3")]),
              "subarray": np.zeros(2, dtype=[("v", "f4", (2, 2))]), "f16": np.ones(4, "f2"), "aligned": np.zeros(2, dtype=np.dtype([("a", "i1"), ("b", "f8")], align=True))}
    for name, array in arrays.items():
        np.save(out.file(f"numpy/{name}.npy", "numpy", f"array, {name}"), array)
        out.put(f"numpy/pickle/{name}.pkl", pickle.dumps(array, 2 + len(name) % 4), "pickle", f"array by pickle, {name}")
    np.save(out.file("numpy/object_numbers.npy", "numpy", "object array of numbers"), np.array([1, 2.5, None], dtype=object))
    np.save(out.file("numpy/object_mixed.npy", "numpy", "object array of lists, strings and arrays"), np.array([[1, 2], "x", np.ones(3), {"k": np.float32(2)}], dtype=object))
    np.save(out.file("numpy/dict_item.npy", "numpy", "state dict as an object scalar"), {"w": arrays["f32"], "step": 3})
    for version in ((1, 0), (2, 0), (3, 0)):
        buffer = io.BytesIO()
        np.lib.format.write_array(buffer, arrays["f32"], version=version)
        out.put(f"numpy/version{version[0]}.npy", buffer.getvalue(), "numpy", f"header version {version[0]}")
    np.savez(out.file("numpy/plain.npz", "numpy", "npz stored"), **{k: v for k, v in arrays.items()})
    np.savez_compressed(out.file("numpy/compressed.npz", "numpy", "npz deflated"), arrays["f32"], arrays["i8"])
    np.savez(out.file("numpy/objects.npz", "numpy", "npz with an object array"), a=arrays["f32"], names=np.array(["x", None], dtype=object))
    np.savez(out.file("numpy/slashes.npz", "numpy", "npz with names of a module tree"), **{"layer/0/w": arrays["f32"], "layer/0/b": arrays["i8"]})
    out.put("numpy/pickle/rng.pkl", pickle.dumps({"rng": np.random.default_rng(1), "old": np.random.RandomState(2)}), "pickle", "random generators")
    out.put("numpy/pickle/scalars.pkl", pickle.dumps([np.float32(1), np.int64(2), np.bool_(True), np.str_("x"), np.datetime64("2024-01-01"), np.dtype("f4"), np.float64]), "pickle", "scalars and types")
    out.put("numpy/pickle/matrix.pkl", pickle.dumps([np.ma.masked_array([1, 2], [0, 1]), np.asmatrix(np.eye(2)), np.poly1d([1, 2]), np.rec.array([(1, 2.0)])]), "pickle", "array subclasses")


@writer("scipy", "scipy", "numpy", "joblib")
def scipy_files(out):
    import joblib
    import numpy as np
    import scipy.sparse as sp
    from scipy import interpolate, io as sio, spatial, stats

    m = sp.random(20, 20, 0.1, random_state=1)
    for kind in ("csr", "csc", "coo", "bsr", "dia", "lil", "dok"):
        out.put(f"scipy/{kind}.pkl", pickle.dumps(m.asformat(kind)), "pickle", f"sparse {kind} matrix")
    out.put("scipy/csr_array.pkl", pickle.dumps(sp.csr_array(m)), "pickle", "sparse array")
    for kind in ("csr", "coo"):
        sp.save_npz(out.file(f"scipy/{kind}.npz", "numpy", f"sparse.save_npz {kind}"), m.asformat(kind))
    joblib.dump(m.tocsr(), out.file("scipy/csr.joblib", "joblib", "sparse matrix by joblib"))
    x = np.linspace(0, 1, 20)
    tools = {"interp1d": interpolate.interp1d(x, x**2), "spline": interpolate.CubicSpline(x, x**3), "kdtree": spatial.cKDTree(np.c_[x, x]), "norm": stats.norm(1, 2), "kde": stats.gaussian_kde(x), "rotation": spatial.transform.Rotation.identity(), "delaunay_points": spatial.ConvexHull(np.random.default_rng(1).normal(size=(9, 2))).points}
    for name, tool in tools.items():
        out.put(f"scipy/{name}.pkl", pickle.dumps(tool), "pickle", f"scipy {name}")
    sio.savemat(out.file("scipy/matlab.mat", "raw", "MATLAB file"), {"w": x})


@writer("pandas", "pandas", "numpy")
def pandas_files(out):
    import numpy as np
    import pandas as pd

    frame = pd.DataFrame({"n": [1, 2, 3], "f": [0.5, np.nan, 2], "s": ["a", "b", None], "c": pd.Categorical(["x", "y", "x"]), "t": pd.date_range("2024-01-01", periods=3, tz="UTC"),
                          "d": pd.to_timedelta([1, 2, 3], unit="h"), "i": pd.array([1, None, 3], dtype="Int64"), "b": pd.array([True, None, False], dtype="boolean"), "o": [[1], {"k": 2}, (3,)]})
    things = {"frame": frame, "series": frame["f"], "categorical": frame["c"], "timestamp": [pd.Timestamp("2024-05-01", tz="Europe/Paris"), pd.NaT, pd.NA, pd.Timedelta("1D"), pd.Interval(0, 1), pd.Period("2024Q1")],
              "multiindex": frame.set_index(["s", "n"]), "intervals": pd.cut(pd.Series(range(9)), 3), "periods": pd.period_range("2024-01", periods=3, freq="M"), "sparse": pd.Series(pd.arrays.SparseArray([0, 0, 1])),
              "index": [pd.RangeIndex(4), pd.Index(["a"]), pd.DatetimeIndex(["2024-01-01"]), pd.TimedeltaIndex(["1D"])], "grouper_result": frame.groupby("c", observed=True)["n"].sum(), "offset": [pd.offsets.BusinessDay(), pd.offsets.MonthEnd(), pd.DateOffset(months=2)]}
    for i, (name, thing) in enumerate(things.items()):
        for protocol in (2 + i % 4, 5):
            out.put(f"pandas/{name}.p{protocol}.pkl", pickle.dumps(thing, protocol), "pickle", f"pandas {name}, protocol {protocol}")
    for how in ("gzip", "bz2", "xz", "zip") + (("tar",) if pd.__version__ >= "1.5" else ()):
        frame.to_pickle(out.file(f"pandas/frame.pkl.{how}", "archive", f"to_pickle(compression={how})"), compression=how)
    try:
        import zstandard  # noqa: F401
        frame.to_pickle(out.file("pandas/frame.pkl.zst", "archive", "to_pickle(compression=zstd)"), compression="zstd")
    except ImportError:
        pass


@writer("standard", )
def standard_library(out):
    """Plain objects of the standard library, as side files of models often hold."""
    import array
    import collections
    import datetime
    import decimal
    import enum  # noqa: F401
    import fractions
    import functools
    import ipaddress
    import operator
    import pathlib
    import random
    import re
    import types
    import uuid
    import zlib

    shared = [1]
    point = {"label2id": {"yes": 1, "no": 0}, "classes": ("a", "b"), "vocab": collections.OrderedDict(a=1), "counts": collections.Counter("hello"), "queue": collections.deque([1], maxlen=3), "default": collections.defaultdict(list, a=[1]),
             "chain": collections.ChainMap({"a": 1}), "date": datetime.date(2024, 1, 2), "time": datetime.datetime(2024, 1, 2, 3, tzinfo=datetime.timezone.utc), "delta": datetime.timedelta(1), "path": pathlib.PurePosixPath("a/b"), "uuid": uuid.UUID(int=5),
             "decimal": decimal.Decimal("1.5"), "fraction": fractions.Fraction(1, 3), "pattern": re.compile(r"\w+", re.I), "complex": 1j, "bytes": b"\x00\x01", "bytearray": bytearray(b"xy"), "set": {1, 2}, "frozenset": frozenset([1]), "range": range(3), "slice": slice(1, 2),
             "namespace": types.SimpleNamespace(lr=0.1), "array": array.array("f", [1, 2]), "types": [int, str, list, len], "getter": operator.itemgetter(1), "partial": functools.partial(int, base=2), "random": random.Random(1).getstate(),
             "ip": ipaddress.ip_address("10.0.0.1"), "big": 2**70, "ellipsis": ..., "none": None, "shared": [shared, shared], "text": "os.system is only a word here"}
    for protocol in range(6):
        out.put(f"standard/mixed.p{protocol}.pkl", pickle.dumps(point, protocol), "pickle", f"standard library values, protocol {protocol}")
        out.put(f"standard/vocabulary.p{protocol}.pkl", pickle.dumps({f"word{i}": i for i in range(2000)}, protocol), "pickle", f"vocabulary, protocol {protocol}")
        out.put(f"standard/python.p{protocol}.pkl", pickle._dumps(point, protocol), "pickle", f"the pickler in Python, protocol {protocol}")
    out.put("standard/packed.pkl.z", zlib.compress(pickle.dumps(point)), "archive", "zlib around a pickle")
    loop = []
    loop.append(loop)
    out.put("standard/recursive.pkl", pickle.dumps({"loop": loop, "self": (loop,)}), "pickle", "recursive list")
    buffers = []
    out.put("standard/oob.pkl", pickle.dumps([pickle.PickleBuffer(b"abc" * 10)], 5, buffer_callback=buffers.append), "pickle", "out-of-band buffers")
