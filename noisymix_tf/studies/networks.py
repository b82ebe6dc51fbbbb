"""Small networks of dense layers, and how they are trained."""

import keras
import numpy as np
import tensorflow as tf

from noisymix_tf.errors import UsageError
from noisymix_tf.training.trainer import NoisyMix

# Steps between two returns to Python, which cost more than the steps.
_STEPS_PER_EXECUTION = 50
# Few, so that no probability is near zero or one, where nothing bends.
_FITTING_STEPS = 40
_FITTING_RATE = 0.01


def fitted(x, y, activation, *, num_classes=2, seed=0, use_bias=True):
    """A network of two hidden layers in float64, trained on all of the data.

    It takes x `[N, D]` and class numbers y `[N]`; with `"relu"` and no biases
    it is piecewise linear.
    """
    model = _dense(
        x.shape[1],
        [16, 16, num_classes],
        activation,
        lambda index: keras.initializers.GlorotNormal(seed + index),
        dtype="float64",
        use_bias=use_bias,
    )
    _compile(model, _FITTING_RATE, _FITTING_STEPS, dtype="float64")
    batch = tf.data.Dataset.from_tensors((x, y)).repeat(_FITTING_STEPS)
    model.fit(batch, verbose=0, shuffle=False)
    return model


def trained(scheme, sets, config):
    """Trains a ReLU network on each set, with the trainer that images have.

    `sets` is a dict from seed, of the weights, of the order, of views, mixing
    and noise, to `Points`, as many in each. The learning rate falls to zero.
    Yields `(seed, network)`, the second to logits `[B, 2]`: each time the same
    one with other weights, so that its step is traced once.
    """

    def network(seed):
        return _dense(
            2,
            [config.width] * config.depth + [2],
            "relu",
            lambda index: keras.initializers.HeNormal(1000 * seed + index),
        )

    if not sets:
        return
    num = len(next(iter(sets.values())).y)
    steps = config.epochs * (num // config.batch_size)
    rate = keras.optimizers.schedules.CosineDecay(scheme.learning_rate, steps)
    trainer = NoisyMix(network(0), taps="auto", **scheme.arguments())
    _compile(trainer, rate, min(steps, _STEPS_PER_EXECUTION))
    for seed, points in sets.items():
        trainer.model.set_weights(network(seed).get_weights())
        for variable in trainer.optimizer.variables:
            variable.assign(tf.zeros_like(variable))
        # Every seed has a stretch of the trainer's random numbers for itself.
        trainer.step.assign(seed * steps)
        found = views(points, scheme, config.epochs, config.batch_size, seed)
        batches = tf.data.Dataset.from_tensor_slices(found)
        trainer.fit(batches, verbose=0, shuffle=False)
        if not all(np.isfinite(w).all() for w in trainer.get_weights()):
            raise UsageError(
                f"A training with seed {seed} has diverged: lower "
                f"--learning_rate or the levels of noise."
            )
        yield seed, trainer.model


def views(points, scheme, epochs, batch_size, seed):
    """All batches of a training: `[steps, B, V, 2]`, and labels `[steps, B]`.

    View 0 is the point itself. Where the scheme compares views, the second and
    the third have normal noise of their own, because without augmentation and
    without noise all three would be equal and so would be what the network
    says of them. Every epoch has another order; a rest is left out.
    """
    rng = np.random.default_rng([seed, 1])
    num = len(points.y) // batch_size * batch_size
    order = np.stack([rng.permutation(len(points.y)) for _ in range(epochs)])
    order = order[:, :num].reshape(-1, batch_size)
    shape = [*order.shape, 3 if scheme.jsd_weight else 1, 2]
    x = np.broadcast_to(points.x[order][:, :, None], shape).copy()
    noise = rng.normal(size=x[:, :, 1:].shape)
    x[:, :, 1:] += scheme.view_noise * noise.astype(np.float32)
    return x, points.y[order]


def _dense(size, units, activation, kernel, dtype="float32", **options):
    """A network that ends in logits; `kernel(i)` initialises layer `i`."""
    activations = [activation] * (len(units) - 1) + [None]
    layers = [
        keras.layers.Dense(
            num, own, kernel_initializer=kernel(i), dtype=dtype, **options
        )
        for i, (num, own) in enumerate(zip(units, activations))
    ]
    return keras.Sequential([keras.Input([size], dtype=dtype), *layers])


def _compile(model, rate, steps_per_execution, dtype="float32"):
    model.compile(
        keras.optimizers.Adam(rate),
        keras.losses.SparseCategoricalCrossentropy(
            from_logits=True, dtype=dtype
        ),
        steps_per_execution=steps_per_execution,
        jit_compile=False,
    )
