"""TensorFlow: SavedModel, graphs, checkpoints, TFLite and record files."""
import os

from . import writer

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")


@writer("tensorflow-savedmodel", "tensorflow|tensorflow-cpu")
def saved_models(out):
    import tensorflow as tf

    class Plain(tf.Module):
        """A dense layer with a signature."""

        def __init__(self):
            super().__init__()
            self.w, self.b = tf.Variable(tf.random.normal((4, 2), seed=1), name="w"), tf.Variable(tf.zeros(2), name="b")

        @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32)])
        def __call__(self, x):
            return {"out": tf.nn.softmax(x @ self.w + self.b)}

    class Flow(tf.Module):
        """Loops, branches and text operators."""

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string), tf.TensorSpec([], tf.int32)])
        def __call__(self, text, steps):
            total = tf.constant(0)
            while total < steps:
                total += 1
            tf.debugging.assert_greater(total, -1)
            words = tf.strings.split(tf.strings.regex_replace(tf.strings.lower(text), "[^a-z ]", ""))
            return {"words": words.to_tensor(), "total": tf.cond(total > 2, lambda: total, lambda: -total), "parsed": tf.io.decode_raw(text[0], tf.uint8)}

    class Lookup(tf.Module):
        """Vocabulary from an asset file, as text models have it."""

        def __init__(self, path):
            super().__init__()
            start = tf.lookup.TextFileInitializer(path, tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER)
            self.table = tf.lookup.StaticVocabularyTable(start, 2)
            self.small = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(["a", "b"], [0, 1]), -1)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def __call__(self, words):
            return {"ids": self.table.lookup(words), "small": self.small.lookup(words)}

    class Images(tf.Module):
        """Decodes images from bytes, as served classifiers do."""

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def __call__(self, encoded):
            shape = tf.TensorSpec([8, 8, 3], tf.float32)
            return {"images": tf.map_fn(lambda b: tf.image.resize(tf.cast(tf.io.decode_jpeg(b, channels=3), tf.float32), (8, 8)), encoded, fn_output_signature=shape)}

    class Examples(tf.Module):
        """Parses tf.Example records, as served tabular models do."""

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def __call__(self, records):
            row = tf.io.parse_example(records, {"x": tf.io.FixedLenFeature([3], tf.float32), "s": tf.io.VarLenFeature(tf.string)})
            return {"x": row["x"], "s": tf.sparse.to_dense(row["s"])}

    os.chdir(out.folder("savedmodel/vocabulary_source", "raw", "vocabulary text"))  # the path of an asset ends up in the graph
    vocabulary = "vocab.txt"
    with open(vocabulary, "w") as f:
        f.write("hello\nworld\n")
    for name, module in (("plain", Plain()), ("flow", Flow()), ("lookup", Lookup(vocabulary)), ("images", Images()), ("examples", Examples())):
        tf.saved_model.save(module, out.folder(f"savedmodel/{name}", "savedmodel", f"tf.Module, {name}"), signatures=module.__call__)
    stepping = Plain()
    tf.train.Checkpoint(model=stepping, step=tf.Variable(3)).save(os.path.join(out.folder("tf-checkpoint/v2", "tf-graph", "tf.train.Checkpoint"), "ckpt"))
    concrete = stepping.__call__.get_concrete_function()
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2
    frozen = convert_variables_to_constants_v2(concrete).graph.as_graph_def()
    out.put("tf-graph/frozen_v2.pb", frozen.SerializeToString(), "tf-graph", "frozen GraphDef of a function")
    out.put("tf-graph/frozen_v2.pbtxt", str(frozen), "tf-graph", "the same as text")
    with tf.io.TFRecordWriter(out.file("tf-graph/rows.tfrecord", "raw", "TFRecord with examples")) as record:
        record.write(tf.train.Example(features=tf.train.Features(feature={"x": tf.train.Feature(float_list=tf.train.FloatList(value=[1, 2, 3]))})).SerializeToString())


