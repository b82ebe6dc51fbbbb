"""What replicas of a training share, and what they keep apart.

State that every replica would change by itself is kept equal on all of them,
and random layers draw other numbers on each. Of many machines, which run the
same program, one is the chief: it reads and writes the run's files. Whatever
all of them compute together, all must ask for in the same order.
"""

import contextlib
import functools
import io
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from noisymix_tf import distribution
from noisymix_tf.mixing.kind import folded
from noisymix_tf.training import checkpoint
from noisymix_tf.training.precision import floats_of


@contextlib.contextmanager
def shared_state(model) -> Iterator[None]:
    """Within it, what replicas add to the state of layers becomes the mean.

    Batch normalisation moves its statistics by the replica's own part of a
    batch; whatever then uses them (an attack, a measurement, a checkpoint)
    would depend on the replica.
    """
    variables = _own_state(model) if distribution.replica()[1] > 1 else []
    before = [tf.identity(variable.value) for variable in variables]
    yield
    if not variables:
        return
    # Of changes, so that what does not change stays as it is in every bit.
    changes = distribution.replica_mean(
        [tf.convert_to_tensor(v) - old for v, old in zip(variables, before)]
    )
    for variable, old, change in zip(variables, before, changes):
        variable.assign(old + change)


def _own_state(model):
    """Floats that layers change in training, but that have no gradient."""
    return floats_of(
        variable
        for layer in model._flatten_layers()
        if layer.trainable
        and not layer._flatten_layers(include_self=False)
        # Statistics of the whole batch are equal already.
        and not getattr(layer, "synchronized", False)
        for variable in layer.non_trainable_variables
    )


@contextlib.contextmanager
def own_draws(operation) -> Iterator[None]:
    """Within it, the generators of a layer fold the replica into their seeds.

    Keras keeps their state equal on all replicas, so that dropout would drop
    the same units of every replica's part of a batch.
    """
    several = tf.distribute.get_strategy().num_replicas_in_sync > 1
    layers = getattr(operation, "_flatten_layers", list)() if several else ()
    generators = {
        id(generator): generator
        for layer in layers
        for generator in getattr(layer, "_seed_generators", ())
    }.values()
    for generator in generators:
        generator.next = functools.partial(_folded, generator.next)
    try:
        yield
    finally:
        for generator in generators:
            del generator.next


def _folded(plain, ordered=True):
    seed = plain(ordered)
    replica = tf.cast(distribution.replica()[0], tf.int32)
    return tf.cast(folded(tf.cast(seed, tf.int32), replica), seed.dtype)


def reducible(logs) -> dict[str, tf.Tensor]:
    """Logs of one replica, `{name: scalar}`, as Keras can average them.

    Over machines it averages over a first axis, which scalars do not have.
    """
    if not distribution.has_many_machines(tf.distribute.get_strategy()):
        return logs
    return {name: tf.reshape(value, [1]) for name, value in logs.items()}


def from_chief(model, step, metrics) -> tuple[int, list]:
    """Gives every machine the state of the chief's compiled model.

    Returns `(step, metrics)` of the chief, which it has restored.
    """
    strategy = model.distribute_strategy
    if not distribution.has_many_machines(strategy):
        return step, metrics
    variables = checkpoint.state_variables(model)
    values = _broadcast(strategy, map(np.asarray, variables))
    for variable, value in zip(variables, values):
        variable.assign(value)
    packed = io.BytesIO()
    np.savez(packed, step=step, **checkpoint.named("metric", metrics))
    data = np.frombuffer(packed.getvalue(), np.uint8).astype(np.int32)
    [size] = _broadcast(strategy, [len(data)])
    # Machines that are not the chief only need something of the same size.
    [data] = _broadcast(strategy, [np.resize(data, int(size))])
    with np.load(io.BytesIO(data.numpy().astype(np.uint8).tobytes())) as loaded:
        return int(loaded["step"]), checkpoint.select("metric", loaded)


def any_machine(strategy) -> Callable:
    """A function that tells whether a statement is true on any machine."""
    if not distribution.has_many_machines(strategy):
        return lambda statement: statement
    total = _total(strategy)
    return lambda statement: bool(total([float(statement)])[0] > 0)


def _broadcast(strategy, values):
    """The values of the first replica, which is the chief's, everywhere."""

    def share(value):
        # Minus zero: the one number that changes nothing when added.
        nothing = tf.cast(-0.0, value.dtype)
        return tf.where(distribution.replica()[0] == 0, value, nothing)

    return _total(strategy, share)(values)


def _total(strategy, share=tf.identity):
    """A function that sums the replicas' shares of each of a list of values.

    A share is a tensor on the replica's device.
    """

    def replica(values):
        context = tf.distribute.get_replica_context()
        return [
            context.all_reduce(tf.distribute.ReduceOp.SUM, share(value))
            for value in values
        ]

    @tf.function(autograph=False)
    def run(values):
        return strategy.run(replica, args=(values,))

    def total(values):
        sums = run([tf.constant(value) for value in values])
        return [strategy.experimental_local_results(s)[0] for s in sums]

    return total
