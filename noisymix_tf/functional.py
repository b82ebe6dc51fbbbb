"""The graph that says all about a Keras model."""

import keras
from keras.src.models.functional import Functional


def functional(model):
    """The `Functional` of a functional or Sequential model, or `None`.

    A subclass with a `call` of its own has none, nor has a Sequential model
    that has not been built.
    """
    kind = type(model)
    if isinstance(model, keras.Sequential):
        own = kind.call is keras.Sequential.call
        return model._functional if own else None
    if isinstance(model, Functional):
        return model if kind.call is Functional.call else None
    return None


def is_graph(model):
    """Whether a model is nothing but a functional or Sequential graph."""
    return functional(model) is not None
