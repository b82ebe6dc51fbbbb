"""Numbers of a layer or trainer that may change while its traced step runs."""

import math

from noisymix_tf.checks import is_real
from noisymix_tf.errors import UsageError
from noisymix_tf.lazy import tf

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
        low, high: Smallest and largest value; any other is a `UsageError`.
        meaning: Words for the error, such as `"the weight of the JSD term"`.

    >>> class Kept:
    ...     rate = Adjustable(high=1.0)
    >>> kept = Kept()
    >>> kept.rate = 0.5
    >>> kept.rate, float(Kept.rate.tensor(kept))
    (0.5, 0.5)
    """

    def __init__(
        self, low: float = 0.0, high: float = math.inf, meaning: str = ""
    ):
        self.low, self.high, self.meaning = low, high, meaning

    def __set_name__(self, owner, name):
        self.name = name

    def __get__(self, instance, owner=None):
        return self if instance is None else self._of(instance)[0]

    def __set__(self, instance, value):
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

    def tensor(self, instance) -> "tf.Tensor":
        """The current value as a float32 scalar, also in a traced function."""
        return self._of(instance)[1].read_value()

    def _of(self, instance):
        try:
            return instance.__dict__[self.name]
        except KeyError:
            raise AttributeError(self.name) from None

    def _check(self, value):
        if is_real(value) and self.low <= value <= min(self.high, _LARGEST):
            return
        scope = f"in [{self.low:g}, {self.high:g}]"
        if math.isinf(self.high):
            scope = f"at least {self.low:g}"
        meaning = f": it is {self.meaning}" if self.meaning else ""
        raise UsageError(
            f"{self.name}={value!r} must be a number {scope}{meaning}."
        )
