"""From a user's choice to recipes, checked before anything is written."""

import numpy as np

from noisymix_tf import corruptions
from noisymix_tf.corruption_sets.recipes import Corrupted, Perturbed
from noisymix_tf.data import identity
from noisymix_tf.errors import UsageError
from noisymix_tf.evaluation import selection

SUITES = ("c", "p")

# The cheapest of each suite, to have arguments checked by their own function.
_PROBES = {"c": "brightness", "p": "gaussian_noise"}


def recipes(
    suite,
    names,
    image_shape,
    *,
    severities,
    difficulty,
    crop,
    seed,
    table,
    frost_folder,
):
    """The recipes of a choice; the arguments are those of `write`."""
    table = corruptions.table_for(image_shape, table)
    if suite == "c":
        severities = tuple(dict.fromkeys(severities))
        if not severities:
            raise UsageError("No severity was given: give some of 1 to 5.")

        def recipe(name):
            return Corrupted(name, severities, seed, table, frost_folder)

        known, lookup = corruptions.CORRUPTIONS, corruptions.names
    else:

        def recipe(name):
            return Perturbed(name, difficulty, seed, table, crop)

        known = corruptions.PERTURBATIONS
        lookup = corruptions.perturbation_names
    probe = recipe(_PROBES[suite])
    for level in probe.levels:
        image = np.zeros((1, *image_shape), np.uint8)
        probe.make(image, np.zeros(1, int), level)
    if suite == "c":
        severities = tuple(sorted(severities))
    return [recipe(name) for name in _resolve(names, known, lookup)]


def settings(suite, recipe, dataset):
    """What decides the pixels of all files, as JSON values."""
    split = dataset.test
    shared = {
        "dataset": dataset.name,
        "images": len(split),
        "image_shape": list(split.image_shape),
        "data": str(identity.of(split)),
        "suite": suite,
        "seed": int(recipe.seed),
        "table": recipe.table,
    }
    if suite == "p":
        version = corruptions.version()
        return {**shared, "generator": version, "crop": recipe.crop}
    version = corruptions.version(recipe.frost_folder)
    return {**shared, "generator": version}


def _resolve(names, registry, lookup):
    """Names and tags as names, in the benchmark's order."""
    if names is None:
        return lookup()
    if isinstance(names, str):
        names = [names]
    chosen = selection.names_of(names, registry, lookup)
    if not chosen:
        raise UsageError(f"No {registry.kind} was given: give at least one.")
    return tuple(name for name in lookup() if name in chosen)
