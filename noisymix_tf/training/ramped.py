"""Levels of mixing, noise and stability that a run's flags ramp."""

import functools

import numpy as np

from noisymix_tf.callbacks import NoisyMixSchedule
from noisymix_tf.config import ramps


def schedule(method, steps):
    """The callback that moves a method's levels.

    Args:
        method: `MethodConfig`.
        steps: Steps of the whole training.

    Returns:
        `NoisyMixSchedule` by steps, or None where nothing moves.
    """
    corners = {}
    for ramp in ramps.parse(method.ramps):
        positions, values = corners.setdefault(ramp.name, ([], []))
        start = values[-1] if values else getattr(method, ramp.name)
        positions += [ramp.first * steps, ramp.last * steps]
        values += [start, ramp.end]
    if not corners:
        return None
    levels = {
        name: functools.partial(np.interp, xp=positions, fp=values)
        for name, (positions, values) in corners.items()
    }
    return NoisyMixSchedule(**levels, by="step")
