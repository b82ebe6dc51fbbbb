"""Which part of every batch a machine makes.

Batches are functions of (seed, step), so that no file lists need be dealt out:
every machine knows which images make its part of a batch, and reads those and
no others.
"""

import tensorflow as tf

from noisymix_tf import distribution


def distribute(strategy, part_from):
    """The training batches of a strategy, made where they are needed.

    Args:
        strategy: `tf.distribute.Strategy`, or None for one device.
        part_from: Function of a shard, `(index, count)`, that returns the
            endless `tf.data.Dataset` of part `index` of `count` equal parts of
            every batch; `(0, 1)` stands for whole batches.

    Returns:
        What `fit` takes. On one machine these are whole batches, which the
        strategy divides among its devices in the order of their rows. On many,
        each makes only the parts of its own devices; they, too, are in the
        order of the rows.

    Example:

    >>> batches = distribute(
    ...     strategy,
    ...     lambda shard: views(split, batch_size=64, shard=shard),
    ... )
    """
    if not _has_many_inputs(strategy):
        return part_from((0, 1))

    def of_machine(context):
        total = context.num_replicas_in_sync
        local = total // context.num_input_pipelines
        first = context.input_pipeline_id * local
        parts = [part_from((first + i, total)) for i in range(local)]
        if local == 1:
            return parts[0]
        # The devices of a machine take turns.
        return tf.data.Dataset.choose_from_datasets(
            parts, tf.data.Dataset.range(local).repeat()
        )

    return strategy.distribute_datasets_from_function(of_machine)


def distribute_whole(strategy, batches):
    """A finite dataset that every machine goes through as a whole.

    For measurements: the means over all machines are those of one.

    Args:
        strategy: `tf.distribute.Strategy`, or None.
        batches: `tf.data.Dataset`.

    Returns:
        What `fit` and `evaluate` take.
    """
    if not _has_many_inputs(strategy):
        return batches
    return strategy.distribute_datasets_from_function(lambda _: batches)


def describe(strategy):
    """How batches are divided, in words."""
    if _has_many_inputs(strategy):
        return "every machine reads the images of its own part of each batch"
    return "one pipeline makes whole batches"


def _has_many_inputs(strategy):
    if isinstance(strategy, tf.distribute.TPUStrategy):
        return strategy.extended.num_hosts > 1
    return distribution.has_many_machines(strategy)
