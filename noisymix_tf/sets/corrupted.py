"""Corrupted test images, in the layouts of CIFAR-10-C, -P and ImageNet-C."""

import dataclasses
import pathlib
import shutil

import numpy as np

from noisymix_tf import checks, corruptions
from noisymix_tf.corruptions import SEVERITIES
from noisymix_tf.data import identity, released
from noisymix_tf.errors import UsageError
from noisymix_tf.sets import layouts, writer

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
) -> pathlib.Path:
    """Writes corrupted copies of `dataset.test`; returns the folder's path.

    - Arrays, as CIFAR-10-C: `<corruption>.npy`, uint8 `[S N, H, W, C]`, the
      severities one after the other, and `labels.npy`, `[S N]`. As CIFAR-10-P:
      `<perturbation>.npy`, `[N, T, H, W, C]`, and `labels.npy`, `[N]`.
    - A tree, as ImageNet-C: `<corruption>/<severity>/<class>/<image>.JPEG`.

    Beside them are `sheets/<name>.png`, to look at, and `manifest.json`. The
    pixels (before JPEG) are those of `corruptions.corrupt` with `indices` from
    0 in the order of the images. A call that was killed is continued by the
    same call; further names may be added. Memory does not grow.

    The arguments are the options of the command `corrupt`; `names`, names or
    tags, are its `corruptions`, and `image_format` is its `format`. What cannot
    be used is a `UsageError`.

        write(data.load("digits"), "digits-c", names=["noise", "fog"])
    """
    _check_words(suite, layout, image_format)
    if suite == "c":
        idle = {"crop": crop is not None, "difficulty": difficulty != 1}
        levels, own = severities, {"frost_folder": frost_folder}
    else:
        idle = {"frost_folder": frost_folder is not None}
        idle["severities"] = not np.array_equal(severities, SEVERITIES)
        levels, own = [difficulty], {"crop": crop}
    _check_idle(idle, f"suite={suite}")
    table = corruptions.table_for(dataset.image_shape, table)
    own |= {"seed": seed, "table": table}
    made = _recipes(suite, names, dataset.image_shape, levels, own)
    settings, parts = _plan(dataset, made, layout, image_format, shard)
    wanted = [name for part in parts for name in part.entries]
    wanted = wanted if "shard" in settings else ()
    with writer.claimed_folder(output_dir, settings, wanted=wanted) as folder:
        writer.write(folder, parts, num_workers, progress)
    return folder.path


def _check_words(suite, layout, image_format):
    for what, value, known in (
        ("suite", suite, ("c", "p")),
        ("layout", layout, ("auto", "arrays", "tree")),
        ("format", image_format, layouts.SUFFIXES),
    ):
        if value not in known:
            words = f"Known: {', '.join(known)}."
            raise UsageError(f"Unknown {what} {value!r}. {words}")
    if (suite, layout) == ("p", "tree"):
        raise UsageError(
            "There is no tree of perturbations, whose released form is films: "
            "use --layout=arrays."
        )


def _check_idle(given, flag):
    """Refuses what is given, and does nothing beside another flag."""
    for name in filter(given.get, given):
        raise UsageError(f"--{name} does nothing with --{flag}: leave it out.")


@dataclasses.dataclass(frozen=True)
class Recipe:
    """One corruption at some severities, or one perturbation, for workers."""

    suite: str  # `"c"` or `"p"`.
    name: str  # Of the corruption or perturbation.
    levels: tuple  # The severities, or the one difficulty.
    options: dict  # Further arguments of `corruptions.corrupt` or `perturb`.

    @property
    def stem(self) -> str:
        """The released name: `fog`, `gaussian_noise`, `gaussian_noise_2`."""
        is_film = self.suite == "p"
        return released.stem(self.name, *self.levels) if is_film else self.name

    def item_shape(self, image_shape) -> tuple[int, ...]:
        """Shape of what one image becomes: `(H, W, C)` or `(T, H, W, C)`."""
        if self.suite == "c":
            return tuple(image_shape)
        entry = corruptions.PERTURBATIONS.get(self.name)
        side = self.options["crop"]
        size = image_shape[:2] if side is None else (side, side)
        return entry.frames[self.options["table"]], *size, image_shape[2]

    def make(self, images, indices, level) -> np.ndarray:
        """uint8 `[B, *item_shape]` of images `[B, H, W, C]` at their places."""
        given = {"indices": indices, **self.options}
        if self.suite == "c":
            return corruptions.corrupt(images, self.name, level, **given)
        return corruptions.perturb(images, self.name, difficulty=level, **given)

    def save(self, images, indices, files) -> int:
        """Writes each image at levels it lacks, of `{level: path}`; counts."""
        for level in sorted({level for each in files for level in each}):
            chosen = [i for i, each in enumerate(files) if level in each]
            made = self.make(images[chosen], indices[chosen], level)
            for i, image in zip(chosen, made):
                layouts.save(image, files[i][level])
        return sum(map(len, files))


