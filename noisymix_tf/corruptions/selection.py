"""Which corruptions, severities and perturbations a user asks for."""

from noisymix_tf.checks import is_whole
from noisymix_tf.corruptions.core import CORRUPTIONS, PERTURBATIONS, SEVERITIES
from noisymix_tf.errors import UsageError


def corruption_names(corruptions) -> tuple[str, ...]:
    """Names of corruptions: of a list of names and tags, or of one tag.

    A tag may be `"all"`, too; None means all common ones.
    """
    words = "common" if corruptions is None else corruptions
    return _chosen("corruptions", words, CORRUPTIONS)


def perturbations(perturbations) -> tuple[str, ...] | None:
    """Names of perturbations; None stays None, which depends on the images."""
    if perturbations is None:
        return None
    return _chosen("perturbations", perturbations, PERTURBATIONS)


def severity_levels(severities) -> tuple[int, ...]:
    """A list or tuple of severities, in rising order."""
    chosen = sequence("severities", severities)
    return tuple(sorted(level("Severity", s, SEVERITIES) for s in chosen))


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
    if isinstance(values, str):
        return registry.tagged(None if values == "all" else values)
    return registry.chosen(sequence(name, values))
