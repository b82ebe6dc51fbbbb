"""Released robustness benchmarks, read in the layouts they are published in."""

import dataclasses
import json
import math
import os
from collections.abc import Callable

import numpy as np

from noisymix_tf import corruptions
from noisymix_tf.corruptions import selection
from noisymix_tf.data import classes, folder, named, shifts, stored
from noisymix_tf.data.dataset import Dataset, Split, size_text
from noisymix_tf.data.preprocess import Preprocess
from noisymix_tf.data.records import open_split
from noisymix_tf.errors import UsageError

# Where a name is looked for, the last place first: the archives of ImageNet-C
# and ImageNet-P become folders of folders.
_GROUPS = [*"validation/ extra/ digital/ weather/ blur/ noise/".split(), ""]
# Where tensorflow-datasets uses another name than the released files.
_CIFAR = {"glass_blur": "frosted_glass_blur", "elastic_transform": "elastic"}
_PREPARED = "tfds:DIR of what tensorflow-datasets has prepared"
_CORRUPTED = (
    "the directory of CIFAR-10-C (fog.npy, ..., labels.npy) or of ImageNet-C "
    f"(fog/1/<class>/*), or {_PREPARED}"
)
_BAR = (
    "the directory of CIFAR-10-C-bar (ripple.npy, ..., labels.npy) or of "
    "ImageNet-C-bar (plasma_noise/4.75/<class>/*)"
)
_PERTURBED = (
    "the directory of CIFAR-10-P (gaussian_noise.npy, ...) or of ImageNet-P "
    "(gaussian_noise/<class>/*.mp4)"
)


def corrupted_images(path, dataset, *, preprocess=None, bar=False) -> "Cells":
    """Opens a directory of corrupted test images.

    - Arrays, as CIFAR-10-C and CIFAR-100-C: `<corruption>.npy`, uint8
      `[5 n, 32, 32, 3]`, severity after severity, and `labels.npy`, `[5 n]`
      (the same n labels five times) or `[n]`.
    - A tree, as ImageNet-C: `<corruption>/<severity>/<class>/*`, or the same
      below the folders of its archives, such as `noise`.
    - `"tfds:DIR"`, or `"tfds"` for its default: `cifar10_corrupted` and
      `imagenet2012_corrupted` that tensorflow-datasets has prepared.

    With `bar` the same of CIFAR-10-C-bar and ImageNet-C-bar, in whose tree a
    severity is called by its constant: `perlin_noise/4.60`.

    Or what `noisymix_tf.sets` wrote, arrays or a tree. The classes and the
    image size are those of a `Dataset`. `preprocess` is a word of
    `Preprocess.parse`; for None or `"auto"` arrays and what this package wrote
    are taken as stored, other images as for the published tables
    (`resize256-crop224`) where the dataset's have 224 pixels, and otherwise
    like the dataset's own. Damaged arrays are named when a split is asked for.

        cells = corrupted_images("CIFAR-10-C", data.load("cifar10"))
        images, labels = next(cells.split("fog", 5).batches(100))
    """
    if not bar and (root := _prepared_root(path)):
        return _prepared_cells(root, dataset, preprocess)
    expected = _BAR if bar else _CORRUPTED
    root = folder.existing(path, expected)
    names = corruptions.names("c_bar" if bar else None)
    manifest, levels = _manifest(root, "c"), corruptions.SEVERITIES
    arrays = _found(root, names, ".npy")
    if arrays and manifest:
        levels = manifest["settings"]["severities"]
    cells = {f"{name}/{level}": name for name in names for level in levels}
    places = {c: arrays[n] for c, n in cells.items() if n in arrays}
    places = places or _found(root, cells)
    if bar and not places:
        tree = {_constant(*cell.split("/")): cell for cell in cells}
        places = {tree[c]: p for c, p in _found(root, tree).items()}
    places = places or _refuse(root, expected)
    # Our own are of the dataset's size, they were made from it.
    usual = Preprocess() if arrays or manifest else _usual(dataset)
    how = _chosen(preprocess, usual)

    def read(cell, place):
        if arrays:
            part = levels.index(int(cell.partition("/")[2])), len(levels)
            return stored.corrupted(place, part, dataset, how)
        split = _images(place, dataset, how, complete=not manifest)
        noted = manifest and manifest["files"].get(cell, {}).get("files")
        if manifest and noted != len(split):
            raise UsageError(
                f"{place} has {len(split)} images, but its manifest notes "
                f"{noted or 'none'}: the command that writes it has not "
                "finished, run it again."
            )
        return split

    return Cells(root, dataset, how, places, read, manifest)


