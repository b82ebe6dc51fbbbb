"""Networks and data for which the formulas are shown."""

import keras
import numpy as np
import tensorflow as tf

# Clouds so far apart that a linear network of any training tells them apart.
_DISTANCE = 3.0
_SPREAD = 0.4
# Few, so that no probability is near zero or one, where nothing bends.
_STEPS = 40
_RATE = 0.01


def smooth(x, y, num_classes, seed=0, width=16):
    """A tanh network in float64, trained on all of the data.

    Args:
        x: Examples `[N, D]`.
        y: Class numbers `[N]`.
        num_classes: K.
        seed: Seed of the weights.
        width: Units of its two hidden layers.

    Returns:
        Keras model from `[B, D]` to logits `[B, K]`.
    """
    return _trained(
        [
            _dense(width, "tanh", seed),
            _dense(width, "tanh", seed + 1),
            _dense(num_classes, None, seed + 2),
        ],
        x,
        y,
    )


def piecewise_linear(x, y, seed=0, width=16):
    """A ReLU network without biases in float64, trained on two classes."""
    return _trained(
        [
            _dense(width, "relu", seed, use_bias=False),
            _dense(width, "relu", seed + 1, use_bias=False),
            _dense(2, None, seed + 2, use_bias=False),
        ],
        x,
        y,
    )


def clouds(num, seed=0):
    """Two round clouds that are far apart, of mean zero.

    Args:
        num: Number of points, N.
        seed: Seed of `np.random.default_rng`.

    Returns:
        `(x, y)`, float64 `[N, 2]` and int `[N]`.
    """
    y = np.arange(num) % 2
    rng = np.random.default_rng(seed)
    x = _SPREAD * rng.normal(size=[num, 2])
    x[:, 0] += _DISTANCE * (y - 0.5)
    return x - x.mean(axis=0), y


def _dense(units, activation, seed, **more):
    return keras.layers.Dense(
        units,
        activation,
        kernel_initializer=keras.initializers.GlorotNormal(seed),
        dtype="float64",
        **more,
    )


def _trained(layers, x, y):
    inputs = keras.Input(x.shape[1:], dtype="float64")
    model = keras.Sequential([inputs, *layers])
    model.compile(
        keras.optimizers.Adam(_RATE),
        keras.losses.SparseCategoricalCrossentropy(
            from_logits=True, dtype="float64"
        ),
        steps_per_execution=_STEPS,
        jit_compile=False,
    )
    batch = tf.data.Dataset.from_tensors((x, y)).repeat(_STEPS)
    model.fit(batch, verbose=0, shuffle=False)
    return model
