"""A small network in float64, and examples, for the tests of the theory."""

import keras
import numpy as np

N, K = 12, 3


def network(outputs=K, activation=None):
    def dense(units, activation, seed, **more):
        return keras.layers.Dense(
            units,
            activation,
            kernel_initializer=keras.initializers.GlorotNormal(seed),
            bias_initializer=keras.initializers.RandomNormal(0, 0.3, seed + 9),
            dtype="float64",
            **more,
        )

    return keras.Sequential(
        [
            keras.Input([2], dtype="float64"),
            dense(8, "tanh", 1, name="first"),
            dense(8, "tanh", 2),
            dense(outputs, activation, 3),
        ]
    )


def examples():
    """float64 `[N, 2]` and class numbers `[N]`."""
    rng = np.random.default_rng(0)
    return rng.normal(size=[N, 2]), rng.integers(K, size=N)