def _constant(name, level):
    """The folder in ImageNet-C-bar of a corruption at a severity."""
    constants = corruptions.CORRUPTIONS.get(name).imagenet
    value = constants[int(level) - 1] if constants else math.nan
    return f"{name}/{value:.2f}"


def _prepared_cells(root, dataset, preprocess):
    kind, other, usual = "imagenet2012_corrupted", {}, _usual(dataset)
    if dataset.name == "cifar10":
        kind, other, usual = "cifar10_corrupted", _CIFAR, Preprocess()
    how, places = _chosen(preprocess, usual), {}
    for name in corruptions.names():
        found = f"{root}/{kind}/{other.get(name, name)}"
        for level in corruptions.SEVERITIES:
            if place := named.newest_version(f"{found}_{level}"):
                places[f"{name}/{level}"] = place
    own = root, dataset, how, places or _refuse(root, f"{_PREPARED} as {kind}")
    return Cells(*own, lambda _, place: _images(place, dataset, how))


def perturbed_sequences(path, dataset, *, preprocess=None) -> "Cells":
    """Opens a directory of perturbation sequences.

    - Arrays, as CIFAR-10-P: `<perturbation>.npy`, uint8 `[N, T, 32, 32, 3]`;
      of noise also `<noise>_2.npy` and `_3.npy`, which are stronger.
    - Videos, as ImageNet-P: `<perturbation>/<class>/*.mp4`, or the same below
      the folders of its archives. They need PyAV, the extra `video`.

    All else as of `corrupted_images`; by default frames are as stored.
    """
    root = folder.existing(path, _PERTURBED)
    how, manifest = _chosen(preprocess, Preprocess()), _manifest(root, "p")
    names, levels = corruptions.perturbation_names(), corruptions.DIFFICULTIES
    stems = [stem(name, level) for name in names for level in levels]
    places = _found(root, stems, ".npy") or _found(root, stems)
    own = root, dataset, how, places or _refuse(root, _PERTURBED)
    return Cells(*own, lambda _, p: stored.perturbed(p, how), manifest)


@dataclasses.dataclass(frozen=True)
class Cells:
    """A released set, of which each cell is opened when it is asked for."""

    root: str
    dataset: Dataset
    preprocess: Preprocess  # That images are read with.
    places: dict  # Of the cells that are there, such as "fog/3" or "tilt".
    read: Callable  # The split of a cell's name and place.
    manifest: dict | None = None  # Of what this package wrote.

    def split(self, name, severity) -> Split | stored.StoredImages:
        """Images of a corruption at 1 to 5: a `Split`, or `StoredImages`."""
        corruptions.CORRUPTIONS.get(name)
        level = selection.level("Severity", severity, corruptions.SEVERITIES)
        return self._cell(f"{name}/{level}")

    def sequences(self, name, difficulty) -> stored.StoredImages:
        """Films of a perturbation at 1 to 3: `StoredImages`."""
        return self._cell(stem(name, difficulty))

    def _cell(self, cell):
        if cell not in self.places:
            name = cell.partition("/")[0]
            there = [c for c in self.places if c.startswith(f"{name}/")]
            there = there or {c.partition("/")[0]: c for c in self.places}
            remedy = "add it, or choose among what is there ({})"
            there = remedy.format(classes.listed([*there], most=20))
            raise UsageError(f"{self.root} lacks {cell}: {there}.")
        split = self.read(cell, self.places[cell])
        return _fitting(split, self.dataset, self.places[cell])


