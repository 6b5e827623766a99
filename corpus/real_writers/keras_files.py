"""Keras 3 models of many layer kinds, and HDF5 files by h5py alone."""
import os

from . import writer


def keras_models():
    """Small models by name; every one is built from layers of Keras itself."""
    import keras
    from keras import layers

    found = {}
    x = keras.Input((6,), name="x")
    body = layers.Dense(4, "relu", kernel_regularizer=keras.regularizers.L2(0.01), kernel_constraint=keras.constraints.MaxNorm(2), kernel_initializer=keras.initializers.HeNormal(seed=1))(layers.Dropout(0.2)(layers.BatchNormalization()(x)))
    found["functional"] = keras.Model(x, {"kind": layers.Dense(2, "softmax", name="kind")(body), "size": layers.Dense(1, name="size")(layers.Concatenate()([body, x]))})
    found["functional"].compile(keras.optimizers.AdamW(keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)), {"kind": "categorical_crossentropy", "size": keras.losses.Huber()}, metrics={"kind": ["accuracy", keras.metrics.AUC()]})
    found["sequence"] = keras.Sequential([keras.Input((5,)), layers.Embedding(20, 4), layers.Bidirectional(layers.LSTM(3, return_sequences=True)), layers.GRU(2), layers.Dense(1, "sigmoid")])
    found["cells"] = keras.Sequential([keras.Input((5, 3)), layers.RNN([layers.LSTMCell(3), layers.GRUCell(2)], return_sequences=True), layers.TimeDistributed(layers.Dense(2)), layers.SimpleRNN(2)])
    found["images"] = keras.Sequential([keras.Input((8, 8, 3)), layers.Rescaling(1 / 255), layers.RandomFlip(), layers.RandomRotation(0.1), layers.Conv2D(4, 3, activation="relu"), layers.DepthwiseConv2D(3), layers.SeparableConv2D(2, 1), layers.MaxPooling2D(), layers.GlobalAveragePooling2D(), layers.Dense(2)])
    found["nested"] = keras.Sequential([keras.Input((8, 8, 3)), found["images"], layers.Dense(1)])
    y = keras.Input((5, 8))
    attended = layers.LayerNormalization()(layers.Add()([y, layers.MultiHeadAttention(2, 4)(y, y)]))
    found["attention"] = keras.Model(y, layers.Dense(1)(layers.GlobalMaxPooling1D()(layers.Activation("gelu")(attended))))
    a, b, tower = keras.Input((4,), name="left"), keras.Input((4,), name="right"), keras.Sequential([keras.Input((4,)), layers.Dense(3, "tanh")])
    found["siamese"] = keras.Model([a, b], layers.Dot(1, normalize=True)([tower(a), tower(b)]))
    z = keras.Input((3,))
    found["operators"] = keras.Model(z, keras.ops.mean(z * 2 + 1, axis=-1, keepdims=True))
    found["normalisation"] = keras.Sequential([keras.Input((3,)), layers.Normalization(mean=[0, 1, 2], variance=[1, 1, 1]), layers.LeakyReLU(), layers.PReLU(), layers.GaussianNoise(0.1), layers.Reshape((3, 1)), layers.Flatten(), layers.RepeatVector(2), layers.Permute((2, 1)), layers.ZeroPadding1D(1), layers.Masking()])
    found["categories"] = keras.Sequential([keras.Input((2,), dtype="int32"), layers.CategoryEncoding(4, "multi_hot"), layers.Dense(1)])
    return found


