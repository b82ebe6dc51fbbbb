"""The graph that says all about a Keras model, and what it takes."""

from noisymix_tf import private
from noisymix_tf.errors import UsageError
from noisymix_tf.lazy import keras


def functional(model):
    """The `Functional` of a functional or Sequential model, or `None`.

    A subclass with a `call` of its own has none, nor has a Sequential model
    that has not been built.
    """
    kind = type(model)
    if isinstance(model, keras.Sequential):
        own = kind.call is keras.Sequential.call
        return model._functional if own else None
    if isinstance(model, private.Functional):
        return model if kind.call is private.Functional.call else None
    return None


def is_graph(model):
    """Whether a model is nothing but a functional or Sequential graph."""
    return functional(model) is not None


def input_dtype(model, shape):
    """Type of the pixels that a model takes; checks the size of images.

    Args:
        model: Keras model or function. A subclassed model and a function say
            nothing of their input: it is float32 of any size.
        shape: `(H, W, C)` of the images.

    Raises:
        UsageError: The model takes something else.
    """
    try:
        (wanted,) = model.inputs
    except (AttributeError, TypeError, ValueError):
        return "float32"
    takes = list(wanted.shape)[1:]
    if len(takes) != 3 or any(
        want not in (None, have) for want, have in zip(takes, shape)
    ):
        raise UsageError(
            f"The model takes images {takes}, these are {list(shape)}: choose "
            f"a model and images that fit."
        )
    return wanted.dtype
