"""State that every replica changes by itself, kept equal on all of them.

Batch normalisation moves its statistics by the replica's own part of a batch.
Whatever then uses them (an attack, a measurement, a saved model, a run that
goes on from a checkpoint) would depend on the replica, and a file holds those
of the first one alone.
"""

import contextlib

import keras
import tensorflow as tf


@contextlib.contextmanager
def in_common(model):
    """Within it, what replicas add to the state of layers becomes the mean.

    On one replica nothing changes. It belongs into a replica's step.

    Args:
        model: Keras model.

    Example:

    >>> with in_common(classifier):
    ...     predictions = classifier(x, training=True)
    """
    context = tf.distribute.get_replica_context()
    variables = _own_state(model) if context.num_replicas_in_sync > 1 else []
    before = [tf.identity(variable.value) for variable in variables]
    yield
    if not variables:
        return
    # Of changes, so that what does not change stays as it is in every bit.
    changes = context.all_reduce(
        tf.distribute.ReduceOp.MEAN,
        [tf.convert_to_tensor(v) - old for v, old in zip(variables, before)],
    )
    for variable, old, change in zip(variables, before, changes):
        variable.assign(old + change)


def _own_state(model):
    """Floats that layers change in training, but that have no gradient."""
    found = {
        id(variable): variable
        for layer in model._flatten_layers()
        if _changes_alone(layer)
        for variable in layer.non_trainable_variables
        if keras.backend.is_float_dtype(variable.dtype)
    }
    return list(found.values())


def _changes_alone(layer):
    """Whether a layer, of no others, may have a state of its replica."""
    return (
        not layer._flatten_layers(include_self=False)
        and layer.trainable
        # Statistics of the whole batch are equal already.
        and not getattr(layer, "synchronized", False)
    )
