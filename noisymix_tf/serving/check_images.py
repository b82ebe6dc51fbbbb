"""The images that an export from the command line is compared on."""

import dataclasses

import numpy as np
import tensorflow as tf

from noisymix_tf.config import TestDataConfig
from noisymix_tf.data.dataset import Dataset
from noisymix_tf.errors import UsageError
from noisymix_tf.serving import arguments
from noisymix_tf.training import setup
from noisymix_tf.training.unwrap import classifier_of

# Enough to tell one point of accuracy.
_MEASURED, _COMPARED = 500, 16
# Datasets whose images come to size as a flag says.
_SIZED = ("folder", "imagenet")


@dataclasses.dataclass(frozen=True)
class Checked:
    """Images, and what their dataset tells.

    Attributes:
        images: uint8 `[N, H, W, C]`, or None for noise.
        labels: int `[N]`, or None where they are not the model's classes.
        class_names: Strings, or None.
        preprocess: How the images came to size, or None.
        origin: What they are, for people.
    """

    images: np.ndarray | None
    labels: np.ndarray | None
    class_names: tuple | None
    preprocess: object
    origin: str


def choose(source, config, preprocess=None, measure=False):
    """Test images of the given dataset, of the run's, or else digits.

    Args:
        source: `noisymix_tf.serving.sources.Source`.
        config: `noisymix_tf.config.export.CheckConfig`.
        preprocess: Word of `Preprocess.parse`, or None for what the run had.
        measure: Whether images are to be counted, which takes more.

    Returns:
        A `Checked`.

    Raises:
        UsageError: If a dataset was asked for that cannot be loaded or has
            images of another size than the model takes.
    """
    shape, num_classes = arguments.shapes(classifier_of(source.model))
    number = _MEASURED if measure else _COMPARED
    reason = ""
    if config.dataset is not None or source.config is not None:
        try:
            dataset = _load(source, config, preprocess)
            return _of_dataset(dataset, shape, num_classes, number)
        except UsageError as error:
            if config.dataset is not None or config.data_dir is not None:
                raise
            reason = f" (not on the run's data: {error})"
    digits = _digits(shape, number)
    origin = "noise" if digits is None else f"{len(digits)} enlarged digits"
    return Checked(digits, None, None, source.preprocess, origin + reason)


def _load(source, config, preprocess):
    """The dataset that the flags name, or the run's."""
    if config.dataset is None:
        data = source.config.data
        if config.data_dir is not None:
            data = dataclasses.replace(data, data_dir=config.data_dir)
    else:
        data = TestDataConfig(
            dataset=config.dataset,
            data_dir=config.data_dir,
            image_size=config.image_size,
        )
    if preprocess is not None and data.dataset in _SIZED:
        data = dataclasses.replace(data, preprocess=preprocess, image_size=None)
    return setup.test_dataset(data)


def _of_dataset(dataset: Dataset, shape, num_classes, number):
    if any(s not in (None, d) for s, d in zip(shape, dataset.image_shape)):
        raise UsageError(
            f"--dataset={dataset.name} has images {dataset.image_shape}, and "
            f"the model takes {shape}: give a dataset or a size that fits."
        )
    fits = dataset.num_classes == num_classes
    # Every so many, because a folder has them class by class.
    test = dataset.test
    step = max(1, len(test) // number)
    part = test.subset(np.arange(len(test))[::step][:number])
    images, labels = next(part.batches(number))
    rule = getattr(test, "preprocess", None)
    return Checked(
        images,
        labels if fits else None,
        dataset.class_names if fits else None,
        rule if rule is not None and rule.side is not None else None,
        f"{len(images)} test images of {dataset.name}",
    )


def _digits(shape, number):
    """Digits at the size of a model; None for another number of channels."""
    if shape[2] != 3:
        return None
    from noisymix_tf import data

    images, _ = next(data.load("digits").test.batches(number))
    sides = [side or own for side, own in zip(shape, images.shape[1:3])]
    resized = tf.image.resize(images, sides)
    return tf.cast(tf.round(resized), tf.uint8).numpy()
