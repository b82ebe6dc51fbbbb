"""What a released set is when it is opened: cells, of images of one size."""

import dataclasses
import functools
import json
import os
from collections.abc import Callable

from noisymix_tf import corruptions
from noisymix_tf.corruptions import checks
from noisymix_tf.data import folder
from noisymix_tf.data.classes import class_indices, listed
from noisymix_tf.data.dataset import Dataset, Split, size_text
from noisymix_tf.data.preprocess import Preprocess
from noisymix_tf.errors import UsageError

# What the published tables of ImageNet-C and ImageNet-R were measured with.
_PUBLISHED = Preprocess(resize=256, crop=224)


@dataclasses.dataclass(frozen=True)
class _Cells:
    """Cells of a released set, of which each is opened when it is asked for."""

    root: str
    dataset: Dataset
    layout: str  # "arrays", "tree", "tfds" or "videos".
    origin: str  # Where the pixels come from, in words.
    preprocess: Preprocess  # That images are read with.
    places: dict  # From the name of a cell to where it lies.
    open: Callable  # Of a cell's name and place; returns its split.
    manifest: dict | None = None

    @property
    def source(self):
        """`"released"`, or `"generated"` for what this package wrote."""
        return "generated" if self.manifest else "released"

    @property
    def description(self):
        """All this in words, for a report."""
        origin = self.origin
        if self.manifest:
            of = self.manifest["settings"]
            origin = f"generated from {of['dataset']}, seed {of['seed']}, "
            origin += f"generator {of['generator']}-{of['table']}"
        return f"{self.root}: {origin}, preprocess {self.preprocess}"

    def _cell(self, name, what, there):
        if name not in self.places:
            raise UsageError(
                f"{self.root} lacks {what}: add it, or choose among what is "
                f"there ({listed(list(there), most=20)})."
            )
        split = self.open(name, self.places[name])
        check_fits(split, self.dataset, self.places[name])
        return split


class CorruptedImages(_Cells):
    """Corrupted test images, of each corruption at some severities."""

    @functools.cached_property
    def names(self):
        """Corruptions that are there, in the benchmark's order."""
        return tuple(n for n in corruptions.names() if self.severities(n))

    def severities(self, name):
        """Which of 1 to 5 are there."""
        corruptions.CORRUPTIONS.get(name)
        levels = corruptions.SEVERITIES
        return tuple(n for n in levels if f"{name}/{n}" in self.places)

    def split(self, name, severity):
        """Its images: a `noisymix_tf.data.Split`, or `arrays.StoredImages`."""
        level = checks.level("Severity", severity, corruptions.SEVERITIES)
        there = self.severities(name)
        what = f"{name}.npy" if self.layout == "arrays" else name
        what = f"{name} of severity {level}" if there else what
        return self._cell(f"{name}/{level}", what, there or self.names)


class PerturbedSequences(_Cells):
    """Sequences of frames, of each perturbation."""

    @property
    def names(self):
        """Perturbations that are there, in the benchmark's order."""
        names = corruptions.perturbation_names()
        return tuple(n for n in names if {*stems(n)} & {*self.places})

    def sequences(self, name, difficulty):
        """`arrays.StoredSequences` at a difficulty of 1 to 3."""
        own, levels = stems(name), corruptions.DIFFICULTIES
        level = corruptions.PERTURBATIONS.get(name).level(
            checks.level("Difficulty", difficulty, levels)
        )
        return self._cell(own[level - 1], own[level - 1], self.places)


def stems(name):
    """Names of files and folders by level: `name`, `name_2`, `name_3`."""
    entry = corruptions.PERTURBATIONS.get(name)
    levels = sorted({entry.level(n) for n in corruptions.DIFFICULTIES})
    return [name if n == 1 else f"{name}_{n}" for n in levels]


@dataclasses.dataclass(frozen=True)
class ShiftedImages:
    """Test images of some of a dataset's classes."""

    classes: tuple  # Of places in `dataset.class_names`, ascending.
    split: Split  # A label is a position in `classes`.
    layout: str  # "tree" or "tfds".
    preprocess: Preprocess
    description: str  # All this in words, for a report.

    @classmethod
    def of(cls, root, layout, what, names, dataset, split_of):
        """`split_of` the label of each of the `names` that are there."""
        own = class_indices(names, dataset.class_names, root, dataset.name)
        classes = tuple(sorted({*own}))
        if len(classes) < 2:
            raise UsageError(f"{root} holds one class only: add others.")
        split = split_of([classes.index(place) for place in own])
        check_fits(split, dataset, root)
        how = split.preprocess
        words = f"{root}: {what}, {len(classes)} classes, preprocess {how}"
        return cls(classes, split, layout, how, words)


def nothing(root, what, expected, hint=""):
    """The error of a directory in none of the layouts."""
    folders, files = folder.list_folder(root)
    return UsageError(
        f"{root} holds no {what}: it holds {listed(folders + files)}; give "
        f"{expected}.{hint}"
    )


def chosen(preprocess):
    """What a user asked for as a `Preprocess`; None where it was left open."""
    is_open = preprocess in (None, "auto")
    return None if is_open else Preprocess.parse(preprocess)


def usual(dataset, as_published=True, is_square=False):
    """The dataset's own `Preprocess`, or that of published tables.

    Where it has none, photographs that are to be square are cropped.
    """
    height, width = dataset.image_shape[:2]
    if as_published and height == width == 224:
        return _PUBLISHED
    own = getattr(dataset.test, "preprocess", Preprocess())
    if is_square and own.side is None and height == width:
        return Preprocess(resize=height, crop=height)
    return own


def check_fits(split, dataset, what):
    """Raises where images are of another size than the dataset's."""
    height, width = dataset.image_shape[:2]
    if tuple(split.image_shape[:2]) == (height, width):
        return
    word = f"resize{height}-crop{height}" if height == width else "as_stored"
    raise UsageError(
        f"{what} ({split.preprocess}) gives images of "
        f"{size_text(split.image_shape)}, but those of {dataset.name} are "
        f"{height} x {width}: give another preprocess, such as {word}."
    )


def read_manifest(root, suite):
    """What `noisymix_tf.corruption_sets` noted of sets of suite c or p.

    A dict with `settings`, what decided the pixels, and `files`, an entry for
    each file, or `<name>/<severity>`; None where another program wrote there.
    """
    path = f"{root}/manifest.json"
    if not os.path.exists(path):
        return None
    remedy = "Write the sets again, or remove it if they are released ones"
    with folder.must(f"read {path}", remedy), open(path) as file:
        content = json.load(file)
    content = content if isinstance(content, dict) else {}
    of, keys = content.get("settings"), {"dataset", "seed", "generator"}
    ours = isinstance(of, dict) and keys | {"table", "suite"} <= of.keys()
    if not ours or "files" not in content:
        return None
    if "shard" in of:
        raise UsageError(
            f"{root} holds part {of['shard']} of sets: python -m "
            "noisymix_tf.merge joins all parts."
        )
    if of["suite"] != suite:
        other = of["suite"]
        raise UsageError(f"{root} holds sets of suite {other}: give it that.")
    return content
