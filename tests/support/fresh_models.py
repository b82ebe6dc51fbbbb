"""The models of `fit_models`, each traced once and given out as if new."""

import functools

import numpy as np

from noisymix_tf.adjustable import LEVELS
from support import fit_models


def get(kind, **options):
    """What `fit_models.model` makes; the last with the same options ends.

    For who changes no more of it than variables and levels.
    """
    model, variables, start, levels = _made(kind, **options)
    for variable, value in zip(variables, start):
        variable.assign(value)
    for name, level in levels.items():
        setattr(model, name, level)
    return model


@functools.cache
def _made(kind, **options):
    model = fit_models.model(kind, **options)
    model.optimizer.build(model.trainable_variables)
    variables = [*model.variables, *model.optimizer.variables]
    levels = {n: getattr(model, n) for n in LEVELS if hasattr(model, n)}
    return model, variables, [np.asarray(v).copy() for v in variables], levels


def assert_equal(some, others):
    """Arrays of two lists are the same to the last bit."""
    for a, b in zip(some, others, strict=True):
        np.testing.assert_array_equal(a, b)
