"""What a classifier puts out: logits or probabilities. All ask here."""

import keras
import numpy as np

from noisymix_tf.errors import UsageError
from noisymix_tf.functional import functional, is_graph

SOFTMAX, SIGMOID, LOGITS = "softmax", "sigmoid", "logits"
PROBABILITIES, AUTO = "probabilities", "auto"
OUTPUTS = (AUTO, LOGITS, PROBABILITIES)

_ACTIVATIONS = {"softmax": SOFTMAX, "sigmoid": SIGMOID, "linear": LOGITS}
# Layers and operations that change the type or the shape of values only.
_PASSED = ("Cast", "Flatten", "Identity", "Reshape", "Squeeze")
# How far from one a row of probabilities may sum: bfloat16 rounds each of them
# by up to one part in 512. What a model computes in cannot be told from what
# it puts out, so that it holds for all.
_ROW_SUM_TOLERANCE = 1 / 256


def gives_logits(model, outputs, said=AUTO):
    """Whether a classifier gives logits, not probabilities.

    How it ends tells, where that can be seen; else its outputs do. Outputs of
    a sigmoid are probabilities, each of its own class.

    Args:
        model: Keras model, or a function of images; see `ending`.
        outputs: float `[B, K]`, what it puts out for some images.
        said: `"logits"` or `"probabilities"`, what the user says; `"auto"`
            where nothing is said.

    Raises:
        UsageError: What is said, or how it ends, cannot be.
    """
    seen = ending(model)
    by_end = None if seen is None else seen == LOGITS
    found = not are_probabilities(outputs) if by_end is None else by_end
    logits = found if said == AUTO else said == LOGITS
    in_range = outputs.min() >= 0 and outputs.max() <= 1 + _ROW_SUM_TOLERANCE
    if (logits and by_end is False) or not (logits or in_range):
        why = (
            f"it ends in {seen}"
            if logits
            else f"they reach from {outputs.min():.3g} to {outputs.max():.3g}"
        )
        raise UsageError(
            f"outputs={said!r}, but this model gives "
            f"{PROBABILITIES if logits else LOGITS} ({why}): leave the setting "
            f"out, or change the model."
        )
    return logits


def ending(model):
    """How a model ends, as far as its last layers tell.

    Casts, changes of shape and activations without effect are looked through,
    and so are nested models.

    Args:
        model: Any Keras model; or what says it itself, by an attribute
            `ending`.

    Returns:
        `"softmax"`, `"sigmoid"`, `"logits"` (a layer with weights and without
        activation), or `None` where it cannot be known. A SavedModel may say
        `"probabilities"`.
    """
    own = getattr(model, "ending", None)
    if isinstance(own, str):
        return own
    if not is_graph(model) or len(functional(model).outputs) != 1:
        return None
    return _ending(functional(model).outputs[0], ())


def are_probabilities(outputs):
    """Whether all rows of `[B, K]` are non-negative and sum to one."""
    sums = outputs.sum(axis=-1, dtype=np.float64)
    near_one = np.abs(sums - 1.0) <= _ROW_SUM_TOLERANCE
    return bool((outputs >= 0.0).all() and near_one.all())


def _ending(tensor, calls):
    """`ending` of a symbolic tensor.

    Args:
        tensor: `keras.KerasTensor`.
        calls: For each nested model around it, outermost first, the tensors
            that it is called with.
    """
    operation, node, place = tensor._keras_history
    inputs = operation._inbound_nodes[node].input_tensors
    if isinstance(operation, keras.layers.InputLayer):
        if not calls or len(calls[-1]) != 1:
            return None
        return _ending(calls[-1][0], calls[:-1])
    if is_graph(operation):
        return _ending(functional(operation).outputs[place], (*calls, inputs))
    name = type(operation).__name__
    if name.lower() in (SOFTMAX, SIGMOID):
        return name.lower()
    activation = getattr(operation, "activation", None)
    word = getattr(activation, "__name__", type(activation).__name__.lower())
    kind = _ACTIVATIONS.get(word)
    is_empty = kind == LOGITS and isinstance(operation, keras.layers.Activation)
    if is_empty or name in _PASSED:
        return _ending(inputs[0], calls) if _same_rows(tensor, inputs) else None
    if kind == LOGITS and not getattr(operation, "weights", None):
        return None
    return kind


def _same_rows(tensor, inputs):
    """Whether an operation leaves the K values of an image side by side."""
    sizes = [
        [side for side in t.shape[1:] if side != 1] for t in (tensor, *inputs)
    ]
    return len(sizes) == 2 and sizes[0] == sizes[1]
