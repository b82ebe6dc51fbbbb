"""One function on all devices of a strategy, each with its part of a batch."""

import numpy as np

from noisymix_tf.lazy import tf


class Replicas:
    """Runs functions of NumPy arrays on the replicas of a strategy.

    Args:
        strategy: `tf.distribute.Strategy`; None for the default device. The
            model belongs to it: build or load it within `strategy.scope()`.

    Attributes:
        count: Number of replicas.

    Example:

    >>> replicas = Replicas(tf.distribute.MirroredStrategy())
    >>> outputs = replicas.compile(model)(images)
    """

    def __init__(self, strategy=None):
        self._strategy = strategy
        self.count = 1 if strategy is None else strategy.num_replicas_in_sync

    def round_up(self, batch_size):
        """The next batch size that all replicas share evenly."""
        return -(-batch_size // self.count) * self.count

    def compile(self, function, **options):
        """Compiles a function of arrays whose first axis is the batch.

        Args:
            function: Takes tensors `[b, ...]`, and perhaps others as `shared`;
                returns a tensor `[b, ...]` or a structure of them. A
                `tf.function` is taken as it is.
            **options: Of `tf.function`.

        Returns:
            Function of NumPy arrays `[B, ...]`, B a multiple of `count`, that
            returns NumPy arrays. Its keyword `shared`, a tuple, is passed on
            whole to every replica.
        """
        if not hasattr(function, "get_concrete_function"):
            options = {"autograph": False, "reduce_retracing": True, **options}
            function = tf.function(function, **options)
        if self.count == 1:

            def call(*arrays, shared=()):
                return _numpy(function(*map(tf.constant, arrays), *shared))

            return call

        @tf.function(autograph=False, reduce_retracing=True)
        def spread(*parts):
            return self._strategy.run(function, args=parts)

        def call_all(*arrays, shared=()):
            results = spread(*map(self._scatter, arrays), *shared)
            return tf.nest.map_structure(self._gather, results)

        return call_all

    def _scatter(self, array):
        parts = np.split(np.asarray(array), self.count)
        return self._strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(parts[context.replica_id_in_sync_group])
        )

    def _gather(self, value):
        parts = self._strategy.experimental_local_results(value)
        return np.concatenate([part.numpy() for part in parts])


def _numpy(values):
    return tf.nest.map_structure(lambda value: value.numpy(), values)
