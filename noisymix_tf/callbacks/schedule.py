"""Hyper-parameters of NoisyMix that change in the course of training."""

import dataclasses
import math

import keras

from noisymix_tf.adjustable import LEVELS, Adjustable
from noisymix_tf.checks import is_real
from noisymix_tf.errors import UsageError
from noisymix_tf.models.unwrap import step_of

_SHAPES = ("linear", "cosine")
_POSITIONS = ("epoch", "step")


class NoisyMixSchedule(keras.callbacks.Callback):
    """Sets levels of mixing and noise as functions of the epoch or step.

    They are set wherever the model has them: on a `NoisyMix`, and on every
    `FeatureNoise` layer inside a plain model or a wrapped classifier. Nothing
    is traced again. The values that held at the end of an epoch are put into
    `logs` under their names, for the callbacks behind this one.

    A value is a number, or a function from the position to a number: `ramp`, a
    `keras.optimizers.schedules.LearningRateSchedule`, or one of your own. A
    continued run goes on at the position where it stands.

    Args:
        alpha: Parameter of the mixing coefficient's distribution.
        additive_noise: Level of additive noise.
        multiplicative_noise: Level of multiplicative noise.
        jsd_weight: Weight of the stability term.
        by: `"epoch"`: the position is the index of the epoch, from 0, and the
            value holds for all of it. `"step"`: it is the number of steps
            taken, those of earlier calls of `fit` included.

    Raises:
        UsageError: A value of another kind; from `fit`, one that nothing in
            the model has, or that is out of range.

    Example:

    >>> schedule = NoisyMixSchedule(
    ...     jsd_weight=ramp(0.0, 12.0, length=10),
    ...     additive_noise=lambda epoch: 0.5 if epoch >= 5 else 0.0,
    ... )
    >>> trainer.fit(views, epochs=100, callbacks=[schedule])
    """

    def __init__(
        self,
        alpha=None,
        additive_noise=None,
        multiplicative_noise=None,
        jsd_weight=None,
        by="epoch",
    ):
        super().__init__()
        if by not in _POSITIONS:
            raise UsageError(f"by={by!r} must be 'epoch' or 'step'.")
        values = (alpha, additive_noise, multiplicative_noise, jsd_weight)
        self._functions = {
            name: _function(name, value)
            for name, value in zip(LEVELS, values)
            if value is not None
        }
        if not self._functions:
            raise UsageError(
                f"NoisyMixSchedule has nothing to set: give at least one of "
                f"{', '.join(LEVELS)}."
            )
        self._by = by
        self._first_step = 0
        self._current = {}

    def set_model(self, model):
        super().set_model(model)
        self._current = {}
        self._targets = {
            name: _targets(model, name) for name in self._functions
        }
        for name, targets in self._targets.items():
            for target in targets:
                # Before it is traced: what is zero now may not stay so.
                if hasattr(target, "keep_adjustable"):
                    target.keep_adjustable(name)

    def on_epoch_begin(self, epoch, logs=None):
        self._first_step = step_of(self.model)
        self._set(epoch if self._by == "epoch" else self._first_step)

    def on_train_batch_begin(self, batch, logs=None):
        if self._by == "step":
            # Reading the model's counter would wait for the step before.
            self._set(self._first_step + batch)

    def on_epoch_end(self, epoch, logs=None):
        if logs is not None:
            logs.update(self._current)

    def _set(self, position):
        for name, function in self._functions.items():
            value = _number(name, function, position)
            if value == self._current.get(name):
                continue
            for target in self._targets[name]:
                setattr(target, name, value)
            self._current[name] = value


@dataclasses.dataclass(frozen=True)
class ramp:
    """A value that goes from `start` to `end` and stays there.

    Args:
        start: Value up to the position `begin`.
        end: Value from the position `begin + length` on.
        length: Epochs or steps in between, greater than 0.
        begin: Where the value begins to change.
        shape: `"linear"`, or `"cosine"`: half a period, flat at both ends.

    Raises:
        UsageError: An argument out of its range.

    Example:

    >>> warmup = ramp(0.0, 12.0, length=10)
    >>> warmup(0), warmup(5), warmup(20)
    (0.0, 6.0, 12.0)
    """

    start: float
    end: float
    length: float
    begin: float = 0
    shape: str = "linear"

    def __post_init__(self):
        for name in ("start", "end", "length", "begin"):
            value = getattr(self, name)
            if not is_real(value) or not math.isfinite(value):
                raise UsageError(
                    f"ramp: {name}={value!r} must be a finite number."
                )
        if not self.length > 0:
            raise UsageError(
                f"ramp: length={self.length!r} must be greater than 0: it is "
                f"how many epochs or steps the ramp takes."
            )
        if self.shape not in _SHAPES:
            raise UsageError(
                f"ramp: shape={self.shape!r} must be 'linear' or 'cosine'."
            )

    def __call__(self, position):
        share = min(max((position - self.begin) / self.length, 0.0), 1.0)
        if self.shape == "cosine":
            share = (1.0 - math.cos(math.pi * share)) / 2.0
        return (1.0 - share) * self.start + share * self.end


def _function(name, value):
    if callable(value):
        return value
    if not is_real(value):
        raise UsageError(
            f"{name}={value!r} must be a number or a function from the epoch "
            f"or step to one, such as ramp(0, 1, length=10)."
        )
    return lambda position: value


def _number(name, function, position):
    """The function's value as a Python float."""
    value = function(position)
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"{name} at position {position} is {value!r}; the function must "
            f"return a number."
        ) from error


def _targets(model, name):
    """Everything in a model that has an `Adjustable` of that name."""
    parts = {id(part): part for part in (model, *model._flatten_layers())}
    names = {}
    for part in parts.values():
        for known in LEVELS:
            if isinstance(getattr(type(part), known, None), Adjustable):
                names.setdefault(known, []).append(part)
    if name in names:
        return names[name]
    advice = (
        f"it has {', '.join(names)}"
        if names
        else "wrap it in NoisyMix or put FeatureNoise layers into it"
    )
    raise UsageError(
        f"NoisyMixSchedule cannot set {name}: nothing in the model "
        f"{model.name!r} has it; {advice}."
    )
