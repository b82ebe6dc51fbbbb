"""Exponential moving average of the weights of a classifier in training.

After the step with index t (from 0) the average a of a weight w is

    a = d * a + (1 - d) * w,    d = min(decay, t / (t + 9))

so that it begins with the weights after the first step and, while the run is
young, forgets the earliest of them quickly (the rule of
`tf.train.ExponentialMovingAverage` with `num_updates`).

All floats of the classifier are averaged alike, the moving statistics of batch
normalisation included: they belong to the weights that made them.
"""

import contextlib

import keras
import numpy as np
import tensorflow as tf

from noisymix_tf.checks import is_real
from noisymix_tf.errors import UsageError

# How fast the decay approaches its final value.
_RAMP = 9.0


class WeightAverage:
    """Averages of a model's variables, themselves variables of its owner.

    Args:
        owner: Keras layer that the averages become weights of, so that they
            are saved and restored with it.
        model: Built Keras model.
        decay: Final decay, greater than 0 and less than 1.

    Raises:
        UsageError: Another decay, or the model has no weights yet.
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
        self.decay = decay
        self._is_swapped = False
        self._pairs = []
        for index, variable in enumerate(_floats(model)):
            average = owner.add_weight(
                name=f"average_{index}",
                shape=variable.shape,
                # Half precision would lose the small differences.
                dtype=_at_least_float32(variable.dtype),
                initializer="zeros",
                trainable=False,
                autocast=False,
                # All replicas have the same weights.
                aggregation="only_first_replica",
            )
            average.assign(variable)
            self._pairs.append((variable, average))

    def update(self, step):
        """Takes the weights after the step with an index into the average."""
        t = tf.cast(step, tf.float32)
        decay = tf.minimum(self.decay, t / (t + _RAMP))
        for variable, average in self._pairs:
            new = tf.cast(variable, average.dtype)
            # The form that leaves alone what does not change.
            old = tf.where(decay > 0.0, tf.convert_to_tensor(average), new)
            average.assign(old + tf.cast(1.0 - decay, new.dtype) * (new - old))

    @contextlib.contextmanager
    def swapped_in(self):
        """Within it, the model has the averages in place of its weights."""
        if self._is_swapped:
            yield
            return
        weights = [np.asarray(variable) for variable, _ in self._pairs]
        self._is_swapped = True
        try:
            for variable, average in self._pairs:
                variable.assign(np.asarray(average))
            yield
        finally:
            self._is_swapped = False
            for (variable, _), weight in zip(self._pairs, weights):
                variable.assign(weight)


class EvaluatesAverages:
    """What a trainer does with the averages of its classifier's weights.

    Mixed into a `keras.Model` with a counter `step` and an attribute
    `evaluate_ema`, whether the averages are what is evaluated.
    """

    def _make_average(self, model, decay):
        self._average = WeightAverage(self, model, decay) if decay else None

    @contextlib.contextmanager
    def evaluation_weights(self):
        """Within it, the classifier has the weights that are to be measured.

        With `ema` and `evaluate_ema` these are the averages, once there are
        any; otherwise they are the weights as they are. `evaluate` does it by
        itself, and so do the callbacks and functions of this package that
        measure or save the classifier of a trainer.

        Example:

        >>> with trainer.evaluation_weights():
        ...     trainer.model.save("averaged.keras")
        """
        is_averaged = self._average is not None and self.evaluate_ema
        if not is_averaged or not int(self.step.numpy()):
            yield
            return
        with self._average.swapped_in():
            yield

    def evaluate(self, *args, **kwargs):
        """As Keras, with `evaluation_weights`; so does `fit` validate."""
        with self.evaluation_weights():
            return super().evaluate(*args, **kwargs)


def _floats(model):
    """The weights of a model that can be averaged, each once."""
    found = {id(v): v for v in model.weights}
    return [v for v in found.values() if keras.backend.is_float_dtype(v.dtype)]


def _at_least_float32(dtype):
    return "float64" if dtype == "float64" else "float32"