@dataclasses.dataclass(frozen=True)
class ShiftedImages:
    """Test images of some of a dataset's classes."""

    classes: tuple  # Of places in `dataset.class_names`, ascending.
    split: Split  # A label is a position in `classes`.
    preprocess: Preprocess  # That images are read with.
    title: str = ""  # Of a published set.
    right: list | None = None  # All right classes of each, if several can be.


def shifted_images(
    path, dataset, *, preprocess=None, name="imagenet_r"
) -> ShiftedImages:
    """Opens a directory of images of a dataset's classes.

    - ImageNet-R, or any other: `<class>/*`, or the same in a folder `val`,
      `validation` or `test`. Class folders are named as the dataset's
      classes; for a dataset with the 1000 classes of ImageNet also as synsets.
      Not all classes have to be there: predict among `classes` alone.
    - `"tfds:DIR"`, or `"tfds"`: what is prepared there by a name of
      `shifts.SHIFTS`.

    All else as of `corrupted_images`, but by default images of classes that are
    no synsets are treated like the dataset's own.
    """
    if root := _prepared_root(path):
        return _prepared_shift(root, name, dataset, preprocess)
    expected = f"a directory with one folder for each class, or {_PREPARED}"
    root = folder.existing(path, expected)
    there, _ = folder.list_folder(root)
    if not {*map(str, dataset.class_names)} & {*there}:
        layers = [f"{root}/{n}" for n in folder.TEST_FOLDERS if n in there]
        there = {p: folder.list_folder(p)[0] for p in layers}
        root = next(filter(there.get, layers), root)
    is_published = all(map(classes.is_wnid, folder.list_folder(root)[0]))
    how = _chosen(preprocess, _usual(dataset, is_published, is_square=True))
    split = _fitting(_images(root, dataset, how, least=2), dataset, root)
    return _among(split, split.labels, how)


def _prepared_shift(root, name, dataset, preprocess):
    of = shifts.shift(name, dataset)
    newest = named.newest_version(f"{root}/{of.folder}")
    root = newest or _refuse(root, f"{_PREPARED} as {of.folder}")
    usual = _usual(dataset, is_square=True)
    how = _chosen(preprocess, Preprocess() if of.classes else usual)
    split = _images(root, dataset, how, label=of.label)
    split = _fitting(split, dataset, root)
    there, right = split.labels, None
    if name == "imagenet_r":
        wnids = classes.imagenet_wnids()
        wnids = [wnids[place] for place in classes.IMAGENET_R_CLASSES]
        own = dataset.class_names, root, dataset.name
        there = np.unique(classes.class_indices(wnids, *own))
        if not np.isin(split.labels, there).all():
            why = "has images of other classes: prepare it again"
            raise UsageError(f"{root} {why}.")
    elif of.right:
        split, right = _several(root, split, of, dataset)
        there = np.arange(dataset.num_classes)
    return _among(split, there, how, title=of.title, right=right)


def _several(root, split, of, dataset):
    """Those of the images that have a right class, and all of each."""
    builder = named.open_builder(root, label=of.label)
    found = shifts.right_labels(split, of.right)
    own = dataset.class_names, root, dataset.name
    names = builder.info.features[of.label].names
    places = np.array(classes.class_indices(names, *own))
    kept = [k for k, labels in enumerate(found) if len(labels)]
    return split.subset(kept), [places[found[k]] for k in kept]


def _among(split, there, how, **more):
    """Labels become positions in the classes that are there."""
    there = np.unique(there)
    split.labels = np.searchsorted(there, split.labels).astype(np.int32)
    return ShiftedImages(tuple(there.tolist()), split, how, **more)


