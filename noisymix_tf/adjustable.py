"""Numbers of a layer or trainer that may change while its traced step runs."""

import math

from noisymix_tf.checks import is_real
from noisymix_tf.errors import UsageError

# What a method has of them, in the order of `NoisyMixSchedule`.
LEVELS = ("alpha", "additive_noise", "multiplicative_noise", "jsd_weight")
# Of float32.
_LARGEST = 3.4e38


class Adjustable:
    """A number that can be assigned at any time without a new trace.

    As an attribute it reads and is assigned like a Python float. What is traced
    takes its value from `tensor(owner)`, a variable that follows the
    assignments. The variable is no weight: it is not saved, and whoever
    continues a run sets it again.

    Args:
        low: Smallest value accepted.
        high: Largest value accepted.
        meaning: Words for the error, such as `"the weight of the JSD term"`.

    Raises:
        UsageError: On assignment of anything but a finite number in the range.

    Example:

    >>> class Layer(keras.Layer):
    ...     rate = Adjustable(high=1.0)
    ...     def __init__(self, rate):
    ...         super().__init__()
    ...         self.rate = rate
    ...     def call(self, x):
    ...         return x * Layer.rate.tensor(self)
    """

    def __init__(self, low=0.0, high=math.inf, meaning=""):
        self.low = low
        self.high = high
        self.meaning = meaning

    def __set_name__(self, owner, name):
        self.name = name

    def __get__(self, instance, owner=None):
        return self if instance is None else self._of(instance)[0]

    def __set__(self, instance, value):
        import tensorflow as tf

        self._check(value)
        value = float(value)
        # Written past Keras' tracking of attributes: not a weight, not saved.
        if self.name in instance.__dict__:
            _, variable = self._of(instance)
            variable.assign(value)
        else:
            variable = tf.Variable(
                value, trainable=False, dtype=tf.float32, name=self.name
            )
        instance.__dict__[self.name] = (value, variable)

    def tensor(self, instance):
        """The current value as a float32 scalar, also in a traced function."""
        return self._of(instance)[1].read_value()

    def _of(self, instance):
        try:
            return instance.__dict__[self.name]
        except KeyError:
            raise AttributeError(self.name) from None

    def _check(self, value):
        ok = is_real(value)
        ok = ok and self.low <= value <= min(self.high, _LARGEST)
        if not ok:
            scope = (
                f"at least {self.low:g}"
                if math.isinf(self.high)
                else f"in [{self.low:g}, {self.high:g}]"
            )
            meaning = f": it is {self.meaning}" if self.meaning else ""
            raise UsageError(
                f"{self.name}={value!r} must be a number {scope}{meaning}."
            )
