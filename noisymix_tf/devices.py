"""What a command computes on, in words, and what lies idle beside it."""

import glob
import os
import shutil
import sys
import typing

import psutil

from noisymix_tf import distribution, private
from noisymix_tf.lazy import tf


class Devices(typing.NamedTuple):
    """What a command computes on.

    Attributes:
        kind: `"CPU"`, `"GPU"` or `"TPU"`.
        names: Of those of this machine.
        free: Bytes of memory that are free on one of them; None if unknown.
        count: How many share a batch, those of other machines too.
        machines: Whether other machines take part.
        sums: Whether their strategy sums over devices, be it one.
    """

    kind: str
    names: tuple
    free: int | None
    count: int
    machines: bool
    sums: bool


def found(strategy=None):
    """The `Devices` of a strategy; of None, or Keras' own, the first."""
    if not distribution.sums(strategy):
        logical = tf.config.list_logical_devices
        names = [(logical("GPU") or logical("CPU"))[0].name]
    else:
        names = strategy.extended.worker_devices
    parts = [tf.DeviceSpec.from_string(name) for name in names]
    names = tuple(f"{part.device_type}:{part.device_index}" for part in parts)
    return Devices(
        kind=parts[0].device_type,
        names=names,
        free=_free(names[0]),
        count=distribution.num_replicas(strategy),
        machines=distribution.has_many_machines(strategy),
        sums=distribution.sums(strategy),
    )


def _free(name):
    """Bytes of memory that are free on a device; None if unknown."""
    if name.startswith("CPU"):
        return psutil.virtual_memory().available
    for device in private.device_lib.list_local_devices():
        if device.name.endswith(f":{name}"):
            used = tf.config.experimental.get_memory_info(name)["current"]
            return device.memory_limit - used
    return None


def announce(strategy=None, *, xla=None, precision=None):
    """Says on the standard error on what a command runs, and how.

    Args:
        strategy: `tf.distribute.Strategy`, or None for the first device.
        xla: Whether XLA compiles the steps; None for commands of several
            programs.
        precision: Name of the dtype policy; None where there is not one.

    Returns:
        The `Devices`.
    """
    here = found(strategy)
    words = ", ".join(here.names)
    about = [] if here.free is None else [f"{here.free / 1e9:.1f} GB free"]
    if here.kind == "CPU":
        cores = os.cpu_count()
        about.insert(0, f"{cores} core{'s' * (cores > 1)}")
        about.append("no accelerator was found")
    words += f" ({', '.join(about)})" * bool(about)
    if xla is not None:
        words += f"; XLA {'on' if xla or here.kind == 'TPU' else 'off'}"
    if precision is not None:
        words += f"; {precision}"
    _say(f"Runs on {words}; {operations()}")
    seen = _gpu_in_sight() if here.kind == "CPU" else None
    if seen:
        _say(
            f"warning: this machine seems to have an NVIDIA GPU ({seen}), but "
            f"TensorFlow does not see it and the CPU does the work: pip "
            f'install "noisymix_tf[gpu]" brings the CUDA libraries, or set '
            f"CUDA_VISIBLE_DEVICES=-1 if the CPU is what you want."
        )
    return here


def operations():
    """Which kind of operations TensorFlow has been told to use, in words."""
    if private.is_op_determinism_enabled():
        return "deterministic operations"
    return "operations that need not be deterministic"


def _gpu_in_sight():
    """Where an NVIDIA GPU shows that TensorFlow does not see; or None."""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0") in ("", "-1"):
        return None
    if tf.config.list_physical_devices("GPU"):
        return None
    nodes = [*glob.glob("/dev/nvidia[0-9]*"), *glob.glob("/proc/driver/nvidia")]
    return next(iter(nodes), None) or shutil.which("nvidia-smi")


def _say(text):
    print(text, file=sys.stderr, flush=True)
