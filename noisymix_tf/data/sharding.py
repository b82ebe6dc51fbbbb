"""Where the batches of a strategy are made, and where they are kept ready.

Batches are functions of (seed, step), so that no file lists need be dealt out:
every machine knows which images make its part of a batch, and decodes those
and no others.
"""

import tensorflow as tf

from noisymix_tf import distribution

# They bring the rows to their devices themselves.
_STRATEGIES = (
    tf.distribute.MirroredStrategy,
    tf.distribute.MultiWorkerMirroredStrategy,
    tf.distribute.TPUStrategy,
)


def distribute(strategy, part_from):
    """The training batches of a strategy, as `fit` takes them.

    On one machine they are whole batches, which a strategy divides among its
    devices in the order of their rows; for a lone GPU the next two wait in its
    memory. Of many machines each makes the rows of its own devices.

    Args:
        strategy: `tf.distribute.Strategy`; None, or Keras' default, for one
            device.
        part_from: Function of a shard, `(index, count)`, to the endless
            `tf.data.Dataset` of part `index` of `count` equal parts of every
            batch; `(0, 1)` stands for whole batches.

    Example:

    >>> batches = distribute(
    ...     strategy,
    ...     lambda shard: views(split, batch_size=64, shard=shard),
    ... )
    """
    if not _has_many_inputs(strategy):
        whole = part_from((0, 1))
        gpus = tf.config.list_logical_devices("GPU")
        if isinstance(strategy, _STRATEGIES) or not gpus:
            return whole
        return whole.apply(
            tf.data.experimental.prefetch_to_device(gpus[0].name, 2)
        )

    def of_machine(context):
        count = context.num_input_pipelines
        part = part_from((context.input_pipeline_id, count))
        devices = context.num_replicas_in_sync // count
        if devices == 1:
            return part
        rows = part.element_spec[1].shape[0] // devices
        return part.rebatch(rows, drop_remainder=True)

    return strategy.distribute_datasets_from_function(of_machine)


def distribute_whole(strategy, batches):
    """What `fit` takes of a finite dataset that each machine goes through.

    For measurements: the means over all machines are those of one.
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
