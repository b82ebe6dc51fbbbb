"""Models that are traced once, and what is compared of two trainings."""

import functools

import numpy as np

from noisymix_tf.adjustable import LEVELS
from noisymix_tf.callbacks.logs import read_json_lines
from support import fit_models


def fresh(kind, **options):
    """A model to change variables and levels of; ends the last of its kind."""
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
    start = [np.asarray(variable).copy() for variable in variables]
    levels = {n: getattr(model, n) for n in LEVELS if hasattr(model, n)}
    return model, variables, start, levels


def assert_equal(some, others):
    for a, b in zip(some, others, strict=True):
        np.testing.assert_array_equal(a, b)


def log_of(folder, without=("seconds", "steps_per_second", "by")):
    return [
        {k: v for k, v in line.items() if not k.startswith(without)}
        for line in read_json_lines(folder / "metrics.jsonl")
    ]
