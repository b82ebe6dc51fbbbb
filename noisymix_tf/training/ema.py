"""Exponential moving average of the weights of a classifier in training.

After the step with index t (from 0) the average a of a weight w is

    a = d * a + (1 - d) * w,    d = min(decay, t / (t + 9))

so that it begins with the weights after the first step and, while the run is
young, forgets the earliest of them quickly (the rule of
`tf.train.ExponentialMovingAverage` with `num_updates`). Keras' optimizers know
one decay for all steps, and average only what is trained. Here it is all floats
of the classifier, the moving statistics of batch normalisation included: they
belong to the weights that made them.
"""

import contextlib
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from noisymix_tf.checks import is_real
from noisymix_tf.errors import UsageError
from noisymix_tf.layers.features import running
from noisymix_tf.training.precision import floats_of

# How fast the decay approaches its final value.
_RAMP = 9.0


class WeightAverage:
    """Averages of a model's variables.

    They are weights of the owner, a Keras layer, and saved with it. `decay` is
    the final one, greater than 0 and less than 1.
    """

    def __init__(self, owner, model, decay):
        if not is_real(decay) or not 0 < decay < 1:
            raise UsageError(
                f"ema={decay!r} must be a number in [0, 1): the decay of the "
                f"average of the weights, or 0 for none."
            )
        if not model.built:
            raise UsageError(
                f"ema={decay} averages weights, and the model {model.name!r} "
                f"has none yet: build it first."
            )
        self._decay = decay
        self._is_swapped = False
        self._pairs = [
            (variable, _like(variable, owner, f"average_{index}"))
            for index, variable in enumerate(floats_of(model.weights))
        ]

    def update(self, step) -> None:
        """Takes the weights after the step with an index into the average."""
        t = tf.cast(step, tf.float32)
        decay = tf.minimum(self._decay, t / (t + _RAMP))
        for variable, average in self._pairs:
            new = tf.cast(variable, average.dtype)
            # The form that leaves alone what does not change.
            old = tf.where(decay > 0.0, tf.convert_to_tensor(average), new)
            average.assign(old + tf.cast(1.0 - decay, new.dtype) * (new - old))

    @contextlib.contextmanager
    def swapped_in(self) -> Iterator[None]:
        """Within it, the model has the averages in place of its weights."""
        if self._is_swapped:
            yield
            return
        before = [(weight, np.asarray(weight)) for weight, _ in self._pairs]
        self._is_swapped = True
        try:
            for variable, average in self._pairs:
                variable.assign(np.asarray(average))
            yield
        finally:
            self._is_swapped = False
            for variable, weight in before:
                variable.assign(weight)


def _like(variable, owner, name):
    """A weight of the owner with the values of a variable."""
    # Half precision would lose the small differences.
    dtype = "float64" if variable.dtype == "float64" else "float32"
    # Every replica has the same weights, and makes its own average of them.
    average = running(owner, name, variable.shape, dtype)
    average.assign(variable)
    return average
