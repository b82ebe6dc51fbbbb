"""Classes: which is which, their folders, and the same share of each."""

import collections
import difflib
import os
import pathlib
import re

import numpy as np

from noisymix_tf.checks import is_whole
from noisymix_tf.errors import UsageError

_R = pathlib.Path(__file__).with_name("imagenet_r.txt")
IMAGENET_R_CLASSES = tuple(map(int, _R.read_text().split()))
"""Places among the 1000 of ImageNet (Hendrycks et al., 2021, appendix)."""


def is_wnid(name) -> bool:
    """Whether a class has the name of a WordNet synset, as in ImageNet."""
    return re.fullmatch(r"n\d{8}", str(name)) is not None


def imagenet_wnids() -> tuple[str, ...]:
    """The 1000 synsets of ImageNet (ILSVRC 2012), in the order of labels."""
    import tensorflow_datasets as tfds

    path = tfds.core.tfds_path("datasets/imagenet2012/labels.txt")
    return tuple(path.read_text().split())


def class_indices(names, own, where, dataset, complete=False) -> list[int]:
    """Places of the classes `names` among `own`, which all come if `complete`.

    `own` are those of a `dataset` or of a model. Where they are the 1000 of
    ImageNet under other names, synsets have the place that ImageNet gives them;
    but a folder's classes are in the order of the alphabet.
    """
    own, names = list(own), list(names)
    known = {name: place for place, name in enumerate(folder_names(own))}
    if len(own) == 1000 and not any(map(is_wnid, own)):
        if own == sorted(own) and any(map(is_wnid, names)):
            raise UsageError(
                f"{where} has folders named by synsets ({listed(names)}), but "
                f"the classes of {dataset} ({listed(own)}) are in the order of "
                "the alphabet, not of synsets: name the folders of both alike."
            )
        known.update((name, i) for i, name in enumerate(imagenet_wnids()))
    odd = [name for name in names if name not in known]
    if odd:
        near = difflib.get_close_matches(str(odd[0]), known, 3)
        some = f"near: {listed(near)}" if near else listed(own)
        raise UsageError(
            f"{where} has the classes {listed(odd)}, which are none of the "
            f"{len(own)} classes of {dataset} ({some}): rename the folders, or "
            "give the dataset that the model was trained on."
        )
    places = [known[name] for name in names]
    odd = [own[place] for place in sorted({*range(len(own))} - {*places})]
    if complete and odd:
        raise UsageError(
            f"{where} lacks the classes {listed(odd)} of {dataset}: unpack it "
            "again, or give the dataset that it belongs to."
        )
    return places


def listed(names, most=5) -> str:
    """Names for a message: the first few, and how many there are."""
    text = ", ".join(map(str, names[:most])) or "nothing"
    return f"{text}, ... ({len(names)} in all)" if names[most:] else text


def folder_names(class_names) -> list[str]:
    """A folder's name for each class: no two the same, none hidden.

    Classes of one name get their numbers, too: `crane_134` and `crane_517`.
    """
    names = [str(name).replace(os.sep, "_") for name in class_names]
    names = [f"_{n[1:]}" if n[:1] in (".", "") else n for n in names]
    numbered = [f"{name}_{number}" for number, name in enumerate(names)]
    often = collections.Counter(names)
    found = [n if often[n] == 1 else other for n, other in zip(names, numbered)]
    # Where a class is called as another is with its number.
    return found if len({*found}) == len(found) else numbered


def balanced_indices(labels, num_examples) -> np.ndarray:
    """Ascending positions of the first images of each class, as many of each.

    Of small classes all; what is missing comes one by one from the lowest class
    numbers. `labels` are ints `[N]`, of which 1 to N are taken.

    >>> balanced_indices(np.array([1, 1, 1, 0, 0, 1]), 3)
    array([0, 3, 4])
    """
    by_class = np.argsort(labels, kind="stable")
    _, sizes = np.unique(labels, return_counts=True)
    number = np.empty_like(by_class)  # Of each image in its class.
    number[by_class] = np.concatenate([*map(np.arange, sizes)])
    return np.sort(np.lexsort((labels, number))[:num_examples])


def balanced_subset(split, num_examples, what, classes=0):
    """The part of `balanced_indices`, if any; the split itself for None.

    To train on it has at least one image of each of so many `classes`.
    """
    if num_examples in (None, len(split)):
        return split
    if not is_whole(num_examples) or not 1 <= num_examples < len(split):
        raise UsageError(
            f"{num_examples!r} examples of {what} were asked for, but it has "
            f"only {len(split)}: give a whole number from 1 to {len(split)}."
        )
    if num_examples < classes:
        raise UsageError(
            f"train_examples={num_examples} leaves some of the {classes} "
            f"classes without an image to learn from: give at least {classes}."
        )
    return split.subset(balanced_indices(split.labels, num_examples))
