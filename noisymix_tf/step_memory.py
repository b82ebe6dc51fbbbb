"""How much memory a train step needs, told before it is taken."""

import sys

from noisymix_tf import devices, distribution

ADVICE = (
    "give a smaller --batch_size (with --accumulation_steps=N, which counts "
    "for more), a smaller --width or fewer --num_views; on an accelerator "
    "--precision=mixed_bfloat16."
)
# What operations need for themselves, beyond their inputs and outputs.
_BEYOND = 1.15


def announce(function, strategy=None, *, is_silent=False):
    """Says what a step needs and warns, in silence too, where that is too much.

    Of the four steps of 1 to 3 GB that it was fitted to (32 pixels, one and
    three views, two networks), a CPU's process took 0.94 to 1.08 times this at
    its peak, and 1.14 times with XLA; of smaller steps up to 0.2 GB more.

    Args:
        function: The concrete function of an execution.
        strategy: `tf.distribute.Strategy` that it was traced under.
        is_silent: Whether to say nothing of what there is room for.
    """
    found = devices.found(strategy)
    needed = _BEYOND * peak(function.graph)
    if found.kind != "CPU":
        # Its devices have a memory each.
        needed /= distribution.num_replicas(strategy)
    if found.free is None or (needed <= found.free and is_silent):
        return
    words = f"step needs about {needed / 1e9:.1f} GB of memory"
    if needed <= found.free:
        words = f"A {words}; {found.free / 1e9:.1f} GB are free"
    else:
        words = (
            f"warning: a {words}, but {found.free / 1e9:.1f} GB are free: "
            f"{ADVICE}"
        )
    print(words, file=sys.stderr, flush=True)


def peak(graph):
    """Most bytes that a graph's tensors take at one time, but for variables.

    Operations are taken to run in the order in which they were traced, and a
    tensor to live until the last one that takes it: what the forward pass
    leaves for the backward one adds up. What operations need for themselves is
    not seen, nor what they save by writing over an input.

    Args:
        graph: `tf.Graph`, as of a concrete function.
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
