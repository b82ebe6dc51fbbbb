"""Random layers that draw other numbers on every replica.

Keras keeps the state of its generators equal on all replicas, so that dropout
would drop the same units of every replica's part of a batch.
"""

import contextlib

import tensorflow as tf

from noisymix_tf import rng


@contextlib.contextmanager
def distinct(operation):
    """Within it, the generators of a layer fold the replica into their seeds.

    On one replica nothing changes, and nothing of it is saved: the state of
    the generators is what it would be.

    Args:
        operation: Keras layer, or any other operation of a model's graph.

    Example:

    >>> with distinct(dropout):
    ...     x = dropout(x, training=True)
    """
    generators = _generators(operation) if _is_replicated() else []
    for generator in generators:
        generator.next = _next_of_replica(generator.next)
    try:
        yield
    finally:
        for generator in generators:
            del generator.next


def _is_replicated():
    return tf.distribute.get_strategy().num_replicas_in_sync > 1


def _generators(operation):
    """Seed generators of a layer and of those in it, each once."""
    layers = getattr(operation, "_flatten_layers", list)()
    found = {
        id(generator): generator
        for layer in layers
        for generator in getattr(layer, "_seed_generators", ())
    }
    return list(found.values())


def _next_of_replica(plain):
    def next_of_replica(ordered=True):
        seed = plain(ordered)
        context = tf.distribute.get_replica_context()
        folded = tf.random.experimental.stateless_fold_in(
            tf.cast(seed, tf.int32),
            tf.cast(context.replica_id_in_sync_group, tf.int32),
            alg=rng.GENERATOR,
        )
        return tf.cast(folded, seed.dtype)

    return next_of_replica
