"""What a command computes on, in words, and what lies idle beside it."""

import glob
import os
import shutil
import sys

import tensorflow as tf
from tensorflow.python.framework.config import is_op_determinism_enabled


def announce(strategy=None, *, xla=None, precision=None):
    """Says on the standard error on what a command runs, and how.

    Args:
        strategy: `tf.distribute.Strategy`, or None for the first device.
        xla: Whether XLA compiles the steps; None for commands of several
            programs.
        precision: Name of the dtype policy; None where there is not one.
    """
    kind, words = _devices(strategy)
    if xla is not None:
        words += f"; XLA {'on' if xla or kind == 'TPU' else 'off'}"
    if precision is not None:
        words += f"; {precision}"
    _say(f"Runs on {words}; {operations()}")
    found = _gpu_in_sight() if kind == "CPU" else None
    if found:
        _say(
            f"warning: this machine seems to have an NVIDIA GPU ({found}), but "
            f"TensorFlow does not see it and the CPU does the work: pip "
            f'install "noisymix_tf[gpu]" brings the CUDA libraries, or set '
            f"CUDA_VISIBLE_DEVICES=-1 if the CPU is what you want."
        )


def operations():
    """Which kind of operations TensorFlow has been told to use, in words."""
    if is_op_determinism_enabled():
        return "deterministic operations"
    return "operations that need not be deterministic"


def _devices(strategy):
    """`(kind, words)` of the devices of a strategy on this machine."""
    if strategy is None:
        devices = tf.config.list_logical_devices("GPU")
        devices = devices or tf.config.list_logical_devices("CPU")
        names = [devices[0].name]
    else:
        names = strategy.extended.worker_devices
    parts = [tf.DeviceSpec.from_string(name) for name in names]
    kind = parts[0].device_type
    names = ", ".join(f"{kind}:{part.device_index}" for part in parts)
    if kind == "CPU":
        cores = os.cpu_count()
        names += f" ({cores} core{'s' * (cores > 1)}; no accelerator was found)"
    return kind, names


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
