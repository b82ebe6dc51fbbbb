"""Released robustness benchmarks, read in the layouts they are published in."""

from noisymix_tf import corruptions
from noisymix_tf.data import folder
from noisymix_tf.data.classes import IMAGENET_R_CLASSES
from noisymix_tf.data.preprocess import Preprocess
from noisymix_tf.data.released import arrays, cells, folders, prepared

__all__ = [
    "IMAGENET_R_CLASSES",
    "corrupted_images",
    "perturbed_sequences",
    "shifted_images",
]

_CORRUPTED = (
    "the directory of CIFAR-10-C (fog.npy, ..., labels.npy) or of ImageNet-C "
    "(fog/1/<class>/*), or tfds:DIR"
)
_PERTURBED = (
    "the directory of CIFAR-10-P (gaussian_noise.npy, ...) or of ImageNet-P "
    "(gaussian_noise/<class>/*.mp4)"
)


def corrupted_images(path, dataset, *, preprocess=None, data_dir=None):
    """Opens a directory of corrupted test images.

    - Arrays, as CIFAR-10-C and CIFAR-100-C: `<corruption>.npy`, uint8
      `[5 n, 32, 32, 3]`, the severities one after the other, and `labels.npy`,
      `[5 n]` (the same n labels five times) or `[n]`.
    - A tree, as ImageNet-C: `<corruption>/<severity>/<class>/*`, or the same
      below the folders of its archives, such as `noise`.
    - What `noisymix_tf.corruption_sets.write` made, of either layout.
    - `"tfds"`, or `"tfds:DIR"`: the `cifar10_corrupted` or
      `imagenet2012_corrupted` that tensorflow-datasets has prepared, in
      `data_dir` or its default; nothing is downloaded.

    Args:
        path: The directory.
        dataset: `noisymix_tf.data.Dataset`, for its classes and image size.
        preprocess: A word of `Preprocess.parse`. None or `"auto"`: arrays and
            what this package wrote are taken as stored; other images are
            resized to 256 and cropped to 224 where the dataset has images of
            224 pixels, as for the published tables, and otherwise treated like
            the dataset's own.

    Returns:
        `cells.CorruptedImages`.

    Raises:
        UsageError: It is in none of the layouts, or does not fit the dataset.
            A damaged file is named when its split is asked for.

    Example:

    >>> shifted = corrupted_images("CIFAR-10-C", data.load("cifar10"))
    >>> images, labels = next(shifted.split("fog", 5).batches(100))
    """
    own = dataset, cells.chosen(preprocess)
    root = prepared.root_of(path, data_dir)
    if root:
        return prepared.corrupted(root, *own)
    root = folder.existing(path, _CORRUPTED)
    manifest, names = cells.read_manifest(root, "c"), corruptions.names()
    for layout in (arrays, folders):
        places = layout.named(root, names)
        if places:
            made = layout.corrupted(root, places, *own, manifest)
            return cells.CorruptedImages(root, dataset, *made, manifest)
    is_prepared = {*prepared.CORRUPTED} & {*folder.list_folder(root)[0]}
    hint = f" This one is tfds:{root}." if is_prepared else ""
    raise cells.nothing(root, "corrupted images", _CORRUPTED, hint)


def perturbed_sequences(path, dataset, *, preprocess=None):
    """Opens a directory of perturbation sequences.

    - Arrays, as CIFAR-10-P: `<perturbation>.npy`, uint8 `[N, T, 32, 32, 3]`;
      of noise also `<noise>_2.npy` and `_3.npy`, which are stronger.
    - Videos, as ImageNet-P: `<perturbation>/<class>/*.mp4`, or the same below
      the folders of its archives. They need PyAV, the extra `video`.
    - What `noisymix_tf.corruption_sets.write` made with `suite="p"`.

    Args and errors are as of `corrupted_images`, but that by default frames are
    taken as stored. Returns `cells.PerturbedSequences`.
    """
    root = folder.existing(path, _PERTURBED)
    preprocess = cells.chosen(preprocess) or Preprocess()
    manifest = cells.read_manifest(root, "p")
    names = map(cells.stems, corruptions.perturbation_names())
    stems = [stem for levels in names for stem in levels]
    for layout in (arrays, folders):
        places = layout.named(root, stems)
        if places:
            made = layout.perturbed(root, places, preprocess)
            return cells.PerturbedSequences(root, dataset, *made, manifest)
    raise cells.nothing(root, "perturbation sequences", _PERTURBED)


def shifted_images(path, dataset, *, preprocess=None, data_dir=None):
    """Opens a directory of images of a dataset's classes.

    - ImageNet-R, or any other: `<class>/*`, or the same in a folder `val`,
      `validation` or `test`. Class folders are named as the dataset's
      classes; for a dataset with the 1000 classes of ImageNet also as synsets.
      Not all classes have to be there: predict among `classes` alone.
    - `"tfds"`, or `"tfds:DIR"`: the `imagenet_r` that is prepared there.

    Args and errors are as of `corrupted_images`, but that by default images of
    classes that are no synsets are treated like the dataset's own. Returns
    `cells.ShiftedImages`.
    """
    own = dataset, cells.chosen(preprocess)
    root = prepared.root_of(path, data_dir)
    if root:
        return prepared.shifted(root, *own)
    expected = "a directory with one folder for each class, or tfds:DIR"
    return folders.shifted(folder.existing(path, expected), *own)