def _images(place, dataset, how, complete=False, least=1, label="label"):
    """A folder of classes, or a prepared one, with the dataset's labels."""
    own = dataset.class_names, place, dataset.name, complete
    if not os.path.exists(f"{place}/dataset_info.json"):
        files = folder.class_files(place, least=least)
        paths, labels = folder.labelled(files, *own)
        size = how if how.side else folder.header_size(paths[0])
        return folder.FileSplit(paths, labels, size)
    builder = named.open_builder(place, label=label)
    splits, features = builder.info.splits, builder.info.features
    parts = [n for n in ("test", "validation") if n in splits]
    if not parts or not splits[parts[0]].num_examples:
        raise UsageError(f"{place} has no images to test on: prepare it again.")
    size = how if how.side else features["image"].shape[:2]
    if size == (None, None):
        raise UsageError(
            f"The images in {place} have several sizes and cannot be as "
            "stored: give a preprocess, such as resize256-crop224."
        )
    split = open_split(builder, parts[0], size, label)
    names = features[label].names
    # Those of CIFAR are numbers, in its order.
    if all(map(classes.is_wnid, names)):
        there, labels = np.unique(split.labels, return_inverse=True)
        places = classes.class_indices([names[k] for k in there], *own)
        split.labels = np.array(places, np.int32)[labels]
    return split


def _fitting(split, dataset, what):
    """The split, whose images are of the dataset's size."""
    size, own = split.image_shape[:2], dataset.image_shape[:2]
    if size != own:
        word = f"resize{own[0]}-crop{own[0]}"
        raise UsageError(
            f"{what} ({split.preprocess}) gives images of {size_text(size)}, "
            f"but those of {dataset.name} are {size_text(own)}: give another "
            f"preprocess, such as {word if own[0] == own[1] else 'as_stored'}."
        )
    return split


def _chosen(preprocess, usual):
    is_open = preprocess in (None, "auto")
    return usual if is_open else Preprocess.parse(preprocess)


def _usual(dataset, is_published=True, is_square=False):
    """That of the published tables of ImageNet-C and R, or the dataset's own.

    Where it has none, photographs that are to be square are cropped.
    """
    height, width = dataset.image_shape[:2]
    if is_published and height == width == 224:
        return Preprocess(resize=256, crop=224)
    own = getattr(dataset.test, "preprocess", Preprocess())
    if is_square and own.side is None and height == width:
        return Preprocess(resize=height, crop=height)
    return own


def _found(root, names, suffix=""):
    """`{name: path}` of the names that are there."""
    places = ((name, group) for name in names for group in _GROUPS)
    paths = ((n, f"{root}/{group}{n}{suffix}") for n, group in places)
    return {name: path for name, path in paths if os.path.exists(path)}


def _refuse(root, expected):
    held, expected = sorted(os.listdir(root)), expected.replace("DIR", root)
    raise UsageError(
        f"{root} holds {classes.listed(held)}, no such set: give {expected}."
    )


def _prepared_root(path):
    """The directory of tensorflow-datasets that a path means; None if none."""
    word, _, root = str(path).partition(":")
    if word == "tfds":
        return folder.existing(named.prepared_root(root or None), _PREPARED)
    return None


def stem(name, difficulty) -> str:
    """The name of a perturbation's files: `name`, `name_2` or `name_3`."""
    own, levels = corruptions.PERTURBATIONS.get(name), corruptions.DIFFICULTIES
    level = own.level(selection.level("Difficulty", difficulty, levels))
    return name if level == 1 else f"{name}_{level}"


def _manifest(root, suite):
    """Settings and files of sets that `noisymix_tf.sets` wrote."""
    path = f"{root}/manifest.json"
    if not os.path.exists(path):
        return None
    remedy = "Write the sets again, or remove it if they are released ones"
    with folder.must(f"read {path}", remedy), open(path) as file:
        content = json.load(file)
    of = content.get("settings") if isinstance(content, dict) else None
    ours = {"seed", "generator", "table", "suite"}
    if not isinstance(of, dict) or not ours <= {*of} or "files" not in content:
        return None
    if "shard" in of or of["suite"] != suite:
        part = f"part {of['shard']} of " if "shard" in of else ""
        raise UsageError(
            f"{root} holds {part}sets of suite {of['suite']}: give whole ones "
            f"of suite {suite} (python -m noisymix_tf merge joins all parts)."
        )
    return content
