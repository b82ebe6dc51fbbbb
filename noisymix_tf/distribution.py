"""Distribution strategies: made by name, asked about, and given functions."""

import contextlib
import functools
import json
import os
import socket
import urllib.parse
from collections.abc import Callable

import numpy as np

from noisymix_tf.errors import UsageError, one_line
from noisymix_tf.lazy import tf

_EXAMPLE = (
    '{"cluster": {"worker": ["host0:2222", "host1:2222"]}, '
    '"task": {"type": "worker", "index": 0}}'
)
# Seconds in which an address has to answer.
_PATIENCE = 10


def strategy(
    name: str = "auto", tpu: str | None = None
) -> "tf.distribute.Strategy | None":
    """A strategy by name, the same one for the same devices; None for one.

    Args:
        name: `"single"`, the first device; `"mirrored"`, all GPUs of this
            machine, or all its logical CPUs where there is none;
            `"multi_worker"`, the machines that the environment variable
            `TF_CONFIG` lists, each of which calls this before it computes
            anything, and waits for the others; `"tpu"`; `"auto"`, mirrored
            where there are several GPUs, or else single.
        tpu: Name or address of the TPU; `"local"` on a TPU VM.

    A `UsageError` if `TF_CONFIG` describes no cluster, or there is no such TPU.

    >>> with scope(strategy("mirrored")):
    ...     weights = tf.Variable([1.0, 2.0])
    """
    if name == "tpu":
        return _tpu(tpu)
    if name == "multi_worker":
        return _several_machines(os.environ.get("TF_CONFIG"))
    gpus = tf.config.list_logical_devices("GPU")
    if name == "single" or (name == "auto" and len(gpus) < 2):
        return None
    devices = gpus or tf.config.list_logical_devices("CPU")
    return _mirrored(*(device.name for device in devices))


def scope(strategy) -> contextlib.AbstractContextManager:
    """The context in which models of a strategy, or of None, are made."""
    return contextlib.nullcontext() if strategy is None else strategy.scope()


def num_replicas(strategy) -> int:
    """How many devices share a batch."""
    return 1 if strategy is None else strategy.num_replicas_in_sync


def has_many_machines(strategy) -> bool:
    """Whether other processes take part in the same training."""
    return _place(strategy)[1] > 1


def is_chief(strategy) -> bool:
    """Whether this process is the one that writes."""
    return _place(strategy)[0] == 0


def describe(strategy) -> str:
    """The several devices that take part, in words."""
    (me, machines), place = _place(strategy), "one machine"
    if machines > 1:
        chief = ", the chief" if me == 0 else ""
        place = f"{machines} machines (this is number {me}{chief})"
    return f"{num_replicas(strategy)} devices of {place}"


def sums(strategy) -> bool:
    """Whether a strategy sums over devices, be it one, in each update."""
    of = tf.distribute
    several = of.MirroredStrategy | of.MultiWorkerMirroredStrategy
    return isinstance(strategy, several | of.TPUStrategy)


def check_accumulation(strategy, steps: int) -> None:
    """Raises a `UsageError` if gradients of several steps make an update.

    Keras sums over devices, be it one, inside of a condition, which these
    strategies cannot do.
    """
    if steps > 1 and sums(strategy):
        raise UsageError(
            f"--accumulation_steps={steps} (gradient_accumulation_steps of the "
            f"optimizer) does not go with the devices of a "
            f"{type(strategy).__name__}: leave it out and give a larger batch, "
            f"or take --strategy=single."
        )


def is_lost_machine(strategy, error: Exception) -> bool:
    """Whether an error says that another machine has gone."""
    return has_many_machines(strategy) and (
        isinstance(error, tf.errors.UnavailableError | tf.errors.AbortedError)
        or "Collective ops is aborted" in str(error)
    )


def _place(strategy):
    """Number of this process among those that train, and how many they are."""
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return 0, 1
    resolver = strategy.cluster_resolver
    cluster = resolver.cluster_spec().as_dict()
    machines = [
        (kind, index)
        for kind in ("chief", "worker")
        for index in range(len(cluster.get(kind, ())))
    ]
    me = resolver.task_type, resolver.task_id
    number = machines.index(me) if me in machines else 0
    return number, len(machines)


# A second strategy of a process mistakes the collectives of the first for its
# own, so each is made once.
@functools.cache
def _mirrored(*devices):
    return tf.distribute.MirroredStrategy(list(devices))


@functools.cache
def _several_machines(text):
    """That of the cluster and the task which `TF_CONFIG` describes."""
    try:
        config = json.loads(text or "")
        cluster, task = config["cluster"], config["task"]
        address = cluster[task["type"]][int(task["index"])]
        known = set(cluster) <= {"chief", "worker", "evaluator"}
        good = known and task["type"] in ("chief", "worker")
        good = good and isinstance(address, str)
    except (ValueError, KeyError, IndexError, TypeError):
        good = False
    if not good:
        raise UsageError(
            f"TF_CONFIG={text!r}: --strategy=multi_worker needs this "
            f"environment variable on every machine, the cluster and the place "
            f"of the machine in it; such as {_EXAMPLE}."
        )
    return tf.distribute.MultiWorkerMirroredStrategy()


@functools.cache
def _tpu(name):
    try:
        address = urllib.parse.urlsplit(name or "")
        if address.scheme == "grpc":  # Of one that is silent TensorFlow waits.
            where = (address.hostname, address.port or 8470)
            socket.create_connection(where, timeout=_PATIENCE).close()
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(
            tpu=name or ""
        )
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except (ValueError, OSError, tf.errors.OpError) as error:
        raise UsageError(
            f"No TPU was found as --tpu={name or ''} ({one_line(error)}): "
            "give its name, its address grpc://HOST:PORT, or 'local' on a TPU "
            "VM; or choose another --strategy."
        ) from error
    return tf.distribute.TPUStrategy(resolver)


def replica() -> tuple:
    """`(number, count)`: of the replica that calls, from 0, and of all."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return 0, 1
    return context.replica_id_in_sync_group, context.num_replicas_in_sync


def replica_mean(values):
    """Within a replica: the means of its tensors and all others'."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return values
    return context.all_reduce(tf.distribute.ReduceOp.MEAN, values)


class Replicas:
    """Runs functions of NumPy arrays on the `count` replicas of a strategy.

    None is the default device. A model is built or loaded within its scope.

    >>> double = Replicas().compile(lambda images: 2 * images)
    >>> double(np.ones([2, 1]))
    array([[2.],
           [2.]])
    """

    def __init__(self, strategy=None):
        self._strategy = strategy
        self.count = num_replicas(strategy)

    def round_up(self, batch_size: int) -> int:
        """The next batch size that all replicas share evenly."""
        return -(-batch_size // self.count) * self.count

    def compile(self, function: Callable, **options) -> Callable:
        """Compiles a function of tensors `[b, ...]`, unless it is compiled.

        Args:
            function: Returns a tensor `[b, ...]` or a structure of them.
            **options: Of `tf.function`.

        Returns a function of NumPy arrays `[B, ...]`, B a multiple of `count`,
        that returns NumPy arrays. Its keyword `shared`, a tuple, is passed on
        whole to every replica as further arguments.
        """
        if not hasattr(function, "get_concrete_function"):
            options = {"autograph": False, "reduce_retracing": True, **options}
            function = tf.function(function, **options)
        if self.count == 1:

            def call(*arrays, shared=()):
                outputs = function(*map(tf.constant, arrays), *shared)
                return tf.nest.map_structure(lambda v: v.numpy(), outputs)

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