@writer("tensorflow-graph1", "tensorflow|tensorflow-cpu")
def version_one(out):
    """Graph mode of TensorFlow 1: MetaGraph, checkpoints, SavedModel builder."""
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, (None, 4), "x")
        w = v1.get_variable("w", (4, 2), initializer=v1.random_normal_initializer(seed=1))
        y = tf.identity(tf.nn.relu(x @ w), "y")
        loss = tf.reduce_mean(y)
        v1.train.AdamOptimizer(0.1).minimize(loss)
        session.run(v1.global_variables_initializer())
        folder = out.folder("tf-checkpoint/v1", "tf-graph", "tf.compat.v1 Saver: MetaGraph, index and data")
        v1.train.Saver(save_relative_paths=True).save(session, os.path.join(folder, "model.ckpt"), global_step=7)
        v1.train.write_graph(session.graph, folder, "graph.pbtxt")
        v1.saved_model.simple_save(session, os.path.join(out.folder("savedmodel/v1", "savedmodel", "simple_save of version 1"), "1"), {"x": x}, {"y": y})
        frozen = v1.graph_util.convert_variables_to_constants(session, session.graph.as_graph_def(), ["y"])
        out.put("tf-graph/frozen_v1.pb", frozen.SerializeToString(), "tf-graph", "frozen GraphDef of version 1")


@writer("tflite", "tensorflow|tensorflow-cpu")
def lite(out):
    import numpy as np
    import tensorflow as tf

    class Dense(tf.Module):
        def __init__(self):
            super().__init__()
            self.w = tf.Variable(tf.random.normal((4, 3), seed=2))

        @tf.function(input_signature=[tf.TensorSpec([1, 4], tf.float32)])
        def run(self, x):
            return tf.nn.relu(x @ self.w)

        @tf.function(input_signature=[tf.TensorSpec([1, 4], tf.float32)])
        def loop(self, x):
            return tf.while_loop(lambda i, a: i < 3, lambda i, a: (i + 1, tf.where(tf.reduce_sum(a) > 0, a, -a)), (0, x))[1]

        @tf.function(input_signature=[tf.TensorSpec([1, 4], tf.float32)])
        def branch(self, x):
            return tf.cond(tf.reduce_sum(x) > 0, lambda: x @ self.w, lambda: x @ -self.w)

        @tf.function(input_signature=[tf.TensorSpec([1, 4], tf.float32)])
        def flex(self, x):
            return tf.signal.fft(tf.cast(x, tf.complex64))

    module = Dense()

    def convert(name, functions, note, **options):
        converter = tf.lite.TFLiteConverter.from_concrete_functions([f.get_concrete_function() for f in functions], module)
        for option, value in options.items():
            setattr(converter, option, value)
        try:
            out.put(f"tflite/{name}.tflite", converter.convert(), "tflite", note)
        except Exception as error:  # older converters know less
            print(f"  left out: tflite/{name}: {str(error).splitlines()[0]}")

    def samples():
        for _ in range(4):
            yield [np.ones((1, 4), np.float32)]

    convert("dense", [module.run], "plain float model")
    convert("loop", [module.loop], "control flow: while")
    convert("branch", [module.branch], "control flow: if")
    convert("signatures", [module.run, module.branch], "two signatures")
    convert("dynamic_range", [module.run], "weights quantised", optimizations=[tf.lite.Optimize.DEFAULT])
    convert("float16", [module.run], "float16 weights", optimizations=[tf.lite.Optimize.DEFAULT], target_spec=tf.lite.TargetSpec(supported_types=[tf.float16]))
    convert("int8", [module.run], "full integer quantisation", optimizations=[tf.lite.Optimize.DEFAULT], representative_dataset=samples)
    convert("flex", [module.flex], "with select TensorFlow operators", target_spec=tf.lite.TargetSpec(supported_ops=[tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]))
    net = tf.keras.Sequential([tf.keras.layers.Input((8, 8, 1)), tf.keras.layers.Conv2D(2, 3), tf.keras.layers.BatchNormalization(), tf.keras.layers.GlobalAveragePooling2D(), tf.keras.layers.Dense(2)])
    out.put("tflite/conv_keras.tflite", tf.lite.TFLiteConverter.from_keras_model(net).convert(), "tflite", "from a Keras model")


@writer("keras-tensorflow", "tensorflow|tensorflow-cpu", "keras")
def keras_exports(out):
    """Keras 3 with the TensorFlow back end: exports and preprocessing with vocabularies."""
    import keras
    import tensorflow as tf

    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(keras.layers.Dense(4, "relu")(inputs)))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.export(out.folder("savedmodel/keras3_export", "savedmodel", "Keras 3 model.export"), verbose=False)
    text = keras.layers.TextVectorization(max_tokens=20, output_sequence_length=4)
    text.adapt(["a small text", "another text"])
    strings = keras.Input((1,), dtype="string")
    words = keras.Model(strings, keras.layers.Dense(1)(keras.layers.GlobalAveragePooling1D()(keras.layers.Embedding(20, 3)(text(strings)))))
    words.save(out.file("keras/text_vectorization.keras", "keras", "TextVectorization with vocabulary"))
    lookup = keras.layers.StringLookup(vocabulary=["a", "b"])
    keras.Model(strings, lookup(strings)).save(out.file("keras/string_lookup.keras", "keras", "StringLookup"))
    keras.Model(inputs, keras.layers.Discretization(bin_boundaries=[0.0, 1.0])(inputs)).save(out.file("keras/discretization.keras", "keras", "Discretization"))
    words.export(out.folder("savedmodel/keras3_text", "savedmodel", "Keras 3 export with a vocabulary"), verbose=False)
    tf.saved_model.save(model, out.folder("savedmodel/keras3_saved", "savedmodel", "tf.saved_model.save of a Keras 3 model"))


