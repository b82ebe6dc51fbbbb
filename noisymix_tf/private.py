"""What is private in Keras and TensorFlow, and used here: all of it.

A new version may move or change it; a test looks for each name. Seen with
TensorFlow 2.21.0 and Keras 3.15.1.
"""

import importlib

from noisymix_tf.lazy import keras

_PLACES = {
    "Functional": "keras.src.models.functional",
    "python_random": "keras.src.random.seed_generator",
    "SymbolicArguments": "keras.src.ops.symbolic_arguments",
    "get_keras_mask": "keras.src.backend",
    "to_snake_case": "keras.src.utils.naming",
    "control_flow_util": "tensorflow.python.ops",
    "device_lib": "tensorflow.python.client",
    "disable_op_determinism": "tensorflow.python.framework.config",
    "is_op_determinism_enabled": "tensorflow.python.framework.config",
}

__all__ = sorted(_PLACES)


def __getattr__(name):
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_PLACES[name]), name)


def functional(model: "keras.Model") -> "keras.Model | None":
    """The graph that says all about a Keras model, or `None`.

    A subclass with a `call` of its own has none, nor has a Sequential model
    that has not been built.
    """
    is_sequence = isinstance(model, keras.Sequential)
    base = keras.Sequential if is_sequence else __getattr__("Functional")
    if not isinstance(model, base) or type(model).call is not base.call:
        return None
    return model._functional if is_sequence else model


def is_graph(model: "keras.Model") -> bool:
    """Whether a model is nothing but a functional or Sequential graph."""
    return functional(model) is not None
