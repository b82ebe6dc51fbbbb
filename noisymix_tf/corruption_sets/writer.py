"""`write`: a dataset and some names give a directory of corrupted sets."""

import io
from typing import NamedTuple

from noisymix_tf import checks, corruptions
from noisymix_tf.corruption_sets import arrays, selection, tree
from noisymix_tf.corruption_sets.folder import SetFolder
from noisymix_tf.corruption_sets.image_files import JPEG_QUALITY, SUFFIXES
from noisymix_tf.corruption_sets.sheets import write_sheets
from noisymix_tf.data import Split
from noisymix_tf.data.classes import image_names
from noisymix_tf.errors import UsageError
from noisymix_tf.progress import Progress
from noisymix_tf.workers import Workers

SUITES = ("c", "p")
LAYOUTS = ("auto", "arrays", "tree")


class Job(NamedTuple):
    """What a layout writes: some images in their order, in one folder."""

    folder: SetFolder
    workers: Workers
    images: Split  # Those of this part.
    first: int  # Place of the first of them in the dataset.
    names: list  # `class/name` of their files, for a tree.
    image_format: str  # Of these files.


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
    num_workers=None,
    shard="1/1",
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
    any moment is continued by the same call; nothing finished is made again,
    and further names may be added. Memory does not grow with the images.

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
        seed, table, frost_folder: As in `corruptions.corrupt`.
        layout: `"arrays"`, `"tree"`, or `"auto"`: a tree where the test images
            are files.
        image_format: Of a tree: `"jpeg"` of quality 85, as the released
            ImageNet-C, or `"png"`, which keeps every pixel.
        num_workers: Number of processes that make images, by default one for
            each core; 0 for none but this one.
        shard: `"i/n"`: only the images of part i, from 1 to n, for which
            `joining.merge` joins all parts to what one call writes.
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
    _check(suite=(suite, SUITES), layout=(layout, LAYOUTS))
    _check(format=(image_format, SUFFIXES))
    images, first = _part(dataset.test, shard)
    chosen = suite, names, dataset.image_shape, severities, difficulty, table
    how = {"crop": crop, "seed": seed, "frost_folder": frost_folder}
    recipes = selection.recipes(*chosen, **how)
    settings = selection.settings(recipes[0], dataset)
    settings["layout"] = _layout(layout, suite, dataset.test)
    kind, files = arrays, []
    if settings["layout"] == "tree":
        kind, suffix = tree, SUFFIXES[image_format]
        files = image_names(dataset.test, dataset.class_names, suffix)
        quality = f" {JPEG_QUALITY}" if image_format == "jpeg" else ""
        settings["format"] = f"{image_format}{quality}"
    elif suite == "c":
        settings["severities"] = list(recipes[0].levels)
    wanted = ()
    if len(images) < len(dataset.test):
        settings["shard"] = shard
        wanted = [name for r in recipes for name in kind.entries(r)]
    files = files[first : first + len(images)]
    with (
        SetFolder(output_dir, settings, wanted=wanted) as folder,
        Workers(num_workers) as workers,
    ):
        job = Job(folder, workers, images, first, files, image_format)
        try:
            if first == 0:
                write_sheets(folder.path, recipes, dataset.test, workers)
            if kind is arrays:
                arrays.write_labels(job, len(recipes[0].levels))
            _make(recipes, kind, job, progress)
        except OSError as error:
            raise UsageError(
                f"Cannot write to --output_dir={folder.path} "
                f"({error.strerror or error}); mend that and run the same "
                f"command again: it goes on where it stopped."
            ) from error
    return folder.path


def _part(split, shard):
    """The images of part i of n, and the place of the first of them."""
    place, count = checks.shard(shard)
    if count > len(split):
        raise UsageError(
            f"--shard={shard}: there are no more than {len(split)} images."
        )
    first, end = (len(split) * k // count for k in (place, place + 1))
    return split.subset(range(first, end)) if count > 1 else split, first


def _make(recipes, kind, job, shown):
    """Makes every set."""
    each = len(recipes[0].levels) * len(job.images)
    left = [r for r in recipes if {*kind.entries(r)} - {*job.folder.files}]
    done = each * (len(recipes) - len(left))
    bar = Progress(None if shown else io.StringIO())
    bar.begin(each * len(recipes), done)
    for recipe in recipes:
        for there in kind.write(job, recipe):
            if recipe in left:
                bar.advance(done + there, recipe.stem)
        done += each * (recipe in left)
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


def _check(**arguments):
    for name, (value, known) in arguments.items():
        if value not in known:
            words = f"Known: {', '.join(known)}."
            raise UsageError(f"Unknown {name} {value!r}. {words}")
