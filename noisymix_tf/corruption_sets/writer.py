"""`write`: a dataset and some names give a directory of corrupted sets."""

import functools

from noisymix_tf import corruptions
from noisymix_tf.corruption_sets import selection
from noisymix_tf.corruption_sets.arrays import Arrays
from noisymix_tf.corruption_sets.folder import SetFolder
from noisymix_tf.corruption_sets.image_files import JPEG_QUALITY
from noisymix_tf.corruption_sets.progress import Progress
from noisymix_tf.corruption_sets.sheets import write_sheet
from noisymix_tf.corruption_sets.tree import Tree
from noisymix_tf.corruption_sets.workers import Workers
from noisymix_tf.errors import UsageError

LAYOUTS = ("auto", "arrays", "tree")
FORMATS = ("jpeg", "png")


def write(
    dataset,
    output_dir,
    *,
    suite="c",
    names=None,
    severities=corruptions.SEVERITIES,
    difficulty=1,
    crop=None,
    seed=0,
    table="auto",
    frost_folder=None,
    layout="auto",
    image_format="jpeg",
    processes=None,
    progress=True,
):
    """Writes corrupted copies of the test images, in the released layouts.

    - Arrays, as CIFAR-10-C: `<corruption>.npy`, uint8 `[S N, H, W, C]`, the
      severities one after the other, and `labels.npy`, `[S N]`. As CIFAR-10-P:
      `<perturbation>.npy`, `[N, T, H, W, C]`, and `labels.npy`, `[N]`.
    - A tree, as ImageNet-C: `<corruption>/<severity>/<class>/<image>.JPEG`.

    Beside them are `sheets/<name>.png`, to look at, and `manifest.json`. The
    pixels (before JPEG) are those of `corruptions.corrupt` with the seed and
    `indices` from 0 in the order of `dataset.test`. A call that was killed at
    any moment is continued by the same call; nothing that is finished is made
    again, and further names may be added. Memory does not grow with the number
    of images.

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
        seed: As in `corruptions.corrupt`.
        table: As in `corruptions.corrupt`.
        frost_folder: As in `corruptions.corrupt`.
        layout: `"arrays"`, `"tree"`, or `"auto"`: a tree where the test images
            are files.
        image_format: Of a tree: `"jpeg"` of quality 85, as the released
            ImageNet-C, or `"png"`, which keeps every pixel.
        processes: Number of worker processes; None for threads, one for every
            core, which share Python's global lock but need no
            `if __name__ == "__main__"` in a script.
        progress: Whether to report on the standard error.

    Returns:
        `pathlib.Path` of the directory.

    Raises:
        UsageError: If an argument is not of this form, or the directory cannot
            be used.

    Example:

    >>> path = write(data.load("digits"), "digits-c", names=["noise", "fog"])
    >>> np.load(path / "fog.npy").shape
    (1820, 32, 32, 3)
    """
    _check_one_of("suite", suite, selection.SUITES)
    _check_one_of("layout", layout, LAYOUTS)
    _check_one_of("format", image_format, FORMATS)
    recipes = selection.recipes(
        suite,
        names,
        dataset.image_shape,
        severities=severities,
        difficulty=difficulty,
        crop=crop,
        seed=seed,
        table=table,
        frost_folder=frost_folder,
    )
    settings = selection.settings(suite, recipes[0], dataset)
    layout = _layout(layout, suite, dataset.test)
    settings["layout"] = layout
    if layout == "tree":
        quality = f" {JPEG_QUALITY}" if image_format == "jpeg" else ""
        settings["format"] = f"{image_format}{quality}"
    elif suite == "c":
        settings["severities"] = list(recipes[0].levels)
    with (
        Workers(processes) as workers,
        SetFolder(output_dir, settings) as folder,
    ):
        if layout == "tree":
            maker = Tree(folder, dataset, workers, image_format)
        else:
            maker = Arrays(folder, dataset, workers)
        draw = functools.partial(
            write_sheet, split=dataset.test, workers=workers
        )
        try:
            _make(recipes, maker, folder, draw, progress)
        except OSError as error:
            raise UsageError(
                f"Cannot write to --output_dir={folder.path} "
                f"({error.strerror or error}); mend that and run the same "
                f"command again: it goes on where it stopped."
            ) from error
    return folder.path


def _make(recipes, maker, folder, draw, progress):
    """Makes every set and its picture."""
    maker.labels(len(recipes[0].levels))
    bar = Progress(sum(map(maker.total, recipes)), len(recipes), progress)
    for recipe in recipes:
        bar.begin(recipe.stem)
        maker.write(recipe, bar.advance)
        sheet = folder.path / "sheets" / f"{recipe.stem}.png"
        if not sheet.exists():
            draw(sheet, recipe)
        bar.end()


def _layout(layout, suite, split):
    if layout == "auto":
        return "tree" if hasattr(split, "paths") and suite == "c" else "arrays"
    if (suite, layout) == ("p", "tree"):
        raise UsageError(
            "There is no tree of perturbations, whose released form is films: "
            "use --layout=arrays."
        )
    return layout


def _check_one_of(name, value, known):
    if value not in known:
        raise UsageError(
            f"Unknown {name} {value!r}. Known: {', '.join(known)}."
        )
