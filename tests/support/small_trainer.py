"""A small classifier of images and its trainer."""

import keras

from support.fit_models import compiled

# Two divides six, four does not: one grid of blocks, and little to compile.
SIDE, K = 6, 3


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


def trainer(model=None, taps=("normalize", "relu"), jit=None, **options):
    """A compiled `NoisyMix`, which runs eagerly where `jit` is None."""
    options |= {"run_eagerly": jit is None, "jit_compile": bool(jit)}
    options["optimizer"] = keras.optimizers.SGD(0.02)
    return compiled("noisymix", model or classifier(), taps, **options)
