"""The classifier in a `NoisyMix` or as it is: its weights, steps and hash."""

import contextlib
import hashlib
import json

import numpy as np

from noisymix_tf.errors import UsageError

DIGITS = 16


def classifier_of(model):
    """The classifier that is trained: of a `NoisyMix` what it wraps."""
    return model.model if _is_wrapped(model) else model


def evaluation_weights(model):
    """A context in which a `NoisyMix` that averages its weights has these."""
    return getattr(model, "evaluation_weights", contextlib.nullcontext)()


def step_of(model) -> int:
    """Steps taken so far: batches of the trainer, or of a plain model.

    Those that a `LossScaleOptimizer` skips do not count with a plain model.
    """
    counter = getattr(model, "step", None)
    if not _is_wrapped(model):
        inner = getattr(model.optimizer, "inner_optimizer", model.optimizer)
        # Its public counter is one of updates, each perhaps of many batches.
        counter = inner._iterations
    # A variable with a copy on each replica is no `int`.
    return int(counter.numpy())


def _is_wrapped(model):
    # By what it can: the trainer stands above this room.
    return hasattr(model, "evaluation_weights")


def model_fingerprint(model) -> str:
    """Hash of a model's weights and of what it does with them.

    The configuration counts, for models may differ in a constant such as the
    mean of their normalisation, but not the names in it, which depend on what
    else a process built. A model whose configuration cannot be had (a plain
    subclass) is known by its weights and the types of its layers; what has a
    `fingerprint`, by that.
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
    types = json.dumps([type(layer).__name__ for layer in layers])
    try:
        config = json.dumps(
            model.get_config(),
            sort_keys=True,
            default=lambda value: type(value).__name__,
        )
    except Exception:  # A user's `get_config` may fail in any way.
        return types
    # What is no layer has a name as well, which tells as little.
    parts = (x for model in layers for x in getattr(model, "operations", ()))
    for index, layer in enumerate([*layers, *parts]):
        config = config.replace(json.dumps(layer.name), f'"#{index}"')
    return types + config
