"""Checks of what an export is given."""

import numpy as np

from noisymix_tf.checks import is_whole
from noisymix_tf.data.preprocess import Preprocess
from noisymix_tf.errors import UsageError

# Side of the check images where a model takes images of any size.
_ANY_SIDE = 64
# How many of them are made where none are given.
_NOISE_IMAGES = 8
WEIGHTS = ("float32", "float16", "bfloat16")
# TensorFlow Serving refuses a model with more requests than this to warm up.
_MAX_WARMUPS = 1000


def shapes(model):
    """Returns `(image_shape, num_classes)` of a classifier."""
    inputs = getattr(model, "inputs", None)
    if not inputs or len(inputs) != 1 or len(model.outputs) != 1:
        raise UsageError(
            f"Model {getattr(model, 'name', model)!r} is no built Keras model "
            "of one input and one output; give a functional or Sequential one."
        )
    image, output = tuple(inputs[0].shape), tuple(model.outputs[0].shape)
    if len(image) != 4 or image[3] is None:
        raise UsageError(
            f"Model {model.name!r} takes inputs {image}; "
            "expected images (N, H, W, C)."
        )
    if len(output) != 2 or not output[1]:
        raise UsageError(
            f"Model {model.name!r} puts out {output}; "
            "expected logits or probabilities (N, C)."
        )
    return image[1:], output[1]


def labels(class_names, num_classes):
    """The class names as a list, or None."""
    if class_names is None:
        return None
    names = list(class_names)
    if len(names) != num_classes:
        raise UsageError(
            f"class_names has {len(names)} names but the model "
            f"{num_classes} classes; give one name for each class."
        )
    for name in names:
        if not isinstance(name, str) or name.splitlines() != [name]:
            raise UsageError(
                f"Class name {name!r} is not a line of text; give strings "
                "without line breaks."
            )
    return names


def preprocess(given, image_shape):
    """`(Preprocess, image_shape)` of encoded images; `Preprocess` may be None.

    A model that takes images of any size gets the size that is given.
    """
    height, width, channels = image_shape
    if given is None:
        if channels != 3 or height is None or height != width:
            return None, image_shape
        return Preprocess(height, height), image_shape
    given = Preprocess.parse(given)
    if channels != 3:
        raise UsageError(
            f"preprocess={given} is for images of 3 channels, and the model "
            f"takes {channels}; leave it out."
        )
    sides = (height, width)
    wanted = sides if given.side is None else (given.side, given.side)
    if None in wanted:
        raise UsageError(
            f"preprocess={given} tells no size, and the model takes images "
            "of any size; give one such as resize256-crop224."
        )
    if any(side not in (None, want) for side, want in zip(sides, wanted)):
        raise UsageError(
            f"preprocess={given} gives images of {wanted[0]} x {wanted[1]}, "
            f"and the model takes {height} x {width}; give one that does."
        )
    return given, (*wanted, channels)


def check_images(images, image_shape):
    """The given images, or noise."""
    if images is None:
        sides = [side or _ANY_SIDE for side in image_shape]
        return noise((_NOISE_IMAGES, *sides))
    images = np.asarray(images)
    fits = images.ndim == 4 and all(
        side in (None, actual)
        for side, actual in zip(image_shape, images.shape[1:])
    )
    if not fits or not len(images) or images.dtype != np.uint8:
        raise UsageError(
            f"check_images is {images.dtype} of shape {images.shape}; expected "
            f"uint8 (N, {', '.join(map(str, image_shape))}) with N >= 1."
        )
    return images


def check_labels(given, number, num_classes):
    """Labels of the check images, or None."""
    if given is None:
        return None
    given = np.asarray(given)
    fits = given.shape == (number,) and np.issubdtype(given.dtype, np.integer)
    if not fits or given.min() < 0 or given.max() >= num_classes:
        raise UsageError(
            f"check_labels is {given.dtype} of shape {given.shape}; expected "
            f"{number} class numbers from 0 to {num_classes - 1}, one for each "
            f"of check_images."
        )
    return given


def noise(shape):
    """uint8 images of noise, of a shape always the same."""
    generator = np.random.default_rng(0)
    return generator.integers(0, 256, shape, dtype=np.uint8)


def one_of(name, given, words):
    """A word that is one of those that there are."""
    if given not in words:
        raise UsageError(
            f"{name}={given!r} is not known: give {', '.join(words)}."
        )
    return given


def batch_sizes(given, num_signatures):
    """Sorted tuple of the sizes that clients are told to expect."""
    sizes = tuple(given)
    if not all(is_whole(size) and size >= 1 for size in sizes):
        raise UsageError(
            f"batch_sizes={sizes} must be whole numbers of at least 1."
        )
    sizes = tuple(sorted(set(map(int, sizes))))
    most = _MAX_WARMUPS // num_signatures
    if len(sizes) > most:
        raise UsageError(
            f"batch_sizes has {len(sizes)} sizes; TensorFlow Serving warms up "
            f"with at most {most} of each signature: give fewer."
        )
    return sizes
