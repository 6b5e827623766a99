import marshal

import jsonpickle
import ruamel.yaml
import skops.io as sio
import yaml
import zmq
from keras.models import load_model
from langchain_community.vectorstores import FAISS
from tensorflow import keras
from yaml import CSafeLoader, Loader


class Strict(yaml.SafeLoader):
    pass


class Loose(yaml.Loader):
    pass


def documents(fh, choice):
    yaml.load(fh)  # finds: unsafe-yaml
    yaml.load(fh, Loader)  # finds: unsafe-yaml
    yaml.load(fh, Loader=yaml.FullLoader)  # finds: unsafe-yaml
    yaml.load(fh, Loader=Loose)  # finds: unsafe-yaml
    yaml.load(fh, Loader=choice)  # finds: unsafe-yaml
    yaml.unsafe_load(fh)  # finds: unsafe-yaml
    yaml.load(fh, Loader=CSafeLoader)
    yaml.load(fh, Loader=Strict)
    yaml.safe_load(fh)
    ruamel.yaml.YAML(typ="unsafe").load(fh)  # finds: unsafe-yaml
    ruamel.yaml.YAML(typ="safe").load(fh)
    ruamel.yaml.YAML().load(fh)
    marshal.loads(fh)  # finds: unsafe-marshal
    jsonpickle.decode(fh)  # finds: unsafe-jsonpickle
    jsonpickle.encode(fh)


def models(path, emb, listed):
    load_model(path, safe_mode=False)  # finds: unsafe-keras
    load_model(path)
    keras.models.load_model(path, safe_mode=True)
    keras.config.enable_unsafe_deserialization()  # finds: unsafe-keras
    sio.load(path, trusted=sio.get_untrusted_types(file=path))  # finds: unsafe-skops
    sio.load(path, trusted=["numpy.dtype"])
    sio.load(path)
    FAISS.load_local(path, emb, allow_dangerous_deserialization=True)  # finds: unsafe-langchain
    FAISS.load_local(path, emb)
    zmq.Context().socket(zmq.PULL).recv_pyobj()  # finds: unsafe-network-pickle
    zmq.Context().socket(zmq.PULL).recv_json()
