"""What is private in Keras and TensorFlow, and used here: all of it.

A new version may move or change it; a test looks for each name. Seen with
TensorFlow 2.21.0 and Keras 3.15.1.
"""

import importlib

_PLACES = {
    "Functional": "keras.src.models.functional",
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
