"""A small network in float64, and examples, for the tests of the theory."""

import keras
import numpy as np

N, K = 12, 3


def network(outputs=K, activation=None):
    def dense(units, activation, seed, **more):
        more["kernel_initializer"] = init.GlorotNormal(seed)
        more["bias_initializer"] = init.RandomNormal(0, 0.3, seed + 9)
        return keras.layers.Dense(units, activation, dtype="float64", **more)

    init, layers = keras.initializers, [keras.Input([2], dtype="float64")]
    layers += [dense(8, "tanh", 1, name="first"), dense(8, "tanh", 2)]
    return keras.Sequential([*layers, dense(outputs, activation, 3)])


def examples():
    """float64 `[N, 2]` and class numbers `[N]`."""
    rng = np.random.default_rng(0)
    return rng.normal(size=[N, 2]), rng.integers(K, size=N)
