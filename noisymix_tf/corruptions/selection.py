"""Which corruptions, severities and perturbations a user asks for."""

from noisymix_tf import corruptions as corruptions_lib
from noisymix_tf.errors import UsageError

_ALL = "all"


def corruption_names(corruptions):
    """Names of corruptions.

    Args:
        corruptions: A list or tuple of names and tags of `corruptions.names`,
            or one tag such as `"extra"`, or `"all"`; None means all common
            ones.
    """
    if corruptions is None:
        return corruptions_lib.names("common")
    return _chosen(
        "corruptions",
        corruptions,
        corruptions_lib.CORRUPTIONS,
        corruptions_lib.names,
    )


def perturbations(perturbations):
    """Names of perturbations; None stays None, which depends on the images.

    Args:
        perturbations: A list or tuple of names and tags of
            `corruptions.perturbation_names`, or one tag, or `"all"`; None.
    """
    if perturbations is None:
        return None
    return _chosen(
        "perturbations",
        perturbations,
        corruptions_lib.PERTURBATIONS,
        corruptions_lib.perturbation_names,
    )


def _chosen(name, values, registry, lookup):
    if isinstance(values, str):
        return lookup(None if values == _ALL else values)
    return names_of(sequence(name, values), registry, lookup)


def names_of(words, registry, lookup):
    """Names that a list of names and tags stands for, in its order.

    Args:
        words: Names of a registry, tags, or `"all"`.
        registry: `CORRUPTIONS` or `PERTURBATIONS`.
        lookup: Function from a tag to its names, and from None to all.

    Returns:
        Tuple of names, each once.

    Raises:
        UsageError: If a word is neither.
    """
    chosen = []
    for word in words:
        if word in registry.names():
            chosen.append(word)
            continue
        try:
            chosen += lookup(None if word == _ALL else word)
        except UsageError as error:
            raise UsageError(
                f"Unknown {registry.kind} {word!r}. Known: "
                f"{', '.join(registry.names())}. Tags: "
                f"{str(error).partition('Known: ')[2]}"
            ) from error
    return tuple(dict.fromkeys(chosen))


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
