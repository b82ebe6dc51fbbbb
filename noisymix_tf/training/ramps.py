"""The words in which --ramps says how levels change during training."""

import dataclasses
import math

from noisymix_tf.adjustable import LEVELS
from noisymix_tf.errors import UsageError

_FORM = (
    "NAME:END:FROM:TO, such as alpha:0:0.5:1, with FROM and TO shares of the "
    "training"
)


@dataclasses.dataclass(frozen=True)
class Ramp:
    """A level that goes evenly from where it stands to another.

    Attributes:
        name: Flag of the level.
        end: Where it goes.
        first: Share of the training after which it begins to change.
        last: Share of the training after which it has arrived.
    """

    name: str
    end: float
    first: float
    last: float


def parse(texts):
    """Reads the items of --ramps.

    Args:
        texts: Items, such as `"alpha:0:0.5:1"`.

    Returns:
        List of `Ramp`, in the order given. Those of one level do not overlap
        and are in the order of time.

    Raises:
        UsageError: An item of another form, or two that overlap.
    """
    ramps = [_parse(text) for text in texts]
    arrived = {}
    for text, ramp in zip(texts, ramps, strict=True):
        if ramp.first < arrived.get(ramp.name, 0.0):
            raise UsageError(
                f"--ramps: {text!r} begins before the ramp of {ramp.name} in "
                f"front of it has ended; give one after the other."
            )
        arrived[ramp.name] = ramp.last
    return ramps


def _parse(text):
    name, *numbers = text.split(":")
    if name not in LEVELS:
        raise UsageError(
            f"--ramps: {text!r} begins with none of {', '.join(LEVELS)}; write "
            f"{_FORM}."
        )
    try:
        end, first, last = map(float, numbers)
    except ValueError:
        raise UsageError(f"--ramps: {text!r} must be {_FORM}.") from None
    if not (end >= 0 and math.isfinite(end)):
        raise UsageError(f"--ramps: {text!r}: END must be at least 0.")
    if not 0 <= first < last <= 1:
        raise UsageError(
            f"--ramps: {text!r}: FROM and TO must be shares of the training, "
            f"0 <= FROM < TO <= 1."
        )
    return Ramp(name, end, first, last)