@writer("keras3", "keras", "h5py")
def keras_three(out):
    import keras

    for name, model in keras_models().items():
        model.save(out.file(f"keras/{name}.keras", "keras", f"Keras 3, {name}"))
        model.save_weights(out.file(f"keras/{name}.weights.h5", "keras-h5", f"Keras 3 weights, {name}"))
        out.put(f"keras/{name}.json", model.to_json(), "keras-json", f"to_json, {name}")
        try:
            model.save(out.file(f"keras/{name}.h5", "keras-h5", f"Keras 3 in HDF5, {name}"))
        except Exception as error:  # some layers have no legacy form
            print(f"  left out: {name}.h5: {error}")
            out.drop(f"keras/{name}.h5")

    @keras.saving.register_keras_serializable(package="tests")
    class Scale(keras.layers.Layer):
        """A layer that only its own code can rebuild."""

        def call(self, x):
            return 2 * x

    keras.Sequential([keras.Input((2,)), Scale()]).save(out.file("keras/custom_layer.keras", "keras", "custom registered layer: needs its code", label="suspicious"))
    keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda x: x * 2)]).save(out.file("keras/lambda.keras", "keras", "Lambda layer, code inside", label="malicious"))
    unzipped = out.folder("keras/unpacked", "keras", "the members of a .keras file as a folder")
    import zipfile
    functional = os.path.join(out.root, "keras/functional.keras")
    with zipfile.ZipFile(functional) as archive:
        archive.extractall(unzipped)


@writer("h5py", "h5py", "numpy")
def h5py_files(out):
    import h5py
    import numpy as np

    for versions in (("earliest", "v108"), ("v108", "v108"), ("v110", "v110"), ("latest", "latest"), ("earliest", "latest")):
        name = "_".join(versions)
        with h5py.File(out.file(f"hdf5/{name}.h5", "keras-h5", f"HDF5, libver {versions}"), "w", libver=versions) as f:
            weights = f.create_group("model_weights/dense")
            weights.create_dataset("kernel", data=np.arange(12.0, dtype="f4").reshape(3, 4))
            weights.create_dataset("chunked", data=np.arange(400).reshape(20, 20), chunks=(5, 5), compression="gzip", shuffle=True, fletcher32=True)
            weights.create_dataset("growing", shape=(4, 2), maxshape=(None, 2), dtype="i2", chunks=True)
            weights.create_dataset("two_ways", shape=(4, 4), maxshape=(None, None), dtype="f4", chunks=(2, 2))
            weights.create_dataset("scalar", data=3)
            weights.create_dataset("texts", data=["a", "bc"], dtype=h5py.string_dtype())
            weights.create_dataset("record", data=np.zeros(2, dtype=[("x", "f4"), ("n", "S3")]))
            weights.create_dataset("empty", data=h5py.Empty("f4"))
            weights.create_dataset("lzf", data=np.zeros(50), compression="lzf")
            weights.attrs["weight_names"] = np.array([b"kernel", b"bias"])
            weights.attrs["note"] = "variable-length text"
            weights.attrs["bool"] = True
            weights.attrs["enum"] = np.array([1, 0], dtype=h5py.enum_dtype({"NO": 0, "YES": 1}))
            f["soft"] = h5py.SoftLink("/model_weights/dense/kernel")
            f["hard"] = weights["kernel"]
            f["ref"] = np.array([weights.ref], dtype=h5py.ref_dtype)
            f["type"] = np.dtype("f8")
    with h5py.File(out.file("hdf5/ordered_many.h5", "keras-h5", "HDF5, 60 tracked groups"), "w", track_order=True) as f:
        for i in range(60):
            f.create_group(f"layer_{i:02}", track_order=True).attrs.update({f"k{j}": j for j in range(12)})
    with h5py.File(out.file("hdf5/many_old.h5", "keras-h5", "HDF5, 300 links in old groups"), "w") as f:
        for i in range(300):
            f[f"v{i}"] = np.float32(i)
    with h5py.File(out.file("hdf5/compact.h5", "keras-h5", "HDF5, compact data"), "w") as f:
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_layout(h5py.h5d.COMPACT)
        h5py.h5d.create(f.id, b"compact", h5py.h5t.IEEE_F32LE, h5py.h5s.create_simple((4,)), plist)
    with h5py.File(out.file("hdf5/user_block.h5", "keras-h5", "HDF5, user block of 512 bytes"), "w", userblock_size=512) as f:
        f["w"] = np.ones(3)
