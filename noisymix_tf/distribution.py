"""The one place that makes a distribution strategy, and what asks about it."""

import contextlib
import json
import os
import socket
import urllib.parse

from noisymix_tf.errors import UsageError
from noisymix_tf.lazy import tf

_EXAMPLE = (
    '{"cluster": {"worker": ["host0:2222", "host1:2222"]}, '
    '"task": {"type": "worker", "index": 0}}'
)
# Seconds in which an address has to answer.
_PATIENCE = 10
# A second mirrored strategy in a process mistakes the collectives of the
# first for its own, so each is made once.
_made = {}


def strategy(name="auto", tpu=None):
    """Makes a strategy by name; the same one for the same devices.

    Args:
        name: `"single"` for the first device; `"mirrored"` for all GPUs of this
            machine, or all its logical CPUs where there is none;
            `"multi_worker"` for the machines that the environment variable
            `TF_CONFIG` lists, each of which runs the same program; `"tpu"` for
            a TPU; `"auto"` for mirrored where there are several GPUs, or else
            single.
        tpu: Name or address of the TPU; `"local"` on a TPU VM.

    Returns:
        `tf.distribute.Strategy`, or None for one device.

    Raises:
        UsageError: `TF_CONFIG` does not describe a cluster, or there is no
            such TPU.

    `"multi_worker"` must come before anything is computed, and returns when
    all machines have joined.

    Example:

    >>> with strategy("mirrored").scope():
    ...     model = keras.models.load_model("model.keras")
    """
    if name == "tpu":
        return _once(("tpu", tpu), lambda: _tpu(tpu))
    if name == "multi_worker":
        _check_cluster(os.environ.get("TF_CONFIG"))
        return _once((name,), tf.distribute.MultiWorkerMirroredStrategy)
    gpus = tf.config.list_logical_devices("GPU")
    if name == "single" or (name == "auto" and len(gpus) < 2):
        return None
    devices = gpus or tf.config.list_logical_devices("CPU")
    names = tuple(device.name for device in devices)
    return _once(names, lambda: tf.distribute.MirroredStrategy(list(names)))


def scope(strategy):
    """The context in which models of a strategy are made.

    Args:
        strategy: `tf.distribute.Strategy`, or None for one device.
    """
    return contextlib.nullcontext() if strategy is None else strategy.scope()


def num_replicas(strategy):
    """How many devices share a batch."""
    return 1 if strategy is None else strategy.num_replicas_in_sync


def has_many_machines(strategy):
    """Whether other processes take part in the same training."""
    resolver = _resolver(strategy)
    return resolver is not None and len(_workers(resolver)) > 1


def is_chief(strategy):
    """Whether this process is the one that writes."""
    if not has_many_machines(strategy):
        return True
    resolver = _resolver(strategy)
    first = _workers(resolver)[0]
    return (resolver.task_type, resolver.task_id) == first


def describe(strategy):
    """What takes part, in words."""
    count = num_replicas(strategy)
    if strategy is None:
        return "one device"
    if has_many_machines(strategy):
        resolver = _resolver(strategy)
        machines = _workers(resolver)
        me = machines.index((resolver.task_type, resolver.task_id))
        return (
            f"{count} devices of {len(machines)} machines (this is number "
            f"{me}{', the chief' if me == 0 else ''})"
        )
    return f"{count} devices of one machine"


def sums(strategy):
    """Whether a strategy sums over devices, be it one, in each update."""
    of = tf.distribute
    several = of.MirroredStrategy, of.MultiWorkerMirroredStrategy
    return isinstance(strategy, (*several, of.TPUStrategy))


def check_accumulation(strategy, steps):
    """Raises a `UsageError` if a strategy is to collect gradients.

    Keras sums over devices, be it one, inside of a condition, which these
    strategies cannot do.

    Args:
        strategy: `tf.distribute.Strategy`, or None.
        steps: Steps whose gradients make one update.
    """
    if steps > 1 and sums(strategy):
        raise UsageError(
            f"--accumulation_steps={steps} (gradient_accumulation_steps of the "
            f"optimizer) does not go with the devices of a "
            f"{type(strategy).__name__}: leave it out and give a larger batch, "
            f"or take --strategy=single."
        )


def is_lost_machine(strategy, error):
    """Whether an error says that another machine has gone."""
    return has_many_machines(strategy) and (
        isinstance(error, tf.errors.UnavailableError | tf.errors.AbortedError)
        or "Collective ops is aborted" in str(error)
    )


def _once(key, make):
    if key not in _made:
        _made[key] = make()
    return _made[key]


def _resolver(strategy):
    if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return strategy.cluster_resolver
    return None


def _workers(resolver):
    """`(type, index)` of every process that trains, the chief first."""
    cluster = resolver.cluster_spec().as_dict()
    return [
        (kind, index)
        for kind in ("chief", "worker")
        for index in range(len(cluster.get(kind, ())))
    ]


def _check_cluster(text):
    """Raises a `UsageError` if `TF_CONFIG` does not describe a cluster."""
    if not text:
        raise UsageError(
            "--strategy=multi_worker needs the environment variable TF_CONFIG "
            f"on every machine, which is not set; such as {_EXAMPLE}."
        )
    try:
        config = json.loads(text)
        cluster, task = config["cluster"], config["task"]
        address = cluster[task["type"]][int(task["index"])]
        known = set(cluster) <= {"chief", "worker", "evaluator"}
        good = known and task["type"] in ("chief", "worker")
        good = good and isinstance(address, str)
    except (ValueError, KeyError, IndexError, TypeError):
        good = False
    if not good:
        raise UsageError(
            f"TF_CONFIG={text!r} does not describe a cluster of machines and "
            f"the place of this one in it: give it as in {_EXAMPLE}."
        )


def _tpu(name):
    try:
        _check_answers(name)
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(
            tpu=name or ""
        )
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except (ValueError, OSError, tf.errors.OpError) as error:
        reason = (str(error).splitlines() or ["no reason given"])[0]
        raise UsageError(
            f"No TPU was found as --tpu={name or ''} ({reason.rstrip('.')}): "
            "give its name, its address grpc://HOST:PORT, or 'local' on a TPU "
            "VM; or choose another --strategy."
        ) from error
    return tf.distribute.TPUStrategy(resolver)


def _check_answers(name):
    """Raises an `OSError` where an address is silent: TensorFlow waits."""
    address = urllib.parse.urlsplit(name or "")
    if address.scheme == "grpc":
        where = (address.hostname, address.port or 8470)
        socket.create_connection(where, timeout=_PATIENCE).close()
