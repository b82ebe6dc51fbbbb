"""What Keras' own `fit` lacks for training on many machines.

All machines run the same program. Whatever all of them compute together, a
step or a metric's value, all must ask for in the same order. One of them, the
chief, reads and writes the run's files.
"""

import io

import numpy as np
import tensorflow as tf

from noisymix_tf import distribution
from noisymix_tf.training import checkpoint


def of_one_replica(strategy, batch):
    """The part of a batch that one replica gets.

    Args:
        strategy: `tf.distribute.Strategy`.
        batch: Structure of tensors, or of their parts on several replicas.
    """
    return tf.nest.map_structure(
        lambda part: strategy.experimental_local_results(part)[0], batch
    )


def reducible(logs):
    """Logs of one replica as Keras can average them over machines.

    It averages over a first axis, which scalars do not have.

    Args:
        logs: `{name: scalar}`.
    """
    if not distribution.has_many_machines(tf.distribute.get_strategy()):
        return logs
    return {name: tf.reshape(value, [1]) for name, value in logs.items()}


def from_chief(model, step, metrics):
    """Gives every machine the state that the chief has restored.

    Args:
        model: Compiled Keras model.
        step: The step that the chief continues from.
        metrics: Values of its running metrics.

    Returns:
        `(step, metrics)` of the chief.
    """
    strategy = model.distribute_strategy
    if not distribution.has_many_machines(strategy):
        return step, metrics
    variables = checkpoint.state_variables(model)
    values = _broadcast(strategy, [v.value for v in variables])
    for variable, value in zip(variables, values):
        variable.assign(value)
    packed = io.BytesIO()
    named = {f"metric-{i:05d}": value for i, value in enumerate(metrics)}
    np.savez(packed, step=step, **named)
    data = np.frombuffer(packed.getvalue(), np.uint8).astype(np.int32)
    [size] = _broadcast(strategy, [tf.constant(len(data))])
    # Machines that are not the chief only need something of the same size.
    [data] = _broadcast(strategy, [tf.constant(np.resize(data, int(size)))])
    with np.load(io.BytesIO(data.numpy().astype(np.uint8).tobytes())) as loaded:
        return int(loaded["step"]), [
            loaded[name] for name in sorted(loaded.files) if name != "step"
        ]


def any_machine(strategy):
    """A function that tells whether a statement is true on any machine.

    All machines must call it at the same place of the program. On one machine
    it returns what it is given.

    Args:
        strategy: `tf.distribute.Strategy`.
    """
    if not distribution.has_many_machines(strategy):
        return lambda statement: statement

    @tf.function(autograph=False)
    def count(number):
        return strategy.run(replica, args=(number,))

    def replica(number):
        context = tf.distribute.get_replica_context()
        # The copy is on the replica's device, where the sum is to be.
        number = tf.identity(number)
        return context.all_reduce(tf.distribute.ReduceOp.SUM, number)

    def is_true(statement):
        number = count(tf.constant(float(statement)))
        return bool(strategy.experimental_local_results(number)[0] > 0)

    return is_true


def _broadcast(strategy, values):
    """The values of the first replica, which is the chief's, everywhere."""

    @tf.function(autograph=False)
    def share():
        return strategy.run(replica)

    def replica():
        context = tf.distribute.get_replica_context()
        is_first = context.replica_id_in_sync_group == 0

        def of_first(value):
            value = tf.convert_to_tensor(value)
            # Minus zero: the one number that changes nothing when added.
            nothing = tf.cast(-0.0, value.dtype)
            return context.all_reduce(
                tf.distribute.ReduceOp.SUM, tf.where(is_first, value, nothing)
            )

        return [of_first(value) for value in values]

    return [strategy.experimental_local_results(v)[0] for v in share()]
