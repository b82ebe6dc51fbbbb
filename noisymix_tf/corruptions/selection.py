"""Which corruptions, severities and perturbations a user asks for."""

from noisymix_tf.corruptions.core import CORRUPTIONS, PERTURBATIONS, SEVERITIES
from noisymix_tf.errors import UsageError


def corruption_names(corruptions):
    """Names of corruptions: of a list of names and tags, or of one tag.

    A tag may be `"all"`, too; None means all common ones.
    """
    words = "common" if corruptions is None else corruptions
    return _chosen("corruptions", words, CORRUPTIONS)


def perturbations(perturbations):
    """Names of perturbations; None stays None, which depends on the images."""
    if perturbations is None:
        return None
    return _chosen("perturbations", perturbations, PERTURBATIONS)


def severity_levels(severities):
    """A list or tuple of severities, in rising order."""
    chosen = sequence("severities", severities)
    for severity in chosen:
        if severity not in SEVERITIES:
            raise UsageError(
                f"Severity {severity!r} does not exist: choose among 1 to 5."
            )
    return tuple(sorted(int(severity) for severity in chosen))


def sequence(name, values):
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
