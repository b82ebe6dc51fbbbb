"""Two small models to `fit`: a plain Keras one and a NoisyMix around one."""

import keras
import tensorflow as tf

from noisymix_tf.training.trainer import NoisyMix

B, SIDE, K = 8, 8, 3
STEPS = 4


def classifier(*extra):
    """Takes pixels 0..255 `[B, 8, 8, 3]`, gives logits; always the same."""

    def init(seed):
        return keras.initializers.GlorotUniform(seed=seed)

    return keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 3)),
            keras.layers.Rescaling(1 / 127.5, -1.0, name="normalize"),
            *extra,
            keras.layers.Conv2D(4, 3, kernel_initializer=init(1), name="conv"),
            keras.layers.BatchNormalization(name="norm"),
            keras.layers.ReLU(name="relu"),
            keras.layers.Flatten(name="flatten"),
            keras.layers.Dense(K, kernel_initializer=init(2), name="logits"),
        ],
        name="small",
    )


def model(kind, *extra, rate=0.02, optimizer=None, jit_compile=False, **kwargs):
    """A compiled model of `kind`, `"plain"` or `"noisymix"`."""
    subject = classifier(*extra)
    if kind == "noisymix":
        subject = NoisyMix(subject, ["normalize", "relu"], **kwargs)
    subject.compile(
        optimizer=optimizer or keras.optimizers.SGD(rate, momentum=0.9),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        # An object: a name would cost a second trace of the step.
        metrics=[keras.metrics.SparseCategoricalAccuracy("accuracy")],
        jit_compile=jit_compile,
    )
    return subject


def batches(kind, start=0):
    """Endless batches; each is a function of its step alone."""
    views = (3,) if kind == "noisymix" else ()

    def batch(step):
        key = tf.stack([tf.cast(step, tf.int32), 7])
        x = tf.random.stateless_uniform([B, *views, SIDE, SIDE, 3], key, 0, 255)
        y = tf.random.stateless_uniform([B], key, 0, K, tf.int32)
        return x, y

    return tf.data.Dataset.counter(start).map(batch)


def fit(subject, epochs=1, callbacks=(), kind=None, start=0, **kwargs):
    """Trains for epochs of four steps; returns `history.history`."""
    kind = kind or ("noisymix" if isinstance(subject, NoisyMix) else "plain")
    kwargs.setdefault("steps_per_epoch", STEPS)
    return subject.fit(
        batches(kind, start),
        epochs=epochs,
        callbacks=list(callbacks),
        verbose=0,
        shuffle=False,
        **kwargs,
    ).history
