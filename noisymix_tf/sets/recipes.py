"""What one corrupted set is made of: a name and all that decides its pixels."""

import dataclasses

import numpy as np

from noisymix_tf import corruptions
from noisymix_tf.errors import UsageError
from noisymix_tf.sets.trees import save


@dataclasses.dataclass(frozen=True)
class Recipe:
    """One corruption at some severities, or one perturbation, for workers."""

    suite: str  # `"c"` or `"p"`.
    name: str  # Of the corruption or perturbation.
    levels: tuple  # The severities, or the one difficulty.
    options: dict  # Further arguments of `corruptions.corrupt` or `perturb`.

    @property
    def stem(self):
        """The released name: `fog`, `gaussian_noise`, `gaussian_noise_2`."""
        if self.suite == "c" or self.levels == (1,):
            return self.name
        return f"{self.name}_{self.levels[0]}"

    def item_shape(self, image_shape):
        """Shape of what one image becomes: `(H, W, C)` or `(T, H, W, C)`."""
        if self.suite == "c":
            return tuple(image_shape)
        entry = corruptions.PERTURBATIONS.get(self.name)
        side = self.options["crop"]
        size = image_shape[:2] if side is None else (side, side)
        return entry.frames[self.options["table"]], *size, image_shape[2]

    def make(self, images, indices, level):
        """uint8 `[B, *item_shape]` of images `[B, H, W, C]` at their places."""
        given = {"indices": indices, **self.options}
        if self.suite == "c":
            return corruptions.corrupt(images, self.name, level, **given)
        return corruptions.perturb(images, self.name, difficulty=level, **given)

    def save(self, images, indices, files):
        """Writes each image at levels it lacks, of `{level: path}`; counts."""
        for level in sorted({level for each in files for level in each}):
            chosen = [i for i, each in enumerate(files) if level in each]
            made = self.make(images[chosen], indices[chosen], level)
            for i, image in zip(chosen, made):
                save(image, files[i][level])
        return sum(map(len, files))


def recipes(suite, names, shape, severities, difficulty, table, **options):
    """The recipes of a choice; the arguments are those of `corrupted.write`."""
    options["table"] = table = corruptions.table_for(shape, table)
    if suite == "c":
        registry, probe, unused = corruptions.CORRUPTIONS, "brightness", "crop"
        levels = tuple(dict.fromkeys(severities))
        if not levels:
            raise UsageError("No severity was given: give some of 1 to 5.")
    else:
        registry, probe = corruptions.PERTURBATIONS, "gaussian_noise"
        levels, unused = (difficulty,), "frost_folder"
    del options[unused]
    # The cheapest of each, to have arguments checked by their own function.
    image, place = np.zeros((1, *shape), np.uint8), np.zeros(1, int)
    for level in levels:
        Recipe(suite, probe, (level,), options).make(image, place, level)
    words = "all" if names is None else names
    chosen = registry.chosen([words] if isinstance(words, str) else words)
    if not chosen:
        raise UsageError(f"No {registry.kind} was given: give at least one.")
    made = []
    # In the benchmark's order.
    for name in filter(set(chosen).__contains__, registry.tagged()):
        entry = registry.get(name)
        entry.constants(table)  # Not every table has them for all.
        own = sorted(levels) if suite == "c" else [entry.level(difficulty)]
        made.append(Recipe(suite, name, tuple(own), options))
    return made
