"""Which corruptions, severities and perturbations a user asks for."""

from noisymix_tf import corruptions as corruptions_lib
from noisymix_tf.errors import UsageError


def corruption_names(corruptions):
    """Names of corruptions.

    Args:
        corruptions: A list or tuple of names, or a tag of `corruptions.names`
            such as `"extra"`, or `"all"`; None means all common ones.
    """
    if corruptions is None:
        return corruptions_lib.names("common")
    if isinstance(corruptions, str):
        tag = None if corruptions == "all" else corruptions
        return corruptions_lib.names(tag)
    chosen = sequence("corruptions", corruptions)
    for name in chosen:
        corruptions_lib.CORRUPTIONS.get(name)
    return chosen


def perturbations(perturbations):
    """Names of perturbations; None stays None, which depends on the images.

    Args:
        perturbations: A list or tuple of names, or a tag of
            `corruptions.perturbation_names`, or `"all"`; None.
    """
    if perturbations is None:
        return None
    if isinstance(perturbations, str):
        tag = None if perturbations == "all" else perturbations
        return corruptions_lib.perturbation_names(tag)
    chosen = sequence("perturbations", perturbations)
    for name in chosen:
        corruptions_lib.PERTURBATIONS.get(name)
    return chosen


def severity_levels(severities):
    """A list or tuple of severities, in rising order."""
    chosen = sequence("severities", severities)
    for severity in chosen:
        if severity not in corruptions_lib.SEVERITIES:
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
