"""Which class of the dataset a folder or a stored label is."""

import difflib
import re

from noisymix_tf.data.trees import folder_names
from noisymix_tf.errors import UsageError

IMAGENET_R_CLASSES = (
    1, 2, 4, 6, 8, 9, 11, 13, 22, 23, 26, 29, 31, 39, 47, 63, 71, 76, 79, 84,
    90, 94, 96, 97, 99, 100, 105, 107, 113, 122, 125, 130, 132, 144, 145, 147,
    148, 150, 151, 155, 160, 161, 162, 163, 171, 172, 178, 187, 195, 199, 203,
    207, 208, 219, 231, 232, 234, 235, 242, 245, 247, 250, 251, 254, 259, 260,
    263, 265, 267, 269, 276, 277, 281, 288, 289, 291, 292, 293, 296, 299, 301,
    308, 309, 310, 311, 314, 315, 319, 323, 327, 330, 334, 335, 337, 338, 340,
    341, 344, 347, 353, 355, 361, 362, 365, 366, 367, 368, 372, 388, 390, 393,
    397, 401, 407, 413, 414, 425, 428, 430, 435, 437, 441, 447, 448, 457, 462,
    463, 469, 470, 471, 472, 476, 483, 487, 515, 546, 555, 558, 570, 579, 583,
    587, 593, 594, 596, 609, 613, 617, 621, 629, 637, 657, 658, 701, 717, 724,
    763, 768, 774, 776, 779, 780, 787, 805, 812, 815, 820, 824, 833, 847, 852,
    866, 875, 883, 889, 895, 907, 928, 931, 932, 933, 934, 936, 937, 943, 945,
    947, 948, 949, 951, 953, 954, 957, 963, 965, 967, 980, 981, 983, 988,
)  # fmt: skip
"""The 200 classes of ImageNet-R, as places among the 1000 of ImageNet.

Source: Hendrycks et al. (2021), "The Many Faces of Robustness", appendix.
"""

_WNID = re.compile(r"n\d{8}")


def is_wnid(name):
    """Whether a class has the name of a WordNet synset, as in ImageNet."""
    return _WNID.fullmatch(str(name)) is not None


def imagenet_wnids():
    """The 1000 synsets of ImageNet (ILSVRC 2012), in the order of labels."""
    import tensorflow_datasets as tfds

    path = tfds.core.tfds_path("datasets/imagenet2012/labels.txt")
    return tuple(path.read_text().split())


def class_indices(names, dataset, where):
    """Places of named classes in `dataset.class_names`.

    Names are compared as they are. Where the dataset has the 1000 classes of
    ImageNet under other names, synsets (such as n01443537) have the place that
    ImageNet gives them. Classes in the order of the alphabet, as those of a
    folder, are not in ImageNet's.

    Args:
        names: Names of class folders.
        dataset: Has `name`, `num_classes` and `class_names`.
        where: What holds them, for the message.

    Returns:
        List of ints, one for each name.

    Raises:
        UsageError: If a name is none of the dataset's classes.
    """
    own = list(dataset.class_names)
    known = {name: i for i, name in enumerate(folder_names(own))}
    names = list(names)
    if dataset.num_classes == 1000 and not any(map(is_wnid, own)):
        if own == sorted(own) and any(map(is_wnid, names)):
            raise UsageError(
                f"{where} has folders named by synsets ({listed(names)}), but "
                f"the 1000 classes of {dataset.name} ({listed(own)}) are in "
                "the order of the alphabet, so that their places do not tell "
                "which synset is which class: name the folders of both alike."
            )
        known.update((name, i) for i, name in enumerate(imagenet_wnids()))
    unknown = [name for name in names if name not in known]
    if unknown:
        near = difflib.get_close_matches(str(unknown[0]), known, 3)
        some = f"near: {listed(near)}" if near else listed(own)
        raise UsageError(
            f"{where} has the classes {listed(unknown)}, which are none of the "
            f"{dataset.num_classes} classes of {dataset.name} ({some}): give "
            "the dataset that the model was trained on, or name the folders "
            "as its classes."
        )
    return [known[name] for name in names]


def check_all_classes(indices, dataset, where):
    """Raises the `UsageError` that names classes which are not there."""
    there = set(indices)
    absent = [
        name for i, name in enumerate(dataset.class_names) if i not in there
    ]
    if absent:
        raise UsageError(
            f"{where} lacks the classes {listed(absent)} of {dataset.name}: "
            "unpack it again, or give the dataset that it belongs to."
        )


def listed(names, most=5):
    """Names for a message: the first few, and how many there are."""
    text = ", ".join(map(str, names[:most])) or "nothing"
    return f"{text}, ... ({len(names)} in all)" if names[most:] else text