def _recipes(suite, names, shape, levels, options):
    """The recipes of a choice, in the benchmark's order; see `write`."""
    each = {*levels} if np.iterable(levels) else ()
    if not each:
        raise UsageError(
            f"severities={levels!r} must be a list of some of 1 to 5."
        )
    registry, probe = corruptions.PERTURBATIONS, "gaussian_noise"
    if suite == "c":
        registry, probe = corruptions.CORRUPTIONS, "brightness"
    # The cheapest of each, to have arguments checked by their own function.
    image, place = np.zeros((1, *shape), np.uint8), np.zeros(1, int)
    for level in each:
        Recipe(suite, probe, (level,), options).make(image, place, level)
    words = "all" if names is None else names
    words = [words] if isinstance(words, str) else words
    chosen = registry.chosen(words, options["table"])
    if not chosen:
        raise UsageError(f"No {registry.kind} was given: give at least one.")
    made = []
    entries = (registry.get(n) for n in registry.names() if n in chosen)
    for entry in sorted(entries, key=lambda entry: entry.extra):
        entry.constants(options["table"])  # Not every table has them for all.
        own = sorted(each if suite == "c" else map(entry.level, each))
        made.append(Recipe(suite, entry.name, tuple(own), options))
    return made


def _plan(dataset, made, layout, image_format, shard):
    """What decides the pixels of all files, as JSON values, and the parts."""
    split, first_recipe = dataset.test, made[0]
    suite, options = first_recipe.suite, first_recipe.options
    settings = {
        "dataset": dataset.name,
        "images": len(split),
        "image_shape": list(split.image_shape),
        "data": str(identity.of(split)),
        "classes": identity.short(*dataset.class_names),
        "suite": suite,
        "seed": int(options["seed"]),
        "table": options["table"],
        "generator": corruptions.version(options.get("frost_folder")),
        **{k: v for k, v in options.items() if k == "crop"},
    }
    images, first = _shard(split, shard)
    if layout == "auto":
        of_files = hasattr(split, "paths") and suite == "c"
        layout = "tree" if of_files else "arrays"
    settings["layout"] = layout
    if layout == "tree":
        suffix = layouts.SUFFIXES[image_format]
        files = layouts.image_names(split, dataset.class_names, suffix)
        own = images, first, files[first : first + len(images)]
        parts = [layouts.TreePart(recipe, *own) for recipe in made]
        settings["format"] = layouts.FORMATS[image_format]
    else:
        _check_idle({"format": image_format != "jpeg"}, "layout=arrays")
        levels = first_recipe.levels
        parts = [layouts.ArrayPart(recipe, images, first) for recipe in made]
        parts.insert(0, layouts.LabelPart(images.labels, len(levels)))
        if suite == "c":
            settings["severities"] = list(levels)
    if len(images) < len(split):
        settings["shard"] = shard
    if first == 0:
        parts.insert(0, SheetPart(made, split))
    return settings, parts


def _shard(split, shard):
    """The images of part i of n, and the place of the first of them."""
    place, count = checks.shard(shard)
    if count > len(split):
        raise UsageError(
            f"--shard={shard}: there are no more than {len(split)} images."
        )
    first, end = (len(split) * k // count for k in (place, place + 1))
    return split.subset(range(first, end)) if count > 1 else split, first


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


def merge(folders, output_dir) -> None:
    """Joins all parts of one plan, byte for byte what one run writes.

    A `UsageError` says that one is no part of it, missing, there twice, not
    finished or damaged, or that the directory cannot be written.
    """
    parts = _all_parts(folders)
    path, first = parts[0]
    settings = first["settings"]
    del settings["shard"], settings["sets"]
    pairs = [(path, manifest["files"]) for path, manifest in parts]
    levels, sheets = len(settings.get("severities", [0])), path / "sheets"
    if not sheets.is_dir():
        raise UsageError(
            f"{sheets} is missing: the part's command makes it again."
        )
    with writer.claimed_folder(output_dir, settings) as whole:
        if settings["layout"] == "tree":
            layouts.join_trees(whole, pairs)
        else:
            layouts.join_arrays(whole, pairs, levels)
        # Sheets are drawn before the files that are known to be there.
        shutil.copytree(sheets, whole.path / "sheets", dirs_exist_ok=True)


def _all_parts(folders):
    """Pairs of path and manifest of all parts of one plan, in their order."""
    parts, first = {}, None
    for path in map(pathlib.Path, folders):
        manifest, place, count = _part(path)
        first = first or (path, manifest)
        plans = manifest["settings"], first[1]["settings"]
        if odd := writer.differences(*plans):
            raise UsageError(f"{path} has another plan than {first[0]}: {odd}.")
        if place in parts:
            both = f"{parts[place][0]} and {path} are both {place + 1}/{count}"
            raise UsageError(f"{both}: give each part once.")
        for name in manifest["wanted"]:
            if name not in manifest["files"]:
                raise UsageError(
                    f"{path} is not finished, it lacks {name}: its command "
                    "goes on where it stopped."
                )
        parts[place] = path, manifest
    missing = [f"{k + 1}/{count}" for k in range(count) if k not in parts]
    if missing:
        raise UsageError(f"Parts {', '.join(missing)} are missing: give all.")
    return [parts[place] for place in range(count)]


def _part(path):
    """A part's manifest, the same for all parts, its place and their count."""
    if not (path / writer.MANIFEST).is_file():
        raise UsageError(
            f"{path} holds no part of sets: it has no {writer.MANIFEST}."
        )
    manifest = writer.read_manifest(path)
    settings = manifest["settings"]
    if "shard" not in settings:
        raise UsageError(f"{path} is no part: its sets are whole.")
    place, count = checks.shard(settings["shard"])
    settings |= {"shard": count, "sets": sorted(manifest["wanted"])}
    return manifest, place, count
