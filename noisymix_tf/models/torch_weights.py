"""Loads weights of the reference's PyTorch networks into the Keras ones."""

import re

import numpy as np

from noisymix_tf.errors import UsageError

# Parameter of a Keras layer -> (PyTorch's name, order of axes or None).
_CONV = {"kernel": ("weight", (2, 3, 1, 0)), "bias": ("bias", None)}
_DENSE = {"kernel": ("weight", (1, 0)), "bias": ("bias", None)}
_BATCH_NORM = {
    "gamma": ("weight", None),
    "beta": ("bias", None),
    "moving_mean": ("running_mean", None),
    "moving_variance": ("running_var", None),
}
_PARAMETERS = {
    "Conv2D": _CONV,
    "Dense": _DENSE,
    "BatchNormalization": _BATCH_NORM,
}
_TOP = {"stem": "conv1", "final_bn": "bn1", "logits": "linear"}
_IN_BLOCK = re.compile(r"stage(\d+)_block(\d+)_(\w+)")


def torch_name(layer):
    """Returns the reference's name of the module that a layer stands for.

    Example:

    >>> torch_name("stage2_block1_shortcut")
    'layer2.0.shortcut.0'
    """
    if layer in _TOP:
        return _TOP[layer]
    stage, block, part = _IN_BLOCK.fullmatch(layer).groups()
    part = "shortcut.0" if part == "shortcut" else part
    return f"layer{stage}.{int(block) - 1}.{part}"


def load_torch_weights(model, state_dict):
    """Sets the weights of a network of this package from a PyTorch one.

    Args:
        model: A model that `noisymix_tf.models.build` made.
        state_dict: Mapping from PyTorch parameter names to arrays (or CPU
            tensors) in PyTorch's layouts: the `state_dict()` of the
            reference's network of the same shape. A leading `"module."` is
            dropped and `num_batches_tracked` ignored.

    Raises:
        UsageError: If an entry is missing, left over or of another shape. The
            model is then unchanged.

    Example:

    >>> state = torch.load("preact_resnet18.pt", map_location="cpu")
    >>> load_torch_weights(models.build("preact_resnet18"), state)
    """
    state = {
        key.removeprefix("module."): value
        for key, value in state_dict.items()
        if not key.endswith("num_batches_tracked")
    }
    assignments = []
    for key, axes, variable in _entries(model):
        if key not in state:
            raise UsageError(
                f"The PyTorch weights lack {key!r}, which {model.name!r} needs."
            )
        value = np.asarray(state.pop(key))
        if axes is not None and value.ndim == len(axes):
            value = value.transpose(axes)
        if value.shape != tuple(variable.shape):
            raise UsageError(
                f"PyTorch weight {key!r} has shape {value.shape} in Keras's "
                f"layout, but {model.name!r} needs {tuple(variable.shape)}."
            )
        assignments.append((variable, value))
    if state:
        raise UsageError(
            f"The PyTorch weights hold {min(state)!r}, "
            f"which {model.name!r} does not have ({len(state)} such entries)."
        )
    for variable, value in assignments:
        variable.assign(value)


def _entries(model):
    """Yields `(PyTorch key, order of axes, variable)` of every weight."""
    for layer in model.layers:
        names = _PARAMETERS.get(type(layer).__name__, {})
        for attribute, (suffix, axes) in names.items():
            variable = getattr(layer, attribute)
            if variable is not None:
                yield f"{torch_name(layer.name)}.{suffix}", axes, variable
