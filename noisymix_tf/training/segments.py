"""Cuts a Keras model at named layers into segments that share its weights."""

import keras

from noisymix_tf.errors import UsageError
from noisymix_tf.training.fused_norm import FusedNormModel

INPUT = "input"
AUTO = "auto"
# Hidden taps that `auto` picks at most: the reference never mixes after the
# last stage of a four-stage network.
_MAX_HIDDEN_TAPS = 3
_PREPROCESSING = ("Rescaling", "Normalization", "CastToFloat32")
_MERGES = ("Add", "Concatenate", "Multiply", "Average")
_ACTIVATIONS = ("Activation", "ReLU", "LeakyReLU", "PReLU", "ELU")


def cut(model, taps=AUTO):
    """Cuts a model at taps.

    Args:
        model: Keras model with one input. Functional and Sequential models can
            be cut anywhere that all paths pass; others only at `"input"`.
        taps: `"auto"`, or names of layers in the order of the data flow.
            `"input"` stands for the model's input.

    Returns:
        `(names, segments)`: the taps' names, and `len(names) + 1` callables of
        the form `segment(x, training)`; segment `i` ends at tap `i`, the last
        one at the model's output. Chained, they compute the model exactly.

    Raises:
        UsageError: A tap that does not exist or that not all paths pass; the
            message lists the valid points.

    Example:

    >>> names, segments = cut(model, taps=["normalize", "stage1"])
    >>> h = x
    >>> for segment in segments:
    ...     h = segment(h, training=False)
    """
    if not is_graph(model):
        if taps not in (AUTO, INPUT) and tuple(taps) != (INPUT,):
            raise UsageError(
                f"taps={taps!r}: a subclassed model ({type(model).__name__}) "
                f"has no graph of layers; use taps='input' (mixing at the "
                f"input) or a functional or Sequential model."
            )
        return (INPUT,), [_identity, model]
    points = cut_points(model)
    if isinstance(taps, str):
        taps = auto_taps(model) if taps == AUTO else (taps,)
    taps = tuple(taps)
    if not taps:
        raise UsageError("taps is empty: name at least one layer, or 'input'.")
    order = [INPUT, *points]
    for tap in taps:
        if tap not in order:
            raise UsageError(_refusal(model, tap, order))
    positions = [order.index(tap) for tap in taps]
    if positions != sorted(set(positions)):
        raise UsageError(
            f"taps={list(taps)} must be distinct and in the order of the data "
            f"flow: {sorted(set(taps), key=order.index)}."
        )
    tensors = [model.inputs[0] if tap == INPUT else points[tap] for tap in taps]
    starts = [model.inputs[0], *tensors]
    ends = [*tensors, model.outputs[0]]
    segments = []
    for index, (start, end) in enumerate(zip(starts, ends)):
        if start is end:
            segments.append(_identity)
        else:
            segments.append(FusedNormModel(start, end, name=f"segment_{index}"))
    return taps, segments


def is_graph(model):
    """Whether a model is a functional or Sequential graph of layers."""
    return isinstance(model, (keras.Sequential, keras.src.models.Functional))


def cut_points(model):
    """Finds every layer whose output all paths from input to output pass.

    In any topological order such a tensor is the only one that crosses from
    what comes before it to what comes after.

    Args:
        model: Functional or Sequential model with one input and one output.

    Returns:
        Dict from layer name to its output tensor, in the order of the data
        flow, without the model's own input and output.
    """
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise UsageError(
            f"The model has {len(model.inputs)} inputs and "
            f"{len(model.outputs)} outputs; mixing needs one of each."
        )
    nodes = _nodes(model)
    last_use = {}
    for position, node in enumerate(nodes):
        for tensor in node.input_tensors:
            last_use[id(tensor)] = position
    points = {}
    open_tensors = set()
    for position, node in enumerate(nodes):
        open_tensors = {t for t in open_tensors if last_use[t] > position}
        for tensor in node.output_tensors:
            if last_use.get(id(tensor), -1) > position:
                open_tensors.add(id(tensor))
        output = node.output_tensors[0]
        if open_tensors == {id(output)} and output is not model.inputs[0]:
            points[node.operation.name] = output
    return points


def auto_taps(model):
    """Chooses the input after preprocessing and the outputs of three stages.

    The first tap is the output of the leading preprocessing layers, or the
    input where there are none. A stage ends where the shape of the features
    changes; its output is its last merge of branches (the end of a residual or
    dense block) with the activation behind it, if any, or, in a network without
    branches, its last layer.
    """
    points = cut_points(model)
    layers = {layer.name: layer for layer in model.layers}
    names = [name for name in points if name in layers]
    first = INPUT
    while names and type(layers[names[0]]).__name__ in _PREPROCESSING:
        first = names.pop(0)
    kinds = [type(layers[name]).__name__ for name in names]
    merges = []
    for position, kind in enumerate(kinds):
        after = kinds[position + 1] if position + 1 < len(kinds) else None
        if kind in _MERGES:
            merges.append(names[position + (after in _ACTIVATIONS)])
    stages = {}
    for name in merges or names:
        stages[tuple(points[name].shape)] = name
    return (first, *list(stages.values())[:_MAX_HIDDEN_TAPS])


def _nodes(model):
    """The nodes of the model's graph in topological order."""
    if isinstance(model, keras.Sequential):
        model = model._functional
    depths = sorted(model._nodes_by_depth, reverse=True)
    return [node for depth in depths for node in model._nodes_by_depth[depth]]


def _refusal(model, tap, order):
    known = {layer.name for layer in model.layers}
    reason = (
        "not all paths through the model pass it"
        if tap in known
        else "the model has no such layer"
    )
    return f"Unusable tap {tap!r}: {reason}. Usable: {', '.join(order)}."


def _identity(x, training=None):
    del training
    return x
