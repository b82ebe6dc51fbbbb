"""Hyper-parameters of NoisyMix that change in the course of training."""

import dataclasses
import math
from typing import ClassVar

import keras

from noisymix_tf.adjustable import LEVELS, Adjustable
from noisymix_tf.errors import UsageError
from noisymix_tf.models.unwrap import step_of
from noisymix_tf.options import POSITIVE, Options, option


class NoisyMixSchedule(keras.callbacks.Callback):
    """Sets levels of mixing and noise as functions of the epoch or step.

    They are set wherever the model has them: on a `NoisyMix`, and on every
    `FeatureNoise` layer inside. Nothing is traced again. The values at the end
    of an epoch are put into `logs` under their names, for the callbacks behind
    this one. A continued run goes on at the position where it stands.

    Args:
        alpha, additive_noise, multiplicative_noise, jsd_weight: Numbers, or
            functions from the position to a number, such as `ramp`, a Keras
            `LearningRateSchedule`, or one of your own.
        by: `"epoch"`: the position is the index of the epoch, from 0. `"step"`:
            it is the number of steps taken, by earlier calls of `fit`, too
            (of a plain model without those that a `LossScaleOptimizer` skips).

    Raises:
        UsageError: A value of another kind; from `fit`, one that the model
            does not have, or out of range.

    >>> warmup = NoisyMixSchedule(jsd_weight=ramp(0.0, 12.0, length=10))
    >>> callbacks = [warmup]  # Of `fit`.
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
        if by not in ("epoch", "step"):
            raise UsageError(f"by={by!r} must be 'epoch' or 'step'.")
        values = (alpha, additive_noise, multiplicative_noise, jsd_weight)
        self._values = {n: v for n, v in zip(LEVELS, values) if v is not None}
        self._by, self._first_step, self._current = by, 0, {}
        if not self._values:
            raise UsageError(
                f"NoisyMixSchedule has nothing to set: give at least one of "
                f"{', '.join(LEVELS)}."
            )

    def set_model(self, model):
        super().set_model(model)
        self._current, self._targets = {}, {}
        for part in model._flatten_layers():
            for name in LEVELS:
                if isinstance(getattr(type(part), name, None), Adjustable):
                    self._targets.setdefault(name, []).append(part)
        for name in self._values:
            if name not in self._targets:
                has = ", ".join(self._targets) or "none; wrap it in NoisyMix"
                raise UsageError(
                    f"NoisyMixSchedule cannot set {name}: nothing in the model "
                    f"{model.name!r} has it. Of levels it has {has}."
                )
            for target in self._targets[name]:
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
        for name, value in self._values.items():
            found = value(position) if callable(value) else value
            try:
                found = float(found)
            except (TypeError, ValueError) as error:
                raise UsageError(
                    f"{name} at position {position} is {found!r}: give a number"
                    f" or a function to one, such as ramp(0, 1, length=10)."
                ) from error
            if found != self._current.get(name):
                for target in self._targets[name]:
                    setattr(target, name, found)
                self._current[name] = found


@dataclasses.dataclass(frozen=True)
class ramp(Options):
    """A value that goes from `start` to `end` and stays there.

    They are its values up to the position `begin`, and from `begin + length`
    on. `shape` is `"linear"`, or `"cosine"`: half a period, flat at both ends.

    >>> warmup = ramp(0.0, 12.0, length=10)
    >>> warmup(0), warmup(5), warmup(20)
    (0.0, 6.0, 12.0)
    """

    PREFIX: ClassVar = ""

    start: float = option(dataclasses.MISSING, "Value at the beginning.")
    end: float = option(dataclasses.MISSING, "Value at the end.")
    length: float = option(dataclasses.MISSING, "Its length.", POSITIVE)
    begin: float = option(0, "Position where it begins.")
    shape: str = option("linear", "Its shape.", choices=("linear", "cosine"))

    def __call__(self, position) -> float:
        share = min(max((position - self.begin) / self.length, 0.0), 1.0)
        if self.shape == "cosine":
            share = (1.0 - math.cos(math.pi * share)) / 2.0
        return (1.0 - share) * self.start + share * self.end
