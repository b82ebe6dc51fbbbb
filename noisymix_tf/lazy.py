"""TensorFlow, Keras, SciPy and Pillow, imported when they are first used.

They take seconds to import. A module that says `from noisymix_tf.lazy import
keras, tf` costs nothing until then: a command knows its parts, prints its help
and refuses a mistake at once.
"""

import functools
import importlib
import sys
import types
import typing
from collections.abc import Callable

# What Keras is to know by name, once it is there.
_waiting = []


class _Lazy(types.ModuleType):
    def __getattr__(self, name):
        module = importlib.import_module(self.__name__)
        if self.__name__ == "keras":
            while _waiting:
                _register(module, _waiting.pop(0))
        return getattr(module, name)


if typing.TYPE_CHECKING:
    import keras
    import tensorflow as tf
    from PIL import Image
    from scipy import fft, ndimage, sparse, special, stats
else:
    keras, tf, Image = map(_Lazy, ("keras", "tensorflow", "PIL.Image"))
    fft, ndimage, sparse, special, stats = (
        _Lazy(f"scipy.{name}")
        for name in ("fft", "ndimage", "sparse", "special", "stats")
    )


def serializable(entry: type) -> type:
    """`keras.saving.register_keras_serializable("noisymix_tf")`."""
    if sys.modules.get("keras"):
        return _register(sys.modules["keras"], entry)
    _waiting.append(entry)
    return entry


def function(**options) -> Callable:
    """`tf.function(**options)`, made when it is first called."""

    def decorate(python_function):
        @functools.cache
        def made():
            return tf.function(python_function, **options)

        @functools.wraps(python_function)
        def call(*arguments, **more):
            return made()(*arguments, **more)

        return call

    return decorate


def _register(module, entry):
    return module.saving.register_keras_serializable("noisymix_tf")(entry)
