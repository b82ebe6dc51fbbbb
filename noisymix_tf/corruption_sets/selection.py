"""From a user's choice to recipes, checked before anything is written."""

import numpy as np

from noisymix_tf import corruptions
from noisymix_tf.corruption_sets.recipes import Recipe
from noisymix_tf.corruptions import selection
from noisymix_tf.data import identity
from noisymix_tf.errors import UsageError


def recipes(suite, names, shape, severities, difficulty, table, **options):
    """The recipes of a choice; the arguments are those of `write`."""
    options["table"] = table = corruptions.table_for(shape, table)
    if suite == "c":
        registry, lookup = corruptions.CORRUPTIONS, corruptions.names
        levels, unused = tuple(dict.fromkeys(severities)), "crop"
        if not levels:
            raise UsageError("No severity was given: give some of 1 to 5.")
    else:
        registry = corruptions.PERTURBATIONS
        lookup = corruptions.perturbation_names
        levels, unused = (difficulty,), "frost_folder"
    del options[unused]
    # The cheapest of each, to have arguments checked by their own function.
    probe = {"c": "brightness", "p": "gaussian_noise"}[suite]
    image, place = np.zeros((1, *shape), np.uint8), np.zeros(1, int)
    for level in levels:
        Recipe(suite, probe, (level,), options).make(image, place, level)
    words = "all" if names is None else names
    words = [words] if isinstance(words, str) else words
    chosen = selection.names_of(words, registry, lookup)
    if not chosen:
        raise UsageError(f"No {registry.kind} was given: give at least one.")
    made = []
    # In the benchmark's order.
    for name in filter(set(chosen).__contains__, lookup()):
        entry = registry.get(name)
        own = sorted(levels) if suite == "c" else [entry.level(difficulty)]
        # Not every table has constants for all.
        _ = entry.constant(*([1, table] if suite == "c" else [table]))
        made.append(Recipe(suite, name, tuple(own), options))
    return made


def settings(recipe, dataset):
    """What decides the pixels of all files, as JSON values."""
    split, options = dataset.test, recipe.options
    frost_folder = options.get("frost_folder")
    shared = {
        "dataset": dataset.name,
        "images": len(split),
        "image_shape": list(split.image_shape),
        "data": str(identity.of(split)),
        "classes": identity.short(*dataset.class_names),
        "suite": recipe.suite,
        "seed": int(options["seed"]),
        "table": options["table"],
        "generator": corruptions.version(frost_folder),
    }
    return shared | {k: v for k, v in options.items() if k == "crop"}
