"""Writes the fixtures of this folder with Keras 3.15 and tf_keras 2.21 over TensorFlow 2.21: `make.py keras|tf_keras`."""

import importlib
import os
import sys

os.chdir(os.path.dirname(os.path.abspath(__file__)))
name = sys.argv[1]
k = importlib.import_module(name)


def small():
    inputs = k.Input((3, 2))
    x = k.layers.Bidirectional(k.layers.LSTM(1, return_sequences=True))(inputs)
    x = k.layers.TimeDistributed(k.layers.Dense(1, activation="relu", kernel_regularizer="l2"))(x)
    model = k.Model(inputs, k.layers.Flatten()(x))
    model.compile("sgd", "mse", metrics=["mae"])
    return model


# The code object of the lambda names the file that it is from.
scope = {"k": k}
exec(compile("model = k.Sequential([k.Input((2,)), k.layers.Lambda(lambda x: x * 2 + 1)])", "model.py", "exec"), scope)

if name == "keras":
    small().save("layers.keras")
    small().save("layers.h5")
    scope["model"].save("lambda.keras")
    with open("layers.json", "w") as file:
        file.write(small().to_json())
else:
    small().save("old-layers.h5", include_optimizer=False)
    scope["model"].save("old-lambda.h5")
    inputs = k.Input((3,))
    import tensorflow as tf

    k.Model(inputs, tf.math.add(tf.reshape(inputs, [-1, 3])[:, 1:], 1.0)).save("old-operators.h5")
