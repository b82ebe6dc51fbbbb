"""What every group of flags is made of: fields with help and ranges."""

import dataclasses
import math
import sys
from collections.abc import Callable

from noisymix_tf.errors import UsageError
from noisymix_tf.places import check_local


@dataclasses.dataclass(frozen=True)
class Range:
    """What values of a field are accepted, and the words for it."""

    accepts: Callable
    words: str


POSITIVE = Range(lambda v: v > 0, "greater than 0")
AT_LEAST_0 = Range(lambda v: v >= 0, "at least 0")
AT_LEAST_1 = Range(lambda v: v >= 1, "at least 1")
SEED = Range(lambda v: 0 <= v < 2**32, f"from 0 to {2**32 - 1}")
SHARE = Range(lambda v: 0 <= v <= 1, "in [0, 1]")
POSITIVE_SHARE = Range(lambda v: 0 < v <= 1, "above 0 and at most 1")
MOMENTUM = Range(lambda v: 0 <= v < 1, "in [0, 1)")
SEVERITIES = Range(
    lambda v: bool(v) and all(1 <= s <= 5 for s in v),
    "a list of numbers from 1 to 5",
)
AUGMIX_SEVERITY = Range(lambda v: 0.1 <= v <= 10, "from 0.1 to 10")
RANDAUGMENT_MAGNITUDE = Range(lambda v: 0 <= v <= 30, "from 0 to 30")
NOT_EMPTY = Range(bool, "a list of at least one")
FACTORS = Range(
    lambda v: bool(v) and all(factor >= 0 for factor in v),
    "a list of numbers of at least 0",
)
PORT = Range(lambda v: 0 <= v <= 65535, "from 0 to 65535")
PIXELS = Range(lambda v: 0 <= v <= 255, "from 0 to 255")
LEVELS = Range(lambda v: 2 <= v <= 4, "2, 3 or 4")
SIDE = Range(lambda v: v == -1 or v >= 1, "-1 or at least 1")
DEPTH = Range(lambda v: v == -1 or v >= 1, "-1 (random 1..3) or at least 1")


def field(
    default,
    help,
    *,
    range=None,
    choices=None,
    kind=None,
    item=str,
    free=False,
    address=False,
    known=None,
    in_grey_levels=False,
):
    """A field that becomes a flag.

    Args:
        default: Default value.
        help: Help text.
        range: `Range` that given values must satisfy.
        choices: Accepted strings.
        kind: Type of the flag where the default is `None`.
        item: Type of the items of a tuple.
        free: Whether the flag may differ when a run is continued, because it
            does not change what is trained.
        address: Whether it may be an address such as grpc://HOST:PORT, which
            in other strings stands where a local path should be.
        known: `(what, names, module)`: values are such names, as long as the
            module, which may register more, has not been imported.
        in_grey_levels: Whether `8/255` may be given for 8.
    """
    return dataclasses.field(
        default=default,
        metadata={
            "help": help,
            "range": range,
            "choices": choices,
            "kind": kind or type(default),
            "item": item,
            "free": free,
            "address": address,
            "known": known,
            "in_grey_levels": in_grey_levels,
        },
    )


class Group:
    """Checks the values of a group of fields: finite, in range, local."""

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if not field.metadata["address"]:
                check_local(**{f"--{field.name}": value})
            accepted = field.metadata["range"]
            if not _is_finite(value):
                raise UsageError(
                    f"--{field.name}={text(value)} must be finite: neither nan "
                    f"nor inf is a number to compute with."
                )
            if value is not None and field.metadata["known"]:
                _check_known(value, *field.metadata["known"])
            if value is None or accepted is None:
                continue
            if not accepted.accepts(value):
                raise UsageError(
                    f"--{field.name}={text(value)} must be {accepted.words}."
                )


def _check_known(value, what, names, module):
    """Refuses a name before the imports that would find out."""
    if module in sys.modules:
        return
    for name in value if isinstance(value, tuple) else (value,):
        if name not in names:
            raise UsageError(
                f"Unknown {what} {name!r}. Known: {', '.join(names)}."
            )


def _is_finite(value):
    """Whether there is no NaN and no infinity in a value or in its items."""
    items = value if isinstance(value, tuple) else (value,)
    return all(math.isfinite(v) for v in items if isinstance(v, float))


def text(value):
    """A value as it is written on a command line."""
    if isinstance(value, tuple | list):
        return ",".join(text(item) for item in value)
    return str(value)
