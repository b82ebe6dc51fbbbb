"""Which corruptions, severities and perturbations a user asks for."""

import itertools
import math

from noisymix_tf.checks import is_real, is_whole
from noisymix_tf.corruptions.core import CORRUPTIONS, PERTURBATIONS, SEVERITIES
from noisymix_tf.errors import UsageError

# Severities that one range may stand for.
_MOST = 1000


def corruption_names(corruptions) -> tuple[str, ...]:
    """Names of corruptions: of a list of names and tags, or of one of them.

    A tag may be `"all"`, too; None means all common ones.
    """
    words = "common" if corruptions is None else corruptions
    return _chosen("corruptions", words, CORRUPTIONS)


def perturbations(perturbations) -> tuple[str, ...] | None:
    """Names of perturbations; None stays None, which depends on the images."""
    if perturbations is None:
        return None
    return _chosen("perturbations", perturbations, PERTURBATIONS)


def severity_levels(severities) -> tuple:
    """A list or tuple of severities, in rising order, each once.

    Words of numbers will do, also `"0.5:5:0.5"`: from 0.5 to 5 in steps of 0.5.
    """
    chosen = itertools.chain(*map(_range, sequence("severities", severities)))
    return tuple(sorted({severity(s) for s in chosen}))


def severity(value) -> int | float:
    """A severity: an int of 1 to 5, or a float above 0 and up to 5."""
    if not is_real(value) or not 0.0 < value <= SEVERITIES[-1]:
        raise UsageError(
            f"Severity {value!r} does not exist: choose {SEVERITIES[0]} to "
            f"{SEVERITIES[-1]}, or what lies between, down to above 0."
        )
    return int(value) if float(value).is_integer() else float(value)


def _range(word):
    """The severities of a number, or of a word."""
    if not isinstance(word, str):
        return [word]
    try:
        first, *rest = map(float, word.split(":"))
        if not rest:
            return [first]
        last, step = rest
        count = math.floor((last - first) / step + 1e-6)
        if not 0 <= count < _MOST:
            raise ValueError("no range, or one of too many")
        # Rounded, as 3 * 0.1 is not 0.3.
        return [round(first + k * step, 9) for k in range(count + 1)]
    except (ValueError, ZeroDivisionError, OverflowError) as error:
        raise UsageError(
            f"severities: {word!r} must be a number of 1 to 5 or between, or "
            "FROM:TO:STEP, such as 0.5:5:0.5."
        ) from error


def level(kind, level, levels) -> int:
    """A severity or a difficulty (`kind`) as an int; one of `levels`."""
    if not is_whole(level) or level not in levels:
        raise UsageError(
            f"{kind} {level!r} does not exist: choose {levels[0]} to "
            f"{levels[-1]}."
        )
    return int(level)


def sequence(name, values) -> tuple:
    """A tuple without repetitions, not empty."""
    if isinstance(values, str) or not hasattr(values, "__iter__"):
        raise UsageError(f"{name} must be a list or a tuple, got {values!r}.")
    try:
        chosen = tuple(dict.fromkeys(values))
    except TypeError as error:  # Lists within the list have no hash.
        raise UsageError(
            f"{name} must be a flat list or tuple, got {values!r}."
        ) from error
    if not chosen:
        raise UsageError(f"{name} is empty: give at least one.")
    return chosen


def _chosen(name, values, registry):
    if isinstance(values, str) and values not in registry.names():
        return registry.tagged(None if values == "all" else values)
    values = [values] if isinstance(values, str) else values
    return registry.chosen(sequence(name, values))