@writer("keras2", "tf_keras|keras", "tensorflow|tensorflow-cpu")
def keras_two(out):
    """Keras 2, by way of tf_keras or an old tensorflow: HDF5, SavedModel with metadata, .keras."""
    try:
        import tf_keras as keras
    except ImportError:
        from tensorflow import keras
    if keras.__version__ >= "3":
        print("  left out: this is Keras 3")
        return
    versioned = keras.__version__ >= "2.13"  # knows .keras files

    layers = keras.layers
    inputs = keras.Input((6,))
    body = layers.Dense(4, "relu", kernel_regularizer="l2")(layers.Dropout(0.2)(layers.BatchNormalization()(inputs)))
    model = keras.Model(inputs, [layers.Dense(2, "softmax", name="kind")(body), layers.Dense(1, name="size")(layers.Concatenate()([body, inputs]))])
    model.compile(keras.optimizers.Adam(0.01), {"kind": "categorical_crossentropy", "size": "mse"})
    sequence = keras.Sequential([keras.Input((5,)), layers.Embedding(20, 4), layers.Bidirectional(layers.LSTM(3)), layers.Dense(1, "sigmoid")])
    images = keras.Sequential([keras.Input((8, 8, 3)), layers.Rescaling(1 / 255), layers.RandomFlip(), layers.Conv2D(4, 3, activation="relu"), layers.MaxPooling2D(), layers.Flatten(), layers.Dense(2)])
    nested = keras.Sequential([keras.Input((8, 8, 3)), images, layers.Dense(1)])
    for name, net in (("functional", model), ("sequence", sequence), ("images", images), ("nested", nested)):
        net.save(out.file(f"keras2/{name}.h5", "keras-h5", f"Keras 2 HDF5, {name}"))
        if versioned:
            net.save(out.file(f"keras2/{name}.keras", "keras", f"Keras 2 .keras, {name}"))
        net.save_weights(out.file(f"keras2/{name}.weights.h5", "keras-h5", f"Keras 2 weights, {name}"))
        try:
            net.save(out.folder(f"savedmodel/keras2_{name}", "savedmodel", f"Keras 2 SavedModel, {name}"), save_format="tf")
        except ValueError as error:  # 2.8 on a nested or recurrent model
            print(f"  left out: savedmodel/keras2_{name}: {error}")
            out.drop(f"savedmodel/keras2_{name}")
        out.put(f"keras2/{name}.json", net.to_json(), "keras-json", f"to_json, {name}")
    model.save_weights(os.path.join(out.folder("tf-checkpoint/keras2", "tf-graph", "Keras 2 weights as a checkpoint"), "weights"))
    double = keras.Sequential([keras.Input((2,)), layers.Lambda(lambda x: x * 2), layers.Dense(1)])
    double.save(out.file("keras2/lambda.h5", "keras-h5", "Lambda layer, code inside", label="malicious"))
    if versioned:
        double.save(out.file("keras2/lambda.keras", "keras", "Lambda layer, code inside", label="malicious"))


@writer("tensorflowjs", "tensorflowjs", "tf_keras")
def browser(out):
    """TensorFlow.js layers models: model.json and weight shards."""
    import sys
    import types

    for name in ("tensorflow_decision_forests", "tensorflow_hub", "tensorflowjs.converters.jax_conversion"):  # imported by the converter, not needed for Keras models
        sys.modules.setdefault(name, types.ModuleType(name)).convert_jax = None
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    import tf_keras as keras
    from tensorflowjs.converters.converter import dispatch_keras_h5_to_tfjs_layers_model_conversion as convert
    import tempfile

    net = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3, activation="relu"), keras.layers.Flatten(), keras.layers.Dense(2)])
    with tempfile.TemporaryDirectory() as work:
        path = os.path.join(work, "net.h5")
        net.save(path)
        convert(path, out.folder("tfjs/layers", "tfjs", "layers model from Keras 2 HDF5"))
