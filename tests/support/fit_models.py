"""Small models to `fit`: plain Keras ones, and NoisyMix around them."""

import keras
import tensorflow as tf

from noisymix_tf.mixing import ManifoldMixing, MixPlan
from noisymix_tf.training.trainer import NoisyMix

B, SIDE, K = 8, 8, 3
STEPS = 4
NO_NOISE = {"additive_noise": 0.0, "multiplicative_noise": 0.0}
QUIET = {"mixing": "none", **NO_NOISE}
SPARSE = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


class Fixed(ManifoldMixing):
    def __init__(self, tap, lam, permutation):
        super().__init__()
        self.fixed = tap, lam, permutation

    def plan(self, seed, batch_size):
        dtypes = (tf.int32, tf.float32, tf.int32)
        return MixPlan(*map(tf.constant, self.fixed, dtypes))


def classifier(*extra):
    """Takes pixels 0..255 `[B, 8, 8, 3]`, gives logits; always the same."""
    init = keras.initializers.GlorotUniform
    stack = [
        keras.Input((SIDE, SIDE, 3)),
        keras.layers.Rescaling(1 / 127.5, -1.0, name="normalize"),
        *extra,
        keras.layers.Conv2D(4, 3, kernel_initializer=init(1), name="conv"),
        keras.layers.BatchNormalization(name="norm"),
        keras.layers.ReLU(name="relu"),
        keras.layers.Flatten(name="flatten"),
        keras.layers.Dense(K, kernel_initializer=init(2), name="logits"),
    ]
    return keras.Sequential(stack, name="small")


class Subclassed(keras.Model):
    """Has no graph of layers; `seen` is what it was given in eager calls."""

    def __init__(self):
        super().__init__()
        self.dense, self.seen = keras.layers.Dense(K), []

    def call(self, x, training=False):
        if tf.executing_eagerly():
            self.seen.append(x)
        return self.dense(keras.ops.mean(x / 255, axis=(1, 2)))


def model(kind, *extra, **options):
    """A compiled model of `kind`, `"plain"` or `"noisymix"`."""
    return compiled(kind, classifier(*extra), **options)


def compiled(kind, subject, taps=("normalize", "relu"), rate=0.02, **options):
    """Any classifier, compiled as it is or in a NoisyMix."""
    given = {"loss": SPARSE, "optimizer": None, "jit_compile": False}
    for name in {*given, "run_eagerly"} & options.keys():
        given[name] = options.pop(name)
    if given["optimizer"] is None:
        given["optimizer"] = keras.optimizers.SGD(rate, momentum=0.9)
    if given["loss"] is SPARSE:
        # An object: a name would cost a second trace of the step.
        given["metrics"] = [keras.metrics.SparseCategoricalAccuracy("accuracy")]
    if kind == "noisymix":
        subject = NoisyMix(subject, taps, **options)
    subject.compile(**given)
    return subject


def step(trainer, *data):
    """One eager step on a batch; returns its logs, floats."""
    trainer.reset_metrics()
    logs = trainer.train_step([tf.convert_to_tensor(part) for part in data])
    return {name: float(value) for name, value in logs.items()}


def batches(kind, start=0):
    """Endless batches; each is a function of its step alone."""
    views = (3,) if kind == "noisymix" else ()

    def batch(step):
        key = tf.stack([tf.cast(step, tf.int32), 7])
        x = tf.random.stateless_uniform([B, *views, SIDE, SIDE, 3], key, 0, 255)
        return x, tf.random.stateless_uniform([B], key, 0, K, tf.int32)

    return tf.data.Dataset.counter(start).map(batch)


def fit(subject, epochs=1, callbacks=(), kind=None, start=0, **kwargs):
    """Trains for epochs of four steps; returns `history.history`."""
    kind = kind or ("noisymix" if isinstance(subject, NoisyMix) else "plain")
    kwargs = {"steps_per_epoch": STEPS, "verbose": 0, **kwargs}
    kwargs |= {"epochs": epochs, "callbacks": list(callbacks)}
    return subject.fit(batches(kind, start), shuffle=False, **kwargs).history


def two_replicas():
    """On this machine, and without collectives: a process keeps their keys."""
    ops = tf.distribute.ReductionToOneDevice()
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"], ops)


def batch():
    return next(iter(batches("noisymix")))
