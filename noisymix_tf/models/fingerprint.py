"""The short name of a model, so that no stale result is reused."""

import hashlib
import json

import numpy as np

from noisymix_tf.errors import UsageError

DIGITS = 16


def model_fingerprint(model):
    """Hash of a model's weights and of what it does with them.

    The weights alone would not tell two models apart that differ in a constant,
    such as the mean and deviation of their normalisation, so the configuration
    counts too, without the names, which depend on what else a process built. A
    model whose configuration cannot be had (a plain subclass) is known by its
    weights and the types of its layers; what has a `fingerprint`, by that.
    """
    own = getattr(model, "fingerprint", None)
    if isinstance(own, str):
        return own
    if not hasattr(model, "weights"):
        raise UsageError(
            f"A {type(model).__name__} has no weights to know it by: give it "
            "an attribute fingerprint, a word that changes with it."
        )
    digest = hashlib.sha256(_architecture(model).encode())
    for weight in model.weights:
        value = np.ascontiguousarray(weight.numpy())
        digest.update(f"{value.shape}{value.dtype}".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()[:DIGITS]


def _architecture(model):
    layers = model._flatten_layers()
    types = [type(layer).__name__ for layer in layers]
    try:
        config = json.dumps(
            model.get_config(),
            sort_keys=True,
            default=lambda value: type(value).__name__,
        )
    except Exception:  # A user's `get_config` may fail in any way.
        return json.dumps(types)
    for index, layer in enumerate(layers):
        config = config.replace(json.dumps(layer.name), f'"#{index}"')
    return json.dumps(types) + config
