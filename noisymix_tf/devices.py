"""What a command computes on, and whether its step has room there."""

import glob
import os
import shutil
import typing

import psutil

from noisymix_tf import distribution, private
from noisymix_tf.lazy import tf
from noisymix_tf.progress import say, warn

LESS_MEMORY = (
    "give a smaller --batch_size (with --accumulation_steps=N, which counts "
    "for more), a smaller --width or fewer --num_views; on an accelerator "
    "--precision=mixed_bfloat16."
)
# What operations need for themselves, beyond their inputs and outputs.
_BEYOND = 1.15


class Devices(typing.NamedTuple):
    """What a command computes on."""

    kind: str  # "CPU", "GPU" or "TPU".
    names: tuple  # Of those of this machine.
    free: int | None  # Bytes that are free on one of them, if known.
    count: int  # How many share a batch, those of other machines too.
    machines: bool  # Whether other machines take part.
    sums: bool  # Whether their strategy sums over devices, be it one.


def found(strategy=None) -> Devices:
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


def announce(
    strategy=None, *, xla: bool | None = None, precision: str | None = None
) -> Devices:
    """Says on the standard error on what a command runs, and how.

    That is the devices of a strategy, whether XLA compiles the steps, and the
    dtype policy, where there is one of each.
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
    say(f"Runs on {words}; {operations()}")
    seen = _gpu_in_sight() if here.kind == "CPU" else None
    if seen:
        warn(
            f"warning: this machine seems to have an NVIDIA GPU ({seen}), but "
            f"TensorFlow does not see it and the CPU does the work: pip "
            f'install "noisymix_tf[gpu]" brings the CUDA libraries, or set '
            f"CUDA_VISIBLE_DEVICES=-1 if the CPU is what you want."
        )
    return here


def operations() -> str:
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


def announce_memory(
    function, strategy=None, *, is_silent: bool = False
) -> None:
    """Says what a step needs and warns, in silence too, where that is too much.

    Of the four steps of 1 to 3 GB that it was fitted to (32 pixels, one and
    three views, two networks), a CPU's process took 0.94 to 1.08 times this at
    its peak, and 1.14 times with XLA; of smaller steps up to 0.2 GB more. The
    concrete function of an execution was traced under the strategy.
    """
    here = found(strategy)
    needed = _BEYOND * peak(function.graph)
    if here.kind != "CPU":
        needed /= here.count  # Its devices have a memory each.
    if here.free is None or (needed <= here.free and is_silent):
        return
    words = f"step needs about {needed / 1e9:.1f} GB of memory"
    room = f"{here.free / 1e9:.1f} GB are free"
    if needed <= here.free:
        say(f"A {words}; {room}")
    else:
        warn(f"warning: a {words}, but {room}: {LESS_MEMORY}")


def peak(graph: "tf.Graph") -> int:
    """Most bytes that a graph's tensors take at one time, but for variables.

    Operations are taken to run in the order in which they were traced, and a
    tensor to live until the last one that takes it: what the forward pass
    leaves for the backward one adds up. What operations need for themselves is
    not seen, nor what they save by writing over an input.
    """
    operations, last = graph.get_operations(), {}
    for place, operation in enumerate(operations):
        last |= {tensor.ref(): place for tensor in operation.inputs}
    ends, now, most = [0] * len(operations), 0, 0
    for place, operation in enumerate(operations):
        for tensor in operation.outputs:
            now += _size(tensor)
            ends[last.get(tensor.ref(), place)] += _size(tensor)
        inside = max(map(peak, _called(graph, operation)), default=0)
        most = max(most, now + inside)
        now -= ends[place]
    return most


def _called(graph, operation):
    """Graphs of the functions that an operation calls."""
    for value in operation.node_def.attr.values():
        for name in (value.func.name, *(f.name for f in value.list.func)):
            function = graph._get_function(name) if name else None
            if hasattr(function, "graph"):
                yield function.graph


def _size(tensor):
    """Bytes of a tensor; 0 of one that is no array of known shape."""
    if not tensor.shape.is_fully_defined():
        return 0
    return tensor.shape.num_elements() * (tensor.dtype.size or 0)
