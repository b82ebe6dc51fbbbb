"""Released perturbation sequences: CIFAR-10-P and ImageNet-P."""

import pathlib

import numpy as np

from noisymix_tf import corruptions
from noisymix_tf.corruptions import checks
from noisymix_tf.data.folder import class_files, existing, labelled
from noisymix_tf.data.preprocess import Preprocess
from noisymix_tf.data.released import folders, sizes
from noisymix_tf.data.released.classes import listed
from noisymix_tf.data.released.manifest import read_manifest
from noisymix_tf.data.released.mapped import MappedSequences
from noisymix_tf.data.released.npy import map_images, read_labels
from noisymix_tf.data.released.videos import SUFFIX, VideoSequences
from noisymix_tf.errors import UsageError

_EXPECTED = (
    "the directory of CIFAR-10-P (gaussian_noise.npy, ...) or of ImageNet-P "
    "(gaussian_noise/<class>/*.mp4)"
)


def perturbed_sequences(path, dataset, *, preprocess=None):
    """Opens a directory of perturbation sequences.

    - Arrays, as CIFAR-10-P: `<perturbation>.npy`, uint8 `[N, T, 32, 32, 3]`;
      of noise also `<perturbation>_2.npy` and `_3.npy`, which are stronger.
      There are no labels: the metric compares predictions with each other.
    - Videos, as ImageNet-P: `<perturbation>/<class>/*.mp4`, or the same below
      the folders of its archives; likewise `<noise>_2` and `<noise>_3`. They
      need PyAV, the extra `video`.
    - What `noisymix_tf.corruption_sets.write` made with `suite="p"`.

    Args:
        path: The directory.
        dataset: `noisymix_tf.data.Dataset`, for the size of its images.
        preprocess: A word of `Preprocess.parse`, for every frame. None or
            `"auto"` takes frames as stored, as the benchmarks do.

    Returns:
        An object with

        - `names`: perturbations that are there, in the benchmark's order;
        - `sequences(name, difficulty)`: has `len`, `num_frames`,
          `image_shape`, `batches(n)`, which yields uint8 `[n, T, H, W, 3]`,
          `subset(indices)`, and `labels`: ints `[N]` to take a balanced part
          by, or None. Of videos they are the places of the class folders;
        - `layout`: `"arrays"` or `"videos"`;
        - `source`: `"released"`, or `"generated"` for what this package wrote;
        - `preprocess`: the `Preprocess`;
        - `description`: all this in words, for a report.

    Raises:
        UsageError: If it is not there, in none of the layouts, or does not fit
            the dataset.

    Example:

    >>> films = perturbed_sequences("CIFAR-10-P", data.load("cifar10"))
    >>> next(films.sequences("tilt", 1).batches(4)).shape
    (4, 31, 32, 32, 3)
    """
    root = pathlib.Path(existing(path, _EXPECTED))
    preprocess = sizes.chosen(preprocess) or Preprocess()
    manifest = read_manifest(root, "p")
    stems = [
        stem
        for name in corruptions.perturbation_names()
        for stem in _stems(name)
    ]
    arrays = folders.named_arrays(root, stems)
    places = arrays or folders.named_folders(root, stems)
    if not places:
        raise UsageError(
            f"{root} holds no perturbation sequences: "
            f"{folders.contents(root)}; give {_EXPECTED}."
        )
    kind = PerturbedArrays if arrays else PerturbedVideos
    return kind(root, places, dataset, preprocess, manifest)


class _Perturbed:
    """What both layouts share.

    Args:
        root: `Path` of the directory.
        places: `{stem: Path}` of its files or folders.
        dataset: `noisymix_tf.data.Dataset`.
        preprocess: `Preprocess`.
        manifest: `Manifest`, or None.
    """

    def __init__(self, root, places, dataset, preprocess, manifest):
        self._root = root
        self._places = places
        self._dataset = dataset
        self._opened = {}
        self.names = tuple(
            name
            for name in corruptions.perturbation_names()
            if set(_stems(name)) & set(places)
        )
        self.preprocess = preprocess
        self.source = "released" if manifest is None else "generated"
        origin = f"released {self.layout}"
        origin = origin if manifest is None else manifest.origin
        self.description = f"{root}: {origin}, preprocess {preprocess}"

    def sequences(self, name, difficulty):
        """Sequences of a perturbation at a difficulty of 1 to 3."""
        entry = corruptions.PERTURBATIONS.get(name)
        level = entry.level(
            checks.level("Difficulty", difficulty, corruptions.DIFFICULTIES)
        )
        stem = _stems(name)[level - 1]
        if stem not in self._places:
            there = listed(list(self._places), most=20)
            raise UsageError(
                f"{self._root} lacks {stem}{self._suffix}: add it, or choose "
                f"among those that are there ({there})."
            )
        if stem not in self._opened:
            place = self._places[stem]
            sequences = self._open(place)
            sizes.check_fits(
                sequences.image_shape,
                self._dataset,
                str(place),
                self.preprocess,
            )
            self._opened[stem] = sequences
        return self._opened[stem]


class PerturbedArrays(_Perturbed):
    """Sequences in arrays; see `perturbed_sequences`."""

    layout = "arrays"
    _suffix = ".npy"

    def _open(self, path):
        films = map_images(path, rank=5)
        if films.shape[1] < 2:
            raise UsageError(
                f"{path} has sequences of {films.shape[1]} frame: predictions "
                "are compared along at least 2; download it again."
            )
        labels, rows = self._labels(len(films)), np.arange(len(films))
        return MappedSequences(films, labels, rows, self.preprocess)

    def _labels(self, number):
        """Labels that only this package writes, where they fit."""
        path = self._root / "labels.npy"
        labels = read_labels(path) if path.exists() else None
        return labels if labels is not None and len(labels) == number else None


class PerturbedVideos(_Perturbed):
    """Sequences in videos; see `perturbed_sequences`."""

    layout = "videos"
    _suffix = f"/<class>/*{SUFFIX}"

    def _open(self, folder):
        classes = class_files(folder, (SUFFIX,))
        paths, labels = labelled(enumerate(classes.values()))
        return VideoSequences(paths, labels, self.preprocess)


def _stems(name):
    """Names of files and folders by level: `name`, `name_2`, `name_3`."""
    entry = corruptions.PERTURBATIONS.get(name)
    levels = sorted({entry.level(n) for n in corruptions.DIFFICULTIES})
    return [name if n == 1 else f"{name}_{n}" for n in levels]
