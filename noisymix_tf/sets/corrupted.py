"""Corrupted test images, in the layouts of CIFAR-10-C, -P and ImageNet-C."""

import numpy as np

from noisymix_tf import checks, corruptions
from noisymix_tf.corruptions import SEVERITIES
from noisymix_tf.data import identity
from noisymix_tf.errors import UsageError
from noisymix_tf.sets import writer
from noisymix_tf.sets.arrays import ArrayPart, LabelPart
from noisymix_tf.sets.recipes import recipes
from noisymix_tf.sets.trees import FORMATS, SUFFIXES, TreePart, image_names

# Frames of a film that a sheet shows, evenly spaced.
_FRAMES = 8


def write(
    dataset,
    output_dir,
    *,
    suite="c",
    names=None,
    severities=SEVERITIES,
    difficulty=1,
    crop=None,
    seed=0,
    table="auto",
    frost_folder=None,
    layout="auto",
    image_format="jpeg",
    num_workers=None,
    shard="1/1",
    progress=True,
):
    """Writes corrupted copies of the test images; returns the folder's path.

    - Arrays, as CIFAR-10-C: `<corruption>.npy`, uint8 `[S N, H, W, C]`, the
      severities one after the other, and `labels.npy`, `[S N]`. As CIFAR-10-P:
      `<perturbation>.npy`, `[N, T, H, W, C]`, and `labels.npy`, `[N]`.
    - A tree, as ImageNet-C: `<corruption>/<severity>/<class>/<image>.JPEG`.

    Beside them are `sheets/<name>.png`, to look at, and `manifest.json`. The
    pixels (before JPEG) are those of `corruptions.corrupt` with `indices` from
    0 in the order of `dataset.test`. A call that was killed is continued by the
    same call; further names may be added. Memory does not grow.

    Args:
        dataset: `noisymix_tf.data.Dataset`.
        output_dir: Directory; a new one, or one that has the same settings.
        suite: `"c"` for corruptions, `"p"` for perturbations.
        names: Names or tags of `corruptions.names` or, for suite p,
            `corruptions.perturbation_names`; by default all.
        severities: Which of 1 to 5; suite c.
        difficulty: 1 to 3, of noise; suite p. Above 1 the file is called
            `<perturbation>_<difficulty>.npy`.
        crop: Side of the square cut from every frame; suite p.
        seed, table, frost_folder: Arguments of `corruptions.corrupt`.
        layout: `"arrays"`, `"tree"`, or `"auto"`: a tree where the test images
            are files.
        image_format: Of a tree: `"jpeg"` of quality 85, as the released
            ImageNet-C, or `"png"`, which keeps every pixel.
        num_workers: Processes, by default one for each core; 0: none but this.
        shard: `"i/n"`: only part i of the images, from 1 to n; `joining.merge`
            joins all parts to what one call writes.
        progress: Whether to report on the standard error.

    Raises:
        UsageError: An argument or the directory cannot be used.

    Example:

    >>> path = write(data.load("digits"), "digits-c", names=["noise", "fog"])
    >>> np.load(path / "fog.npy").shape
    (1820, 32, 32, 3)
    """
    for what, value, known in (
        ("suite", suite, ("c", "p")),
        ("layout", layout, ("auto", "arrays", "tree")),
        ("format", image_format, SUFFIXES),
    ):
        if value not in known:
            words = f"Known: {', '.join(known)}."
            raise UsageError(f"Unknown {what} {value!r}. {words}")
    if (suite, layout) == ("p", "tree"):
        raise UsageError(
            "There is no tree of perturbations, whose released form is films: "
            "use --layout=arrays."
        )
    split = dataset.test
    images, first = _part(split, shard)
    how = {"crop": crop, "seed": seed, "frost_folder": frost_folder}
    shape, levels = dataset.image_shape, (severities, difficulty)
    made = recipes(suite, names, shape, *levels, table, **how)
    settings = _settings(made[0], dataset)
    if layout == "auto":
        of_files = hasattr(split, "paths") and suite == "c"
        layout = "tree" if of_files else "arrays"
    settings["layout"] = layout
    if layout == "tree":
        files = image_names(split, dataset.class_names, SUFFIXES[image_format])
        files = files[first : first + len(images)]
        settings["format"] = FORMATS[image_format]
        parts = [TreePart(recipe, images, first, files) for recipe in made]
    else:
        if suite == "c":
            settings["severities"] = list(made[0].levels)
        parts = [ArrayPart(recipe, images, first) for recipe in made]
        parts.insert(0, LabelPart(images.labels, len(made[0].levels)))
    wanted = ()
    if len(images) < len(split):
        settings["shard"] = shard
        wanted = [name for part in parts for name in part.entries]
    if first == 0:
        parts.insert(0, SheetPart(made, split))
    with writer.claimed_folder(output_dir, settings, wanted=wanted) as folder:
        writer.write(folder, parts, num_workers, progress)
    return folder.path


class SheetPart(writer.Part):
    """`sheets/<name>.png` of each recipe: what it does to a few images.

    A row is a clean image, then five severities, or frames of its film.
    """

    def __init__(self, recipes, split):
        self._recipes, self._split = recipes, split

    def write(self, folder, workers):
        sheets = folder.path / "sheets"
        paths = {sheets / f"{r.stem}.png": r for r in self._recipes}
        missing = {path: r for path, r in paths.items() if not path.exists()}
        if missing:
            sheets.mkdir(exist_ok=True)
            places = writer.few(len(self._split))
            images, _ = next(self._split.subset(places).batches(len(places)))
        for path, recipe in missing.items():
            # All five, whatever was asked for: a tree grows one by one.
            levels = SEVERITIES if recipe.suite == "c" else recipe.levels
            calls = [(recipe.make, images, places, level) for level in levels]
            clean, made = images, [made for made, _ in workers.ordered(calls)]
            if recipe.suite == "p":
                clean, made = _frames(clean, *made)
            writer.write_sheet(path, [clean, *made])
        return ()


def _frames(images, films):
    """Images cropped as films are, and frames, evenly spaced."""
    shown = np.linspace(0, films.shape[1] - 1, _FRAMES).astype(int)
    height, width = films.shape[2:4]
    top, left = (images.shape[1] - height) // 2, (images.shape[2] - width) // 2
    clean = images[:, top:, left:][:, :height, :width]
    return clean, [films[:, frame] for frame in shown]


def _settings(recipe, dataset):
    """What decides the pixels of all files, as JSON values."""
    split, options = dataset.test, recipe.options
    return {
        "dataset": dataset.name,
        "images": len(split),
        "image_shape": list(split.image_shape),
        "data": str(identity.of(split)),
        "classes": identity.short(*dataset.class_names),
        "suite": recipe.suite,
        "seed": int(options["seed"]),
        "table": options["table"],
        "generator": corruptions.version(options.get("frost_folder")),
        **{k: v for k, v in options.items() if k == "crop"},
    }


def _part(split, shard):
    """The images of part i of n, and the place of the first of them."""
    place, count = checks.shard(shard)
    if count > len(split):
        raise UsageError(
            f"--shard={shard}: there are no more than {len(split)} images."
        )
    first, end = (len(split) * k // count for k in (place, place + 1))
    return split.subset(range(first, end)) if count > 1 else split, first
