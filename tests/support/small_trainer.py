"""A small classifier of images and its trainer, on one replica or two."""

import keras
import tensorflow as tf

from noisymix_tf.training.trainer import NoisyMix

# Two divides six, four does not: one grid of blocks, and little to compile.
SIDE, K = 6, 3
SPARSE = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
QUIET = {"additive_noise": 0.0, "multiplicative_noise": 0.0}


def classifier(dtype=None, activation=None, units=K, scale=1, l2=0, dropout=0):
    """Takes pixels 0..255 `[B, 6, 6, 3]`; always the same."""
    conv, kernel = (keras.initializers.GlorotUniform(seed) for seed in (1, 2))
    options = {"kernel_initializer": kernel, "dtype": "float32"}
    if l2:
        options["kernel_regularizer"] = keras.regularizers.L2(l2)
    layers = keras.layers
    model = [
        keras.Input((SIDE, SIDE, 3)),
        layers.Rescaling(1 / 127.5, -1.0, name="normalize"),
        layers.Conv2D(4, 3, kernel_initializer=conv, dtype=dtype),
        layers.BatchNormalization(dtype=dtype),
        layers.ReLU(name="relu", dtype=dtype),
        layers.Flatten(dtype=dtype),
        layers.Dropout(dropout, seed=3, dtype=dtype),
        layers.Dense(units, activation, **options),
    ]
    model = keras.Sequential(model)
    model.layers[-1].kernel.assign(scale * model.layers[-1].kernel)
    return model


def trainer(model=None, *, loss=SPARSE, taps=None, jit=None, **options):
    """A compiled `NoisyMix`, which runs eagerly where `jit` is None."""
    taps = taps or ["normalize", "relu"]
    subject = NoisyMix(model or classifier(), taps, **options)
    eager = {"run_eagerly": jit is None, "jit_compile": bool(jit)}
    subject.compile(keras.optimizers.SGD(0.02), loss, **eager)
    return subject


def two_replicas():
    """Two logical CPUs (set up in conftest) as two replicas."""
    reduction = tf.distribute.ReductionToOneDevice()
    devices = ["CPU:0", "CPU:1"]
    return tf.distribute.MirroredStrategy(devices, cross_device_ops=reduction)
