"""Loads weights of published PyTorch networks into the Keras ones."""

import re
from collections.abc import Mapping

import numpy as np

from noisymix_tf.errors import UsageError
from noisymix_tf.models.zoo import MODELS

# Parameter of a Keras layer -> PyTorch's name.
_AFFINE = {"kernel": "weight", "bias": "bias"}
_BATCH_NORM = {"gamma": "weight", "beta": "bias"}
_BATCH_NORM |= {"moving_mean": "running_mean", "moving_variance": "running_var"}
_PARAMETERS = {"Conv2D": _AFFINE, "Dense": _AFFINE}
_PARAMETERS["BatchNormalization"] = _BATCH_NORM
# PyTorch's axes of a kernel, in Keras' order, by their number.
_AXES = {4: (2, 3, 1, 0), 2: (1, 0)}
# Where checkpoints keep the weights, and what wrappers put before their names.
_WRAPPERS = ("state_dict", "model_state_dict")
_PREFIXES = re.compile(r"^(module\.|model\.)+")
# Names of the constants that PyTorch models of pixels in 0..1 normalise with.
_MEANS = {"mu", "normalize.mean"}
_STDS = {"sigma", "normalize.std"}


def load_torch_weights(model, state_dict):
    """Sets the weights of a network of this package from a PyTorch one.

    The names may be those of any code base that the architecture of the model
    or of another registered network states (`Architecture.torch_names`); the
    one that fits best is taken.

    Args:
        model: A model that `noisymix_tf.models.build` made, or one saved and
            loaded.
        state_dict: Mapping from PyTorch parameter names to arrays (or CPU
            tensors) in PyTorch's layouts, or a checkpoint that holds one as
            `"state_dict"` or `"model_state_dict"`. A leading `"module."` or
            `"model."` is dropped and `num_batches_tracked` ignored. Constants
            of a normalisation inside the PyTorch model (`mu` and `sigma`, or
            `normalize.mean` and `normalize.std`) must be the model's own.

    Raises:
        UsageError: If an entry is missing, left over or of another shape, or
            if the normalisations differ. The model is then unchanged.

    Example:

    >>> state = torch.load("resnet50.pth", map_location="cpu")
    >>> load_torch_weights(models.build("resnet50"), state)
    """
    state = _entries(state_dict)
    variables = _variables(model, state)
    _check_normalization(model, state)
    values = {}
    for key, variable in variables.items():
        if key not in state:
            raise UsageError(
                f"The PyTorch weights lack {key!r}, which {model.name!r} needs."
            )
        value = np.asarray(state.pop(key))
        if value.ndim == len(variable.shape) and value.ndim in _AXES:
            value = value.transpose(_AXES[value.ndim])
        if value.shape != tuple(variable.shape):
            raise UsageError(
                f"PyTorch weight {key!r} has shape {value.shape} in Keras's "
                f"layout, but {model.name!r} needs {tuple(variable.shape)}."
            )
        values[key] = value
    if state:
        raise UsageError(
            f"The PyTorch weights hold {min(state)!r}, "
            f"which {model.name!r} does not have ({len(state)} such entries)."
        )
    for key, value in values.items():
        variables[key].assign(value)


def _entries(state_dict):
    """The entries of a checkpoint without what wrappers add to them."""
    for wrapper in _WRAPPERS:
        if isinstance(state_dict, Mapping) and wrapper in state_dict:
            state_dict = state_dict[wrapper]
    if not isinstance(state_dict, Mapping):
        raise UsageError(
            f"The PyTorch weights are a {type(state_dict).__name__}; give a "
            "mapping from names to arrays, such as module.state_dict()."
        )
    return {
        _PREFIXES.sub("", key): value
        for key, value in state_dict.items()
        if not key.endswith("num_batches_tracked")
    }


def _variables(model, state):
    """Variables by PyTorch's key, of the names that most entries go by."""
    layers = [layer for layer in model.layers if layer.weights]
    known = [n for _, entry in MODELS.items() for n in entry.torch_names]
    for layer in layers:
        known = [names for names in known if names.of(layer.name)]
        if not known or type(layer).__name__ not in _PARAMETERS:
            raise UsageError(
                f"Model {model.name!r} is not a registered network: "
                f"no PyTorch name is known for its layer {layer.name!r}."
            )
    found = [
        {
            f"{names.of(layer.name)}.{suffix}": variable
            for layer in layers
            for name, suffix in _PARAMETERS[type(layer).__name__].items()
            if (variable := getattr(layer, name)) is not None
        }
        for names in known
    ]
    return max(found, key=lambda variables: len(variables.keys() & state))


def _check_normalization(model, state):
    """Takes a PyTorch model's normalisation out of its state, and compares."""
    layer = model.get_layer("normalize")
    std = 1 / (255 * np.asarray(layer.scale))
    mean = -np.asarray(layer.offset) * std
    for what, ours, keys in (("mean", mean, _MEANS), ("std", std, _STDS)):
        for key in keys & state.keys():
            theirs = np.ravel(np.asarray(state.pop(key)))
            fits = theirs.size in (1, ours.size)
            if not fits or not np.allclose(theirs, ours, rtol=0, atol=1e-4):
                raise UsageError(
                    f"The PyTorch model normalises with {key} {_text(theirs)}, "
                    f"{model.name!r} with {what} {_text(ours)}; build it with "
                    f"{what}={_text(theirs)}."
                )


def _text(values):
    return f"({', '.join(f'{v:.4g}' for v in values)})"
