"""A small fully connected network on points, and its training."""

import keras
import numpy as np
import tensorflow as tf

from noisymix_tf.training.trainer import NoisyMix

# Steps between two returns to Python, which cost more than the steps.
_STEPS_PER_EXECUTION = 50


def build(width=64, depth=4, seed=0):
    """Makes the network: ReLU layers, and logits of two classes.

    Args:
        width: Units of each hidden layer.
        depth: Number of hidden layers.
        seed: Seed of the weights.

    Returns:
        Keras model from `[B, 2]` to `[B, 2]`.
    """

    def kernel(index):
        return keras.initializers.HeNormal(seed=1000 * seed + index)

    layers = [
        keras.layers.Dense(width, "relu", kernel_initializer=kernel(index))
        for index in range(depth)
    ]
    logits = keras.layers.Dense(2, kernel_initializer=kernel(depth))
    return keras.Sequential([keras.Input((2,)), *layers, logits])


class Training:
    """Trains networks by one scheme, with the trainer that images have.

    The step is traced once, for the first network; what is trained is the same
    as with a trainer for each.

    Args:
        scheme: `Scheme`.
        num_points: Number of training points.
        width, depth: Of the network.
        epochs: How often each point is seen; the learning rate falls to zero.
        batch_size: Points in a batch, at most all of them.

    Attributes:
        trainer: The `NoisyMix` trainer.

    Example:

    >>> training = Training(SCHEMES["noisymix"], num_points=500)
    >>> model = training.run(Problem().draw(500, seed=3), seed=3)
    """

    def __init__(
        self,
        scheme,
        num_points,
        *,
        width=64,
        depth=4,
        epochs=300,
        batch_size=100,
    ):
        self._scheme = scheme
        self._size = (width, depth)
        self._epochs = epochs
        self._batch_size = batch_size
        self._steps = epochs * (num_points // batch_size)
        self.trainer = NoisyMix(
            build(*self._size),
            taps="auto",
            alpha=scheme.alpha,
            additive_noise=scheme.additive_noise,
            multiplicative_noise=scheme.multiplicative_noise,
            noise_sparsity=scheme.noise_sparsity,
            noise_per_view=scheme.noise_per_view,
            jsd_weight=scheme.jsd_weight,
            mixing=scheme.mixing,
        )
        rate = keras.optimizers.schedules.CosineDecay(
            scheme.learning_rate, self._steps
        )
        self.trainer.compile(
            keras.optimizers.Adam(rate),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            steps_per_execution=min(self._steps, _STEPS_PER_EXECUTION),
            jit_compile=False,
        )

    def run(self, points, seed):
        """Trains a new network.

        Args:
            points: `Points`.
            seed: Seed of the weights, of the order, of views, mixing and noise.

        Returns:
            The network; the next call gives it other weights.
        """
        trainer = self.trainer
        trainer.model.set_weights(build(*self._size, seed).get_weights())
        for variable in trainer.optimizer.variables:
            variable.assign(tf.zeros_like(variable))
        # Every seed has a stretch of the trainer's random numbers for itself.
        trainer.step.assign(seed * self._steps)
        batches = views(
            points,
            self._scheme,
            epochs=self._epochs,
            batch_size=self._batch_size,
            seed=seed,
        )
        trainer.fit(
            tf.data.Dataset.from_tensor_slices(batches),
            verbose=0,
            shuffle=False,
        )
        return trainer.model


def views(points, scheme, *, epochs, batch_size, seed):
    """All batches of a training.

    View 0 is the point itself. Where the scheme compares views, the second and
    the third have normal noise of their own, because without augmentation and
    without noise all three would be equal and so would be what the network
    says of them.

    Args:
        points: `Points`, N of them.
        scheme: `Scheme`.
        epochs: Passes, each in another order; a rest is left out.
        batch_size: Points in a batch, B.
        seed: Seed of order and noise.

    Returns:
        `(views, labels)`: float32 `[steps, B, V, 2]` and int32 `[steps, B]`.
    """
    rng = np.random.default_rng([seed, 1])
    num = len(points.y) // batch_size * batch_size
    order = np.stack([rng.permutation(len(points.y)) for _ in range(epochs)])
    order = order[:, :num].reshape(-1, batch_size)
    shape = [*order.shape, scheme.num_views, 2]
    x = np.broadcast_to(points.x[order][:, :, None], shape).copy()
    noise = rng.normal(size=x[:, :, 1:].shape)
    x[:, :, 1:] += scheme.view_noise * noise.astype(np.float32)
    return x, points.y[order]
