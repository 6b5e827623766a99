"""Docstrings that name pickle.load(f) and torch.load(f) are prose."""
import io
import pickle
import pickle as pkl
import shelve
from functools import partial
from pickle import loads as revive

import cloudpickle
import dill
import joblib
import numpy as np
import pandas as pd
import torch
import torch as t


def plain(fh, blob, path):
    pickle.load(fh)  # finds: unsafe-pickle
    pickle.loads(blob)  # finds: unsafe-pickle
    pkl.load(fh)  # finds: unsafe-pickle
    revive(blob)  # finds: unsafe-pickle
    dill.loads(blob)  # finds: unsafe-pickle
    cloudpickle.load(fh)  # finds: unsafe-pickle
    pickle.Unpickler(fh).load()  # finds: unsafe-pickle
    shelve.open(path)  # finds: unsafe-pickle
    joblib.load(path)  # finds: unsafe-joblib
    pd.read_pickle(path)  # finds: unsafe-pandas
    list(map(pickle.loads, blob))  # finds: unsafe-pickle
    pickle.dumps(blob)
    joblib.dump(blob, path)
    pd.read_parquet(path)
    # pickle.load(fh)
    return "pickle.load(fh)"


def spelled(fh, kind):
    getattr(pickle, "lo" + "ad")(fh)  # finds: unsafe-pickle
    __import__("pickle").load(fh)  # finds: unsafe-pickle
    loaders = {"a": pickle.load, "b": print}
    loaders[kind](fh)  # finds: unsafe-pickle
    unpickler = pickle.Unpickler(fh)
    unpickler.load()  # finds: unsafe-pickle
    loads = partial(pickle.loads, encoding="latin1")  # finds: unsafe-pickle
    loads(fh)  # finds: unsafe-pickle


def harmless(pickle, fh, obj):
    pickle.load(fh)
    copy = pkl.loads(pkl.dumps(obj))
    return copy


class Limited(pickle.Unpickler):
    def find_class(self, module, name):
        if module != "collections":
            raise ValueError(name)
        return super().find_class(module, name)


class Open(pickle.Unpickler):
    def find_class(self, module, name):
        return super().find_class(module, name)


def subclasses(blob):
    Limited(io.BytesIO(blob)).load()
    Open(io.BytesIO(blob)).load()  # finds: unsafe-pickle


def arrays(path, flag):
    np.load(path, allow_pickle=True)  # finds: unsafe-numpy
    np.load(path, "r", True)  # finds: unsafe-numpy
    np.load(path, allow_pickle=flag)  # finds: unsafe-numpy
    np.load(path)
    np.load(path, allow_pickle=False)


SAFE = True


def tensors(path, weights_only, **options):
    torch.load(path)  # finds: unsafe-torch
    torch.load(path, weights_only=False)  # finds: unsafe-torch
    torch.load(path, weights_only=weights_only)  # finds: unsafe-torch
    torch.load(path, **options)  # finds: unsafe-torch
    t.load(  # finds: unsafe-torch
        path,
        map_location="cpu",
    )
    torch.load(path, weights_only=True)
    torch.load(path, weights_only=SAFE)
    torch.load(path, **{"weights_only": not False})
    torch.serialization.add_safe_globals([getattr])  # finds: unsafe-torch
    torch.serialization.add_safe_globals([torch.optim.AdamW])
    torch.jit.load(path)


def silenced(fh):
    pickle.load(fh)  # nosec
    pickle.load(fh)  # nosec B301
    pickle.load(fh)  # nosec B105  # finds: unsafe-pickle
    pickle.load(fh)  # noqa: S301
    pickle.load(fh)  # noqa  # finds: unsafe-pickle
    pickle.load(fh)  # gauntlet: ignore[unsafe-pickle] written by this process
    # gauntlet: ignore[source/deserialization/unsafe-pickle] the line below
    pickle.load(fh)
    pickle.load(fh)  # gauntlet: ignore[unsafe-yaml] another rule  # finds: unsafe-pickle, deserialization/unused-suppression
    return None  # gauntlet: ignore[source/deserialization] nothing here  # finds: deserialization/unused-suppression
